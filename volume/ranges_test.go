package volume_test

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/meta"
	"github.com/honeyant/honeyant/volume"
	"github.com/honeyant/honeyant/volume/volumetest"
)

func TestRanges(t *testing.T) {
	c := volumetest.NewCluster(t, 2, 1<<30)
	v := c.Open(t, nil)
	f, g := create(t, v, "f"), create(t, v, "g")
	data := pattern(3<<20, 1)
	write(t, f, data, 0)
	const keep = volume.FallocKeepSize
	if err := f.Allocate(bg, keep|volume.FallocPunchHole, 100_000, 1_000_000); err != nil {
		t.Fatal(err)
	}
	clear(data[100_000:1_100_000])
	if got := readAll(t, f); !bytes.Equal(got, data) {
		t.Fatal("after the punch")
	}
	if off, err := f.Seek(bg, 0, true); err != nil || off != 100_000 {
		t.Fatalf("hole at %d, %v", off, err)
	}
	if off, err := f.Seek(bg, 200_000, false); err != nil || off != 1_100_000 {
		t.Fatalf("data at %d, %v", off, err)
	}
	_, err := f.Seek(bg, 3<<20, false)
	kindIs(t, err, honeyant.NoDevice)
	if err := f.Allocate(bg, volume.FallocZeroRange, 3<<20-10, 20); err != nil {
		t.Fatal(err)
	}
	clear(data[3<<20-10:])
	data = append(data, make([]byte, 10)...)
	if err := f.Allocate(bg, 0, 0, 4<<20); err != nil {
		t.Fatal(err)
	}
	data = append(data, make([]byte, 4<<20-len(data))...)
	if err := f.Allocate(bg, keep, 0, 40<<20); err != nil {
		t.Fatal(err)
	}
	kindIs(t, f.Allocate(bg, volume.FallocCollapse, 0, 4096), honeyant.Unsupported)
	kindIs(t, f.Allocate(bg, 0, 0, 0), honeyant.Invalid)
	if got := readAll(t, f); !bytes.Equal(got, data) {
		t.Fatal("after zero range and allocate")
	}
	write(t, g, []byte("before"), 0)
	chunks := c.Chunks.Writes.Load()
	for done := int64(0); done < 4<<20; {
		n, err := f.CopyRange(bg, done, g, 6+done, 4<<20-done)
		if err != nil || n == 0 {
			t.Fatalf("%d, %v", n, err)
		}
		done += n
	}
	if got := readAll(t, g); !bytes.Equal(got, slices.Concat([]byte("before"), data)) {
		t.Fatal("after the copy")
	}
	if n := c.Chunks.Writes.Load(); n != chunks {
		t.Errorf("%d chunks written by a clone", n-chunks)
	}
	closeFile(t, f)
	closeFile(t, g)
}

// Small files of a tree that was just written are copied in the journal: no request each.
func TestSmallFilesAreCopiedInTheJournal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := volumetest.NewCluster(t, 2, 1<<30)
		v, s := c.OpenLeased(t, nil)
		from, to := mkdir(t, v, honeyant.RootIno, "from"), mkdir(t, v, honeyant.RootIno, "to")
		sizes := []int{1, 100, 5000, 128 << 10, 200_000, 256 << 10}
		const many = 200
		size := func(i int) int {
			if i < many {
				return 1000
			}
			return sizes[i-many]
		}
		for i := range many + len(sizes) {
			makeFile(t, v, from, fmt.Sprint(i), pattern(size(i), i))
		}
		before := s.All()
		for i := range many + len(sizes) {
			f, err := v.Open(bg, lookup(t, v, from, fmt.Sprint(i)).Ino, volume.OpenFlags{Read: true})
			if err != nil {
				t.Fatal(err)
			}
			_, g, err := v.Create(bg, volume.NewNode{Parent: to, Name: fmt.Sprint(i), Mode: honeyant.ModeFile | 0o644}, readWrite, true)
			if err != nil {
				t.Fatal(err)
			}
			if n, err := f.CopyRange(bg, 0, g, 3, 256<<10); err != nil || n != int64(size(i)) {
				t.Fatalf("file %d: %d, %v", i, n, err)
			}
			if n, err := f.CopyRange(bg, int64(size(i)), g, 3, 100); err != nil || n != 0 {
				t.Fatalf("file %d at its end: %d, %v", i, n, err)
			}
			closeFile(t, f)
			closeFile(t, g)
		}
		if n := s.All() - before; n > many/10 {
			t.Errorf("%d requests", n)
		}
		if err := v.Sync(bg); err != nil {
			t.Fatal(err)
		}
		other := c.Open(t, nil)
		for i := range many + len(sizes) {
			want := append(make([]byte, 3), pattern(size(i), i)...)
			for _, v := range []*volume.Volume{v, other} {
				if got := readFile(t, v, lookup(t, v, honeyant.RootIno, "to").Ino, fmt.Sprint(i)); !bytes.Equal(got, want) {
					t.Fatalf("file %d", i)
				}
			}
		}
	})
}

// A copy meets what read and write would: set-id bits go, and the faults of either are told.
func TestSmallCopyIsAWrite(t *testing.T) {
	c := volumetest.NewCluster(t, 1, 1<<30)
	v := c.Open(t, nil)
	f, g := create(t, v, "f"), create(t, v, "g")
	write(t, f, pattern(3000, 1), 0)
	if _, err := v.SetAttr(bg, &meta.SetAttr{Ino: g.Ino(), Valid: meta.SetMode, Mode: 0o6755}); err != nil {
		t.Fatal(err)
	}
	if n, err := f.CopyRange(bg, 1000, g, 0, 1000); err != nil || n != 1000 {
		t.Fatalf("%d, %v", n, err)
	}
	if got := readAll(t, g); !bytes.Equal(got, pattern(3000, 1)[1000:2000]) {
		t.Fatal("wrong bytes")
	}
	if a, err := v.GetAttr(bg, g.Ino()); err != nil || a.Mode&0o6000 != 0 {
		t.Fatalf("mode %o, %v", a.Mode, err)
	}
	if n, err := f.CopyRange(bg, 0, f, 3000, 3000); err != nil || n != 3000 {
		t.Fatalf("within a file: %d, %v", n, err)
	}
	if got := readAll(t, f); !bytes.Equal(got, slices.Concat(pattern(3000, 1), pattern(3000, 1))) {
		t.Fatal("wrong bytes within a file")
	}
	_, err := f.CopyRange(bg, 0, f, 100, 200)
	kindIs(t, err, honeyant.Invalid)
	closeFile(t, g)
	closeFile(t, f)
}
