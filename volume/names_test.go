package volume_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/meta"
	"github.com/honeyant/honeyant/volume"
	"github.com/honeyant/honeyant/volume/volumetest"
)

// The suite holds with names remembered on both sides, however little room there is.
func TestSuiteLeased(t *testing.T) {
	for name, change := range map[string]func(*volume.Options){
		"Default": nil, "LittleMemory": func(o *volume.Options) { o.NameMemory = 2000 }, "Parts": func(o *volume.Options) { o.TakeNames = 2 },
	} {
		t.Run(name, func(t *testing.T) {
			volumetest.Suite(t, func(t *testing.T) (a, b volumetest.FS) {
				cluster := volumetest.NewCluster(t, 3, 1<<30)
				va, _ := cluster.OpenLeased(t, change)
				vb, _ := cluster.OpenLeased(t, change)
				return volumetest.OverVolume(va), volumetest.OverVolume(vb)
			})
		})
	}
}

func mkdir(t testing.TB, v *volume.Volume, parent honeyant.Ino, name string) honeyant.Ino {
	t.Helper()
	a, err := v.Make(bg, volume.NewNode{Parent: parent, Name: name, Mode: honeyant.ModeDir | 0o755})
	if err != nil {
		t.Fatal(err)
	}
	return a.Ino
}

func names(t testing.TB, v *volume.Volume, dir honeyant.Ino) (list []string) {
	t.Helper()
	d, err := v.OpenDir(bg, dir)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if err := d.Read(bg, 0, true, func(e meta.DirEntry) bool {
		list = append(list, fmt.Sprint(e.Name, " ", e.Attr.Ino == e.Ino, " ", e.Type == e.Attr.Mode&honeyant.ModeType))
		return true
	}); err != nil {
		t.Fatal(err)
	}
	slices.Sort(list)
	return list
}

// Everything that a does is seen by b's next call and by a's own, whatever both remember.
func TestEveryChangeIsSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := volumetest.NewCluster(t, 1, 1<<30)
		a, _ := c.OpenLeased(t, nil)
		b, _ := c.OpenLeased(t, nil)
		fresh := c.Open(t, nil) // remembers nothing
		root := honeyant.RootIno
		d := mkdir(t, a, root, "d")
		var f, g honeyant.Ino
		look := func() (all []string) {
			for _, v := range []*volume.Volume{a, b, fresh} {
				s := ""
				for _, dir := range []honeyant.Ino{root, d} {
					at, err := v.GetAttr(bg, dir)
					s += fmt.Sprint(at, honeyant.KindOf(err), names(t, v, dir))
					for _, n := range []string{"f", "g", "h", "d", "e", "s", "."} {
						at, err := v.Lookup(bg, dir, n)
						s += fmt.Sprint(n, at, honeyant.KindOf(err))
					}
				}
				for _, ino := range []honeyant.Ino{f, g} {
					if ino == 0 {
						continue
					}
					at, err := v.GetAttr(bg, ino)
					if err == nil && at.Nlink == 0 || honeyant.KindOf(err) == honeyant.Stale {
						s += "gone" // or about to be: somebody might have had it open
						continue
					}
					s += fmt.Sprint(at, honeyant.KindOf(err))
					for _, n := range []string{"user.a", "system.posix_acl_access"} {
						x, err := v.GetXattr(bg, ino, n)
						s += fmt.Sprint(x, honeyant.KindOf(err))
					}
					l, err := v.ListXattr(bg, ino)
					s += fmt.Sprint(len(l), honeyant.KindOf(err))
				}
				all = append(all, s)
			}
			return all
		}
		step := func(name string, run func() error) {
			t.Helper()
			look() // both remember all there is
			if err := run(); err != nil {
				t.Fatal(name, ": ", err)
			}
			for range 2 {
				if got := look(); got[0] != got[2] || got[1] != got[2] {
					t.Fatalf("%s:\na %s\nb %s\n  %s", name, got[0], got[1], got[2])
				}
			}
		}
		for turn := range 2 {
			x := a
			if turn == 1 {
				x = b
			}
			step("create", func() error {
				file := create(t, x, "f")
				f = file.Ino()
				write(t, file, pattern(1000, 1), 0)
				return errors.Join(file.Flush(bg, 0), file.Release(bg, 0))
			})
			step("mknod", func() error {
				at, err := x.Make(bg, volume.NewNode{Parent: d, Name: "g", Mode: honeyant.ModeFifo | 0o600})
				g = at.Ino
				return err
			})
			step("link", func() error { _, err := x.Link(bg, f, d, "h"); return err })
			step("chmod", func() error {
				_, err := x.SetAttr(bg, &meta.SetAttr{Ino: f, Valid: meta.SetMode, Mode: 0o640})
				return err
			})
			step("truncate", func() error {
				_, err := x.SetAttr(bg, &meta.SetAttr{Ino: f, Valid: meta.SetSize, Size: 7})
				return err
			})
			step("setxattr", func() error { return x.SetXattr(bg, &meta.SetXattr{Ino: f, Name: "user.a", Value: []byte("v")}) })
			step("removexattr", func() error { return x.RemoveXattr(bg, f, "user.a") })
			step("unlink one of two", func() error { return x.Unlink(bg, d, "h") })
			step("rename", func() error {
				return x.Rename(bg, &meta.Rename{OldParent: d, OldName: "g", NewParent: root, NewName: "g"})
			})
			step("exchange", func() error {
				return x.Rename(bg, &meta.Rename{OldParent: root, OldName: "g", NewParent: root, NewName: "f", Exchange: true})
			})
			step("mkdir", func() error { mkdir(t, x, d, "e"); return nil })
			step("rename a directory", func() error {
				return x.Rename(bg, &meta.Rename{OldParent: d, OldName: "e", NewParent: root, NewName: "e"})
			})
			step("rename over", func() error {
				return x.Rename(bg, &meta.Rename{OldParent: root, OldName: "g", NewParent: root, NewName: "f"})
			})
			step("rmdir", func() error { return x.Rmdir(bg, root, "e") })
			step("symlink", func() error {
				_, err := x.Make(bg, volume.NewNode{Parent: d, Name: "s", Mode: honeyant.ModeSymlink | 0o777, Target: "there"})
				return err
			})
			step("append", func() error {
				file, err := x.Open(bg, f, volume.OpenFlags{Write: true, Append: true})
				if err != nil {
					return err
				}
				_, err = file.WriteAt(bg, []byte("more"), 0, volume.WriteFlags{})
				return errors.Join(err, file.Flush(bg, 0), file.Release(bg, 0))
			})
			step("remove", func() error { return errors.Join(x.Unlink(bg, root, "f"), x.Unlink(bg, d, "s")) })
			time.Sleep(10 * time.Second) // idle, renewing
		}
	})
}

// What is known costs no request, and neither does what a directory is known not to have.
func TestWarmTreeCostsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := volumetest.NewCluster(t, 1, 1<<30)
		v, s := c.OpenLeased(t, nil)
		d := mkdir(t, v, honeyant.RootIno, "d")
		for i := range 100 {
			if _, err := v.Lookup(bg, d, fmt.Sprint(i)); !errors.Is(err, honeyant.NotExist) {
				t.Fatal(err)
			}
			if _, err := v.Make(bg, volume.NewNode{Parent: d, Name: fmt.Sprint(i), Mode: honeyant.ModeFile | 0o644}); err != nil {
				t.Fatal(err)
			}
		}
		if n := s.All(); n > 105 {
			t.Errorf("%d requests for 101 changes", n)
		}
		time.Sleep(time.Minute)
		before := s.All()
		for i := range 100 {
			a, err := v.Lookup(bg, d, fmt.Sprint(i))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := v.GetAttr(bg, a.Ino); err != nil {
				t.Fatal(err)
			}
		}
		names(t, v, d)
		if n := s.All() - before; n != 0 {
			t.Errorf("%d requests for what is known", n)
		}
		if st := v.Stats(); st.Names.Hits+st.Journal.Local < 300 || st.Names.Recalls != 0 {
			t.Errorf("%+v", st)
		}
		other, s2 := c.OpenLeased(t, nil)
		if n := len(names(t, other, d)); n != 100 {
			t.Fatal(n)
		}
		before = s2.All()
		for i := range 100 {
			if _, err := other.Lookup(bg, d, fmt.Sprint(i)); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := other.Lookup(bg, d, "none"); !errors.Is(err, honeyant.NotExist) {
			t.Fatal(err)
		}
		if n := s2.All() - before; n != 0 {
			t.Errorf("%d requests after a listing", n)
		}
	})
}

// Many at once over little memory; the race detector looks on.
func TestManyAtOnceOverLittleMemory(t *testing.T) {
	c := volumetest.NewCluster(t, 1, 1<<30)
	a, _ := c.OpenLeased(t, func(o *volume.Options) { o.NameMemory = 8000 })
	b, _ := c.OpenLeased(t, nil)
	var all sync.WaitGroup
	for w := range 8 {
		all.Go(func() {
			v := []*volume.Volume{a, b}[w%2]
			for i := range 60 {
				name := fmt.Sprint(w, "-", i%7)
				if _, err := v.Make(bg, volume.NewNode{Parent: honeyant.RootIno, Name: name, Mode: honeyant.ModeFile | 0o644}); err != nil {
					t.Error(err)
					return
				}
				if _, err := v.Lookup(bg, honeyant.RootIno, name); err != nil {
					t.Error(err)
				}
				if err := v.Unlink(bg, honeyant.RootIno, name); err != nil {
					t.Error(err)
				}
				if _, err := v.Lookup(bg, honeyant.RootIno, name); !errors.Is(err, honeyant.NotExist) {
					t.Error(name, err)
				}
			}
		})
	}
	all.Wait()
}
