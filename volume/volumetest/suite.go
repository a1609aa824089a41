package volumetest

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/honeyant/honeyant"
)

// Suite is the behaviour of a volume seen through two of its ways in, which may be on two nodes.
// open makes a fresh pair, with an empty root, for each test.
func Suite(t *testing.T, open func(t *testing.T) (a, b FS)) {
	for _, c := range []struct {
		name string
		run  func(t *testing.T, a, b FS)
	}{
		{"CloseToOpen", closeToOpen},
		{"FsyncIsSeenByOpen", fsyncSeen},
		{"OwnWritesAreReadBack", ownWrites},
		{"HolesReadAsZero", holes},
		{"TruncateAndExtend", truncate},
		{"TruncateDropsDirty", truncateDirty},
		{"OpenTruncates", openTruncates},
		{"UnlinkWhileOpen", unlinkOpen},
		{"RenameReplaces", renameReplaces},
		{"NamesAreSeenAtOnce", namesAtOnce},
		{"ExclusiveCreate", exclusive},
		{"AppendLosesNothing", appends},
		{"DisjointWritersKeepEachOthersBytes", disjoint},
		{"LinksAndSymlinks", links},
		{"ListingIsComplete", listing},
		{"ErrorsOfNames", nameErrors},
		{"WriteKillsSetuid", setuid},
		{"RandomIO", randomIO},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, b := open(t)
			c.run(t, a, b)
		})
	}
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func is(t *testing.T, err error, kind honeyant.Kind) {
	t.Helper()
	if honeyant.KindOf(err) != kind || err == nil {
		t.Fatalf("got %v, want %v", err, kind)
	}
}

func openFile(t *testing.T, fs FS, path string, flag int) File {
	t.Helper()
	f, err := fs.Open(path, flag)
	ok(t, err)
	return f
}

func put(t *testing.T, f File, p []byte, off int64) {
	t.Helper()
	n, err := f.WriteAt(p, off)
	if err != nil || n != len(p) {
		t.Fatalf("write %d at %d: %d, %v", len(p), off, n, err)
	}
}

func get(t *testing.T, f File, off int64, n int) []byte {
	t.Helper()
	p := make([]byte, n)
	for got := 0; got < n; {
		k, err := f.ReadAt(p[got:], off+int64(got))
		ok(t, err)
		if k == 0 {
			return p[:got]
		}
		got += k
	}
	return p
}

func same(t *testing.T, got, want []byte) {
	t.Helper()
	if bytes.Equal(got, want) {
		return
	}
	at := 0
	for at < len(got) && at < len(want) && got[at] == want[at] {
		at++
	}
	t.Fatalf("%d bytes, want %d; they differ at %d", len(got), len(want), at)
}

// WriteFile makes or replaces a file.
func WriteFile(t *testing.T, fs FS, path string, data []byte) {
	t.Helper()
	f := openFile(t, fs, path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC)
	put(t, f, data, 0)
	ok(t, f.Close())
}

// ReadFile reads a whole file.
func ReadFile(t *testing.T, fs FS, path string) []byte {
	t.Helper()
	f := openFile(t, fs, path, os.O_RDONLY)
	size, err := f.Size()
	ok(t, err)
	p := get(t, f, 0, int(size)+10)
	ok(t, f.Close())
	return p
}

// Bytes is reproducible data without repetition.
func Bytes(n int, seed uint64) []byte {
	p := make([]byte, n)
	r := rand.New(rand.NewPCG(seed, 1))
	for i := range p {
		p[i] = byte(r.Uint32())
	}
	return p
}

func closeToOpen(t *testing.T, a, b FS) {
	for i, n := range []int{0, 1, 4096, 4097, 300_000, 5 << 20} {
		path, data := fmt.Sprintf("f%d", i), Bytes(n, uint64(n))
		WriteFile(t, a, path, data)
		same(t, ReadFile(t, b, path), data)
		WriteFile(t, b, path, data[:n/2])
		same(t, ReadFile(t, a, path), data[:n/2])
	}
}

func fsyncSeen(t *testing.T, a, b FS) {
	f := openFile(t, a, "f", os.O_RDWR|os.O_CREATE)
	data := Bytes(100_000, 1)
	put(t, f, data, 0)
	ok(t, f.Sync())
	same(t, ReadFile(t, b, "f"), data)
	ok(t, f.Close())
}

func ownWrites(t *testing.T, a, _ FS) {
	f := openFile(t, a, "f", os.O_RDWR|os.O_CREATE)
	g := openFile(t, a, "f", os.O_RDONLY)
	put(t, f, []byte("hello"), 10)
	same(t, get(t, f, 0, 100), append(make([]byte, 10), "hello"...))
	same(t, get(t, g, 12, 2), []byte("ll")) // another descriptor of the same node
	put(t, f, []byte("LL"), 12)
	same(t, get(t, g, 10, 5), []byte("heLLo"))
	if n, err := g.Size(); err != nil || n != 15 {
		t.Fatalf("size %d, %v", n, err)
	}
	ok(t, f.Close())
	same(t, get(t, g, 10, 5), []byte("heLLo"))
	ok(t, g.Close())
}

func holes(t *testing.T, a, b FS) {
	f := openFile(t, a, "f", os.O_RDWR|os.O_CREATE)
	put(t, f, []byte("x"), 1_000_000)
	put(t, f, []byte("y"), 9_000_000)
	ok(t, f.Close())
	want := make([]byte, 9_000_001)
	want[1_000_000], want[9_000_000] = 'x', 'y'
	same(t, ReadFile(t, b, "f"), want)
	st, err := b.Stat("f")
	ok(t, err)
	if st.Blocks*512 > 4<<20 {
		t.Fatalf("%d blocks for two bytes", st.Blocks)
	}
}

func truncate(t *testing.T, a, b FS) {
	data := Bytes(200_000, 2)
	WriteFile(t, a, "f", data)
	f := openFile(t, b, "f", os.O_RDWR)
	ok(t, f.Truncate(100_001))
	ok(t, f.Truncate(150_000))
	want := append(slices.Clone(data[:100_001]), make([]byte, 49_999)...)
	same(t, get(t, f, 0, 200_000), want)
	put(t, f, []byte("z"), 160_000)
	want = append(append(want, make([]byte, 10_000)...), 'z')
	ok(t, f.Close())
	same(t, ReadFile(t, a, "f"), want)
}

func truncateDirty(t *testing.T, a, b FS) {
	f := openFile(t, a, "f", os.O_RDWR|os.O_CREATE)
	data := Bytes(50_000, 3)
	put(t, f, data, 0)
	ok(t, f.Truncate(20_000))
	same(t, get(t, f, 0, 50_000), data[:20_000])
	ok(t, f.Truncate(0))
	ok(t, f.Truncate(30))
	same(t, get(t, f, 0, 50), make([]byte, 30))
	put(t, f, data[:5], 3)
	ok(t, f.Close())
	want := make([]byte, 30)
	copy(want[3:], data[:5])
	same(t, ReadFile(t, b, "f"), want)
}

func openTruncates(t *testing.T, a, b FS) {
	WriteFile(t, a, "f", Bytes(9000, 4))
	f := openFile(t, b, "f", os.O_RDWR|os.O_TRUNC)
	same(t, get(t, f, 0, 10), nil)
	ok(t, f.Close())
	same(t, ReadFile(t, a, "f"), nil)
}

func unlinkOpen(t *testing.T, a, b FS) {
	data := Bytes(100_000, 5)
	WriteFile(t, a, "f", data)
	f := openFile(t, a, "f", os.O_RDWR)
	ok(t, b.Remove("f"))
	_, err := a.Stat("f")
	is(t, err, honeyant.NotExist)
	same(t, get(t, f, 0, 200_000), data)
	put(t, f, []byte("more"), 100_000)
	ok(t, f.Sync())
	same(t, get(t, f, 99_999, 10), append(slices.Clone(data[99_999:]), "more"...))
	WriteFile(t, b, "f", []byte("another"))
	same(t, get(t, f, 0, 5), data[:5])
	ok(t, f.Close())
	same(t, ReadFile(t, a, "f"), []byte("another"))
}

func renameReplaces(t *testing.T, a, b FS) {
	WriteFile(t, a, "old", []byte("new content"))
	WriteFile(t, b, "name", []byte("old content"))
	f := openFile(t, b, "name", os.O_RDONLY)
	ok(t, a.Rename("old", "name"))
	same(t, ReadFile(t, b, "name"), []byte("new content"))
	same(t, get(t, f, 0, 100), []byte("old content"))
	ok(t, f.Close())
	_, err := b.Stat("old")
	is(t, err, honeyant.NotExist)
}

func namesAtOnce(t *testing.T, a, b FS) {
	ok(t, a.Mkdir("d"))
	WriteFile(t, b, "d/f", []byte("1"))
	ok(t, a.Rename("d", "e"))
	if _, err := b.Stat("e/f"); err != nil {
		t.Fatal(err)
	}
	_, err := b.Stat("d")
	is(t, err, honeyant.NotExist)
	ok(t, b.Remove("e/f"))
	ok(t, a.Remove("e"))
	_, err = b.Stat("e")
	is(t, err, honeyant.NotExist)
}

func exclusive(t *testing.T, a, b FS) {
	var wg sync.WaitGroup
	var mu sync.Mutex
	won := map[int]int{}
	for i := range 8 {
		fs := a
		if i%2 == 1 {
			fs = b
		}
		wg.Go(func() {
			for n := range 10 {
				f, err := fs.Open(fmt.Sprintf("x%d", n), os.O_RDWR|os.O_CREATE|os.O_EXCL)
				if err == nil {
					err = f.Close()
					mu.Lock()
					won[n]++
					mu.Unlock()
				} else if honeyant.KindOf(err) == honeyant.Exist {
					err = nil
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	for n := range 10 {
		if won[n] != 1 {
			t.Errorf("x%d was created %d times", n, won[n])
		}
	}
}

func appends(t *testing.T, a, b FS) {
	WriteFile(t, a, "log", nil)
	const writers, lines = 4, 25
	var wg sync.WaitGroup
	for i := range writers {
		fs := a
		if i%2 == 1 {
			fs = b
		}
		wg.Go(func() {
			f, err := fs.Open("log", os.O_WRONLY|os.O_APPEND)
			if err != nil {
				t.Error(err)
				return
			}
			for n := range lines {
				if _, err := f.WriteAt([]byte(fmt.Sprintf("writer %d line %02d %s\n", i, n, strings.Repeat("*", n*i))), 0); err != nil {
					t.Error(err)
				}
			}
			if err := f.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	next := map[string]int{}
	for line := range strings.Lines(string(ReadFile(t, a, "log"))) {
		var i, n int
		if k, _ := fmt.Sscanf(line, "writer %d line %d", &i, &n); k != 2 || !strings.HasSuffix(line, " "+strings.Repeat("*", n*i)+"\n") {
			t.Fatalf("torn line %q", line)
		}
		who := fmt.Sprint(i)
		if next[who] != n {
			t.Fatalf("writer %d: line %d where %d should be", i, n, next[who])
		}
		next[who]++
	}
	for i := range writers {
		if next[fmt.Sprint(i)] != lines {
			t.Errorf("writer %d: %d lines", i, next[fmt.Sprint(i)])
		}
	}
}

// disjoint: neighbours are never read and written back, so writers on two nodes do not undo each other (rule 11).
func disjoint(t *testing.T, a, b FS) {
	want := Bytes(64_000, 6)
	WriteFile(t, a, "f", make([]byte, len(want)))
	f, g := openFile(t, a, "f", os.O_RDWR), openFile(t, b, "f", os.O_RDWR)
	for i := 0; i < len(want); i += 1000 {
		h := f
		if i/1000%2 == 1 {
			h = g
		}
		put(t, h, want[i:i+1000], int64(i))
	}
	ok(t, f.Close())
	ok(t, g.Close())
	same(t, ReadFile(t, a, "f"), want)
}

func links(t *testing.T, a, b FS) {
	WriteFile(t, a, "f", []byte("1"))
	ok(t, b.Link("f", "g"))
	f := openFile(t, a, "g", os.O_RDWR)
	put(t, f, []byte("22"), 0)
	ok(t, f.Close())
	same(t, ReadFile(t, b, "f"), []byte("22"))
	st, err := a.Stat("f")
	ok(t, err)
	if st.Nlink != 2 {
		t.Fatalf("%d links", st.Nlink)
	}
	ok(t, a.Remove("f"))
	same(t, ReadFile(t, b, "g"), []byte("22"))
	ok(t, a.Symlink("../some/where", "s"))
	target, err := b.ReadLink("s")
	ok(t, err)
	if target != "../some/where" {
		t.Fatal(target)
	}
}

func listing(t *testing.T, a, b FS) {
	ok(t, a.Mkdir("d"))
	var want []string
	for i := range 1500 {
		name := fmt.Sprintf("entry-%d", i)
		ok(t, a.Mkdir("d/"+name))
		want = append(want, name)
	}
	got, err := b.ReadDir("d")
	ok(t, err)
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Fatalf("%d names listed, %d made", len(got), len(want))
	}
}

func nameErrors(t *testing.T, a, b FS) {
	ok(t, a.Mkdir("d"))
	WriteFile(t, a, "d/f", nil)
	is(t, b.Remove("d"), honeyant.NotEmpty)
	is(t, b.Mkdir("d"), honeyant.Exist)
	is(t, b.Rename("nothing", "x"), honeyant.NotExist)
	is(t, b.Rename("d", "d/sub"), honeyant.Invalid)
	is(t, b.Mkdir(strings.Repeat("n", 256)), honeyant.NameTooLong)
	ok(t, b.Mkdir(strings.Repeat("n", 255)))
	_, err := b.Open("nothing", os.O_RDONLY)
	is(t, err, honeyant.NotExist)
	_, err = b.Open("d", os.O_RDWR)
	is(t, err, honeyant.IsDir)
	_, err = b.Stat("d/f/g")
	is(t, err, honeyant.NotDir)
}

func setuid(t *testing.T, a, b FS) {
	WriteFile(t, a, "f", []byte("1"))
	ok(t, a.Chmod("f", 0o6755))
	if os.Geteuid() == 0 {
		if _, through := a.(pathFS); through {
			t.Skip("root keeps the bits (CAP_FSETID)")
		}
	}
	f := openFile(t, b, "f", os.O_WRONLY)
	put(t, f, []byte("2"), 0)
	ok(t, f.Close())
	st, err := a.Stat("f")
	ok(t, err)
	if st.Mode&0o6000 != 0 {
		t.Fatalf("mode %o", st.Mode)
	}
	f = openFile(t, b, "f", os.O_WRONLY)
	put(t, f, []byte("3"), 0)
	ok(t, b.Chmod("f", 0o4755)) // after the write: it must stay
	ok(t, f.Close())
	if st, err = a.Stat("f"); err != nil || st.Mode&0o6000 != 0o4000 {
		t.Fatalf("mode %o, %v", st.Mode, err)
	}
}
