package volume_test

import (
	"bytes"
	"context"
	"testing"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/meta"
	"github.com/honeyant/honeyant/volume"
	"github.com/honeyant/honeyant/volume/volumetest"
)

var bg = context.Background()

var readWrite = volume.OpenFlags{Read: true, Write: true}

func create(t testing.TB, v *volume.Volume, name string) *volume.File {
	t.Helper()
	_, f, err := v.Create(bg, volume.NewNode{Parent: honeyant.RootIno, Name: name, Mode: 0o644}, readWrite, true)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func open(t testing.TB, v *volume.Volume, name string, flags volume.OpenFlags) *volume.File {
	t.Helper()
	a, err := v.Lookup(bg, honeyant.RootIno, name)
	if err != nil {
		t.Fatal(err)
	}
	f, err := v.Open(bg, a.Ino, flags)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func write(t testing.TB, f *volume.File, p []byte, off int64) {
	t.Helper()
	if n, err := f.WriteAt(bg, p, off, volume.WriteFlags{}); err != nil || n != len(p) {
		t.Fatalf("write %d at %d: %d, %v", len(p), off, n, err)
	}
}

func closeFile(t testing.TB, f *volume.File) {
	t.Helper()
	if err := f.Flush(bg, 0); err != nil {
		t.Fatal(err)
	}
	if err := f.Release(bg, 0); err != nil {
		t.Fatal(err)
	}
}

func readAll(t testing.TB, f *volume.File) []byte {
	t.Helper()
	var all []byte
	p := make([]byte, 100_000)
	for {
		n, err := f.ReadAt(bg, p, int64(len(all)))
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			return all
		}
		all = append(all, p[:n]...)
	}
}

func pattern(n, seed int) []byte {
	p := make([]byte, n)
	x := uint32(seed)*2654435761 + 1
	for i := range p {
		x = x*1664525 + 1013904223
		p[i] = byte(x >> 24)
	}
	return p
}

func TestWhatIsClosedIsSeenByTheNextOpen(t *testing.T) {
	c := volumetest.NewCluster(t, 3, 1<<30)
	a, b := c.Open(t, nil), c.Open(t, nil)
	for _, size := range []int{0, 1, 100, 4096, 4097, 100_000, 4 << 20, 4<<20 + 1, 13_000_000} {
		data := pattern(size, size)
		f := create(t, a, "f")
		for off := 0; off < size; off += 100_000 {
			write(t, f, data[off:min(size, off+100_000)], int64(off))
		}
		closeFile(t, f)
		g := open(t, b, "f", volume.OpenFlags{Read: true})
		if got := readAll(t, g); !bytes.Equal(got, data) {
			t.Fatalf("size %d: read %d bytes, equal %v", size, len(got), bytes.Equal(got, data))
		}
		closeFile(t, g)
		if err := b.Rename(bg, &meta.Rename{OldParent: honeyant.RootIno, OldName: "f", NewParent: honeyant.RootIno, NewName: "g"}); err != nil {
			t.Fatal(err)
		}
		if err := b.Unlink(bg, honeyant.RootIno, "g"); err != nil {
			t.Fatal(err)
		}
	}
	if s := a.Stats(); s.OpenFiles != 0 || s.Inodes != 0 || s.DirtyBytes != 0 || s.FlyingBytes != 0 || s.WriteMemory != 0 {
		t.Fatalf("left over: %+v", s)
	}
}
