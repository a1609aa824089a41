package bench

import (
	"fmt"
	"strings"
)

// functions is how many groups of declarations a bundled source has.
const functions = 120

// goSource is the bundled Go package: one file without imports, the same bytes everywhere.
// Its declarations are of the kinds that programs are made of: structs with methods, maps,
// slices, closures, switches, generics, interfaces.
func goSource() []byte {
	var b strings.Builder
	b.WriteString("// Package ballast is compiled to measure compilers.\npackage ballast\n\ntype shape interface {\n\tarea(scale int) int\n\tname() string\n}\n\n" +
		"func reduce[T, A any](list []T, start A, f func(A, T) A) A {\n\tfor _, v := range list {\n\t\tstart = f(start, v)\n\t}\n\treturn start\n}\n\n")
	for i := range functions {
		fmt.Fprintf(&b, `type Box%[1]d struct {
	width, height int
	label         string
	seen          map[string]int
	next          *Box%[1]d
}

func (b *Box%[1]d) area(scale int) int { return b.width*b.height*scale + %[1]d }

func (b *Box%[1]d) name() string {
	switch {
	case b == nil:
		return "nothing"
	case b.label != "":
		return b.label
	}
	return "box %[1]d"
}

func Build%[1]d(n int, words []string) (*Box%[1]d, int) {
	var first *Box%[1]d
	total := 0
	count := func(w string) int { total += len(w); return total }
	for i := 0; i < n; i++ {
		b := &Box%[1]d{width: i * %[2]d, height: i ^ %[3]d, seen: map[string]int{}, next: first}
		for j, w := range words {
			if j%%%[4]d == 0 {
				b.seen[w] += count(w)
			} else if old, ok := b.seen[w]; ok && old > i {
				b.seen[w+"%[1]d"] = old - j
			}
		}
		first = b
	}
	var shapes []shape
	for b := first; b != nil; b = b.next {
		shapes = append(shapes, b)
	}
	sum := reduce(shapes, 0, func(a int, s shape) int { return a + s.area(%[2]d) + len(s.name()) })
	buf := make([]byte, 0, 64)
	for v := sum; v > 0; v /= 10 {
		buf = append(buf, byte('0'+v%%10))
	}
	return first, sum + len(buf)
}

`, i, i%17+1, i*31%101, i%5+2)
	}
	return []byte(b.String())
}

// goProgram is the bundled program for whole builds: the package above and a main that
// brings in a part of the standard library.
func goProgram() map[string]string {
	return map[string]string{
		"go.mod":             "module ballast\n\ngo 1.18\n",
		"ballast/ballast.go": string(goSource()),
		"main.go": `package main

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"

	"ballast/ballast"
)

const line = 0

func main() {
	_, n := ballast.Build1(3, os.Args)
	text, err := json.Marshal(map[string]int{"n": n, "line": line})
	fmt.Println(regexp.MustCompile("[a-z]+").MatchString(string(text)), err)
}
`,
	}
}

// cSource is the bundled C file: it includes nothing, so that only the compiler counts.
func cSource() []byte {
	var b strings.Builder
	b.WriteString("typedef unsigned long size;\nstruct node { struct node *next; int key, value; char label[24]; };\n\n")
	for i := range functions / 2 {
		fmt.Fprintf(&b, `static int hash%[1]d(const char *s, size n) {
	unsigned h = %[3]du;
	for (size i = 0; i < n; i++) { h ^= (unsigned char)s[i]; h *= 16777619u; h = (h << %[4]d) | (h >> (32 - %[4]d)); }
	return (int)(h & 0x7fffffff);
}

int walk%[1]d(struct node **table, size buckets, const char *text, size len) {
	int found = 0;
	for (size i = 0; i + %[4]d < len; i += %[2]d) {
		struct node *n = table[(size)hash%[1]d(text + i, %[4]d) %% buckets];
		while (n) {
			switch (n->key %% %[2]d) {
			case 0: found += n->value; break;
			case 1: found -= n->value; break;
			case 2: n->value = found ^ %[3]d; break;
			default: for (int j = 0; j < 24 && n->label[j]; j++) found += n->label[j];
			}
			n = n->next;
		}
	}
	return found;
}

`, i, i%7+3, i*2654435761%1000003, i%13+2)
	}
	return []byte(b.String())
}
