package config

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"

	"github.com/honeyant/honeyant"
)

// Load reads <dir>/honeyant.toml, which may be absent, over the defaults, makes its paths
// absolute and validates it. An error of Kind Invalid wraps Faults: all of them.
func Load(dir string) (*Config, error) {
	path := Layout(dir).ConfigFile()
	raw, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, honeyant.E("config.Load", kindOf(err), path, err)
	}
	return Parse(dir, string(raw))
}

// Parse is Load of a text.
func Parse(dir, source string) (*Config, error) {
	c := Default()
	c.Dir = dir
	var tree map[string]any
	if _, err := toml.Decode(source, &tree); err != nil {
		f := Fault{File: FileName, Text: err.Error()}
		var at toml.ParseError
		if errors.As(err, &at) {
			f.Line, f.Text = at.Position.Line, at.Message
		}
		return nil, Faults{f}.err("config.Load", dir)
	}
	var faults Faults
	fill(c, "", fields(), []string{keyStores, keyMounts}, tree, &faults)
	if v, ok := tree[keyStores]; ok {
		c.Stores = table(keyStores, storeFields(), v, &faults)
	}
	if v, ok := tree[keyMounts]; ok {
		c.Mounts = table(keyMounts, mountFields(), v, &faults)
	}
	c.resolve()
	told := map[string]bool{}
	for _, f := range faults {
		told[f.Key] = true
	}
	for _, f := range c.faults() { // of a key that could not be read the value is the default
		if !told[f.Key] {
			faults = append(faults, f)
		}
	}
	lines := linesOf(source)
	for i := range faults {
		faults[i].File = FileName
		faults[i].Line = lines[faults[i].Key]
	}
	slices.SortStableFunc(faults, func(a, b Fault) int { return cmp.Compare(a.Line, b.Line) })
	if err := faults.err("config.Load", dir); err != nil {
		return nil, err
	}
	return c, nil
}

// fill sets the keys of one table and reports those that do not exist.
func fill[T any](to *T, prefix string, known []field[T], others []string, tree map[string]any, faults *Faults) {
	for _, key := range slices.Sorted(maps.Keys(tree)) {
		i := slices.IndexFunc(known, func(f field[T]) bool { return f.key == key })
		if i >= 0 {
			if err := known[i].set(to, tree[key]); err != nil {
				faults.add(prefix+key, "%v", err)
			}
			continue
		}
		if slices.Contains(others, key) {
			continue
		}
		var all []string
		for _, f := range known {
			all = append(all, f.key)
		}
		all = append(all, others...)
		hint := "; the keys are " + strings.Join(all, ", ")
		if near := nearest(key, all); near != "" {
			hint = fmt.Sprintf("; did you mean %q?", near)
		}
		faults.add(prefix+key, "there is no such key%s", hint)
	}
}

// table reads an array of tables, written as [[key]] or inline.
func table[T any](key string, known []field[T], v any, faults *Faults) []T {
	var rows []map[string]any
	switch v := v.(type) {
	case []map[string]any:
		rows = v
	case []any:
		for _, e := range v {
			row, ok := e.(map[string]any)
			if !ok {
				faults.add(key, "want [[%s]] with keys under it, not %v", key, e)
				return nil
			}
			rows = append(rows, row)
		}
	default:
		faults.add(key, "want [[%s]] with keys under it, in double brackets", key)
		return nil
	}
	out := make([]T, len(rows))
	for i, row := range rows {
		fill(&out[i], fmt.Sprintf("%s[%d].", key, i), known, nil, row, faults)
	}
	return out
}

// linesOf finds the line of each key for messages. It knows the way in which people write
// this file; what it misses is reported without a line.
func linesOf(source string) map[string]int {
	at, count, prefix := map[string]int{}, map[string]int{}, ""
	line := 0
	for text := range strings.Lines(source) {
		line++
		text = strings.TrimSpace(text)
		if name, ok := strings.CutPrefix(text, "[["); ok {
			name, _, _ = strings.Cut(name, "]")
			name = strings.TrimSpace(name)
			prefix = fmt.Sprintf("%s[%d].", name, count[name])
			at[strings.TrimSuffix(prefix, ".")] = line
			count[name]++
			continue
		}
		if name, ok := strings.CutPrefix(text, "["); ok {
			name, _, _ = strings.Cut(name, "]")
			name = strings.TrimSpace(name)
			at[name] = line
			prefix = name + "."
			continue
		}
		key, _, ok := strings.Cut(text, "=")
		if ok && !strings.HasPrefix(key, "#") {
			key = prefix + strings.Trim(strings.TrimSpace(key), `"'`)
			if at[key] == 0 {
				at[key] = line
			}
		}
	}
	return at
}

// nearest is the known word that a misspelt one probably means, or empty.
func nearest(word string, known []string) string {
	best, found := 1+len(word)/3, ""
	for _, k := range known {
		if d := distance(strings.ToLower(word), k); d <= best && d < len(k) {
			best, found = d-1, k
		}
		if found == "" && len(word) >= 3 && strings.HasPrefix(k, word) {
			found = k
		}
	}
	return found
}

// distance counts the letters to change, add or take away between two words (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			next := diagonal
			if a[i-1] != b[j-1] {
				next = 1 + min(diagonal, row[j], row[j-1])
			}
			diagonal, row[j] = row[j], next
		}
	}
	return row[len(b)]
}
