package volume_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/meta"
	"github.com/honeyant/honeyant/volume"
	"github.com/honeyant/honeyant/volume/volumetest"
)

// save makes a file with bytes and closes it.
func save(t testing.TB, v *volume.Volume, parent honeyant.Ino, name string, data []byte) honeyant.Ino {
	t.Helper()
	a, f, err := v.Create(bg, volume.NewNode{Parent: parent, Name: name, Mode: 0o644}, volume.OpenFlags{Read: true, Write: true}, true)
	if err != nil {
		t.Fatal(err)
	}
	if len(data) > 0 {
		write(t, f, data, 0)
	}
	if err := errors.Join(f.Flush(bg, 0), f.Release(bg, 0)); err != nil {
		t.Fatal(err)
	}
	return a.Ino
}

func load(t testing.TB, v *volume.Volume, ino honeyant.Ino) []byte {
	t.Helper()
	f, err := v.Open(bg, ino, volume.OpenFlags{Read: true})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Release(bg, 0)
	return readAll(t, f)
}

// Who is alone in a directory makes files without asking anybody, and the others see them all the same.
func TestSoleUserMakesFilesLocally(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := volumetest.NewCluster(t, 3, 1<<30)
		a, sa := c.OpenLeased(t, nil)
		b, _ := c.OpenLeased(t, nil)
		d := mkdir(t, a, honeyant.RootIno, "d")
		save(t, a, d, "first", pattern(100, 1))
		before := sa.All()
		for n := range 200 {
			save(t, a, d, fmt.Sprint("f", n), pattern(100*n, n))
		}
		if asked := sa.All() - before; asked > 20 {
			t.Errorf("%d requests for 200 files", asked)
			for i := range sa.Calls {
				if n := sa.Calls[i].Load(); n > 0 {
					t.Log(meta.Code(i), n)
				}
			}
		}
		if _, err := b.Lookup(bg, honeyant.RootIno, "d"); err != nil {
			t.Fatal(err)
		}
		for n := range 200 {
			at, err := b.Lookup(bg, d, fmt.Sprint("f", n))
			if err != nil {
				t.Fatal(err)
			}
			if got := load(t, b, at.Ino); !bytes.Equal(got, pattern(100*n, n)) {
				t.Fatalf("f%d: %d bytes, not %d", n, len(got), 100*n)
			}
		}
		if got := len(names(t, b, d)); got != 201 {
			t.Errorf("%d names", got)
		}
		_ = sa.Calls[meta.CodeFlush].Load()
		time.Sleep(time.Second)
	})
}
