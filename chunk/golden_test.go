package chunk_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/honeyant/honeyant/chunk"
	"github.com/honeyant/honeyant/disk"
)

var update = flag.Bool("update", false, "write testdata anew; only for a new version of the format")

// A store that version 1 wrote is read for ever, by its sidecars and without them.
func TestGoldenVersion1(t *testing.T) {
	dir := filepath.Join("testdata", "v1")
	text := func(i int) []byte { return bytes.Repeat([]byte(fmt.Sprintf("chunk %d ", i)), 50*i*i) }
	if *update {
		fs, err := disk.OpenDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		s := open(t, fs, small)
		for i := range 5 {
			mustPut(t, s, idOf(i), text(i))
		}
		if err := s.Delete(ctx, idOf(2), 0); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for _, sidecars := range []bool{true, false} {
		fs := disk.NewMemory(0)
		files, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			b, err := os.ReadFile(filepath.Join(dir, file.Name()))
			if err != nil {
				t.Fatal(err)
			}
			f, err := fs.Create(file.Name())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := f.WriteAt(b, 0); err != nil {
				t.Fatal(err)
			}
		}
		if !sidecars && removeSidecars(t, fs) == 0 {
			t.Fatal("the golden store has no sidecar")
		}
		s := open(t, fs, chunk.Options{})
		if u := s.Usage(); u.Chunks != 4 || u.ReadOnly {
			t.Fatalf("%+v", u)
		}
		for i := range 5 {
			if i != 2 {
				check(t, s, idOf(i), 0, text(i))
			}
		}
		mustPut(t, s, idOf(2), text(2))
		if got := s.Key(); got != "a666544e7dc4ffb320c31fa922910409" {
			t.Fatal(got)
		}
	}
}
