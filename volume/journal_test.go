package volume_test

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/meta"
	"github.com/honeyant/honeyant/meta/remote"
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
	})
}

// Who makes more files than it has numbers for, while a flush is under way, gets more numbers, and goes on by itself.
func TestNumbersDoNotRunOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := volumetest.NewCluster(t, 2, 1<<30)
		a, s := c.OpenLeased(t, nil)
		d := mkdir(t, a, honeyant.RootIno, "d")
		save(t, a, d, "first", nil)
		var flushes atomic.Int64
		slow := func(op meta.Op, do func()) {
			if _, is := op.(*meta.Flush); is {
				flushes.Add(1)
				time.Sleep(time.Second)
			}
			do()
		}
		s.Around.Store(&slow)
		before := s.Calls[meta.CodeMake].Load()
		for n := range 10_000 {
			save(t, a, d, fmt.Sprint("f", n), nil)
		}
		if asked := s.Calls[meta.CodeMake].Load() - before; asked > 0 || flushes.Load() == 0 {
			t.Errorf("the leader was asked to make %d of 10000, %d flushes", asked, flushes.Load())
		}
	})
}

// wire is a session whose way to the leader can be cut.
func wire(t testing.TB, c *volumetest.Cluster) (v *volume.Volume, cut *atomic.Bool) {
	t.Helper()
	cut = &atomic.Bool{}
	s := c.NewLeased(t, func(o *remote.Options) {
		o.Local = func() (*meta.Leader, bool) { return c.Leader, !cut.Load() }
	})
	v = c.Open(t, func(o *volume.Options) { o.Meta = s })
	for range 1000 {
		if _, ok := s.Era(); ok {
			return v, cut
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatal("no leases")
	return nil, nil
}

// A machine that dies loses the end of what it did, never something before something that is there, and nothing that
// is older than a second or was synced.
func TestChangesSurviveInOrder(t *testing.T) {
	seed := rand.Uint64()
	synctest.Test(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(seed, 1))
		t.Logf("seed %d", seed)
		for round := range 20 {
			c := volumetest.NewCluster(t, 2, 1<<30)
			a, cut := wire(t, c)
			d := mkdir(t, a, honeyant.RootIno, "d")
			if err := a.Sync(bg); err != nil {
				t.Fatal(err)
			}
			var made []time.Time
			synced, steps := 0, 20+r.IntN(300)
			for n := range steps {
				save(t, a, d, fmt.Sprintf("%04d", n), pattern(r.IntN(3000), n))
				made = append(made, time.Now())
				switch r.IntN(40) {
				case 0:
					if err := a.Sync(bg); err != nil {
						t.Fatal(err)
					}
					synced = n + 1
				case 1, 2:
					time.Sleep(time.Duration(r.IntN(200)) * time.Millisecond)
				}
			}
			cut.Store(true) // as if it had lost its power
			died := time.Now()
			b, _ := c.OpenLeased(t, nil)
			if _, err := b.Lookup(bg, honeyant.RootIno, "d"); err != nil {
				t.Fatal(err)
			}
			there := names(t, b, d)
			for n := range there {
				if want := fmt.Sprintf("%04d ", n); there[n][:5] != want {
					t.Fatalf("round %d: %d of %d names, but %s is not there", round, len(there), steps, want)
				}
			}
			for n := len(there); n < steps; n++ {
				if n < synced || died.Sub(made[n]) > time.Second {
					t.Fatalf("round %d: file %d is lost, made %v before, synced up to %d", round, n, died.Sub(made[n]), synced)
				}
			}
			for n := range synced {
				at, err := b.Lookup(bg, d, fmt.Sprintf("%04d", n))
				if err != nil {
					t.Fatal(err)
				}
				if got, want := load(t, b, at.Ino), pattern(int(at.Size), n); !bytes.Equal(got, want) {
					t.Fatalf("round %d: file %d has other bytes", round, n)
				}
			}
		}
	})
}

// Who replaces a file by a new one finds one of them whole, whenever the machine dies.
func TestRenameReplacesWholeFiles(t *testing.T) {
	seed := rand.Uint64()
	synctest.Test(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(seed, 2))
		t.Logf("seed %d", seed)
		for range 30 {
			c := volumetest.NewCluster(t, 2, 1<<30)
			a, cut := wire(t, c)
			d := mkdir(t, a, honeyant.RootIno, "d")
			save(t, a, d, "config", pattern(20_000, 0))
			if err := a.Sync(bg); err != nil {
				t.Fatal(err)
			}
			die := time.AfterFunc(time.Duration(r.IntN(1500))*time.Millisecond, func() { cut.Store(true) })
			version := 0
			for version = 1; version < 30 && !cut.Load(); version++ {
				size := 100 + r.IntN(40_000)
				_, f, err := a.Create(bg, volume.NewNode{Parent: d, Name: "new", Mode: 0o644}, volume.OpenFlags{Write: true}, true)
				if err != nil {
					break
				}
				_, err = f.WriteAt(bg, pattern(size, version), 0, volume.WriteFlags{})
				err = errors.Join(err, f.Flush(bg, 0), f.Release(bg, 0))
				if err == nil {
					err = a.Rename(bg, &meta.Rename{OldParent: d, OldName: "new", NewParent: d, NewName: "config"})
				}
				if err != nil {
					break
				}
				time.Sleep(time.Duration(r.IntN(100)) * time.Millisecond)
			}
			die.Stop()
			cut.Store(true)
			b, _ := c.OpenLeased(t, nil)
			if _, err := b.Lookup(bg, honeyant.RootIno, "d"); err != nil {
				t.Fatal(err)
			}
			at, err := b.Lookup(bg, d, "config")
			if err != nil {
				t.Fatal(err)
			}
			got := load(t, b, at.Ino)
			whole := bytes.Equal(got, pattern(20_000, 0))
			for n := 1; n <= version && !whole; n++ {
				whole = len(got) >= 100 && bytes.Equal(got, pattern(len(got), n))
			}
			if !whole {
				t.Fatalf("%d bytes that are no version of the file", len(got))
			}
		}
	})
}

// Who was cut off for longer than its leases last is told what it lost to others, once on each descriptor and by the
// next Sync, and goes on.
func TestLostLeaseIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := volumetest.NewCluster(t, 2, 1<<30)
		a, cut := wire(t, c)
		b, _ := c.OpenLeased(t, nil)
		d := mkdir(t, a, honeyant.RootIno, "d")
		save(t, a, d, "first", nil)
		if err := a.Sync(bg); err != nil {
			t.Fatal(err)
		}
		_, f, err := a.Create(bg, volume.NewNode{Parent: d, Name: "f", Mode: 0o644}, volume.OpenFlags{Write: true}, true)
		if err != nil {
			t.Fatal(err)
		}
		cut.Store(true)
		time.Sleep(3 * time.Second)
		if _, err := b.Lookup(bg, honeyant.RootIno, "d"); err != nil {
			t.Fatal(err)
		}
		save(t, b, d, "f", pattern(10, 1)) // a's is not there, and a is out of touch
		cut.Store(false)
		time.Sleep(3 * time.Second)
		if err := f.Fsync(bg, false); honeyant.KindOf(err) != honeyant.Unavailable {
			t.Errorf("fsync: %v", err)
		}
		if err := a.Sync(bg); err == nil {
			t.Error("sync tells nothing")
		}
		if err := a.Sync(bg); err != nil {
			t.Errorf("sync tells it twice: %v", err)
		}
		if err := f.Release(bg, 0); err != nil {
			t.Errorf("release: %v", err)
		}
		at, err := a.Lookup(bg, d, "f")
		if err != nil || !bytes.Equal(load(t, a, at.Ino), pattern(10, 1)) {
			t.Errorf("the other one's file: %v", err)
		}
		save(t, a, d, "g", pattern(10, 2))
		if _, err := b.Lookup(bg, d, "g"); err != nil {
			t.Error(err)
		}
		if lost := a.Stats().Journal.Lost; lost == 0 {
			t.Error("nothing counted as lost")
		}
	})
}

// What stat tells of a file's times does not change when its bytes are committed.
func TestTimesStayAtCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := volumetest.NewCluster(t, 2, 1<<30)
		leased, _ := c.OpenLeased(t, nil)
		for name, v := range map[string]*volume.Volume{"leased": leased, "plain": c.Open(t, nil)} {
			d := mkdir(t, v, honeyant.RootIno, name)
			for n, size := range []int{10, 3000, 50_000, 5_000_000} {
				_, f, err := v.Create(bg, volume.NewNode{Parent: d, Name: fmt.Sprint(n), Mode: 0o644}, volume.OpenFlags{Write: true}, true)
				if err != nil {
					t.Fatal(err)
				}
				time.Sleep(70 * time.Millisecond)
				for at := 0; at < size; at += 1 << 20 { // as a kernel does
					write(t, f, pattern(min(size-at, 1<<20), n), int64(at))
					time.Sleep(time.Millisecond)
				}
				before, err := v.GetAttr(bg, f.Ino())
				if err == nil {
					time.Sleep(50 * time.Millisecond)
					err = errors.Join(f.Flush(bg, 0), f.Release(bg, 0))
				}
				time.Sleep(3 * time.Second)
				after, e := v.GetAttr(bg, f.Ino())
				if err = errors.Join(err, e, v.Sync(bg)); err != nil {
					t.Fatal(err)
				}
				if before.Mtime != after.Mtime || before.Ctime != after.Ctime {
					t.Errorf("%s, %d bytes: %v %v, later %v %v", name, size, before.Mtime, before.Ctime, after.Mtime, after.Ctime)
				}
			}
		}
	})
}

// A directory stays held when many of its files were given back for want of room: they are found a page at a time.
func TestGivenBackFilesAreFoundByPages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := volumetest.NewCluster(t, 2, 1<<30)
		v, s := c.OpenLeased(t, func(o *volume.Options) { o.JournalMemory = 200_000 })
		d := mkdir(t, v, honeyant.RootIno, "d")
		const files = 2000
		for n := range files {
			save(t, v, d, fmt.Sprintf("f%05d", n), pattern(100, n))
		}
		if err := v.Sync(bg); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		if held := v.Stats().Journal.Held; held > files*3/4 {
			t.Fatalf("%d inodes are held", held)
		}
		before := s.All()
		for n := range files {
			if _, err := v.Lookup(bg, d, fmt.Sprintf("f%05d", n)); err != nil {
				t.Fatal(err)
			}
		}
		if asked := s.All() - before; asked > files/3 {
			t.Errorf("%d requests for %d names", asked, files)
		}
	})
}

// A directory of more names than one answer tells is taken part after part by who removes it in the order of a listing, and whole by
// who makes files in it; one for which there is no room is left to the leader.
func TestLargeDirectoryIsTakenInParts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const files = 9000
		c := volumetest.NewCluster(t, 2, 1<<30)
		a, _ := c.OpenLeased(t, nil)
		root := honeyant.Ino(honeyant.RootIno)
		name := func(n int) string { return fmt.Sprintf("f%05d", n) }
		var dirs []honeyant.Ino
		for _, dir := range []string{"removed", "filled", "narrow"} {
			d := mkdir(t, a, root, dir)
			for n := range files {
				save(t, a, d, name(n), nil)
			}
			dirs = append(dirs, d)
		}
		if err := a.Sync(bg); err != nil {
			t.Fatal(err)
		}
		asked := func(s *volumetest.Leased, code meta.Code, do func()) int64 {
			before := s.Calls[code].Load()
			do()
			return s.Calls[code].Load() - before
		}
		v, s := c.OpenLeased(t, nil)
		if n := asked(s, meta.CodeUnlink, func() {
			list := names(t, v, dirs[0]) // a's lease is recalled
			time.Sleep(10 * time.Second) // and the conflict is over
			slices.SortFunc(list, func(a, b string) int { return cmp.Compare(meta.NameCookie(first(a)), meta.NameCookie(first(b))) })
			for _, e := range list {
				time.Sleep(time.Millisecond)
				if err := v.Unlink(bg, dirs[0], first(e)); err != nil {
					t.Fatal(err)
				}
			}
		}); n > 200 { // one file that is still leased elsewhere holds it up for 50 ms
			t.Errorf("the leader was asked to remove %d of %d", n, files)
		}
		if n := asked(s, meta.CodeMake, func() {
			for n := range 2000 {
				if n == 1 { // the first one has recalled a's lease
					time.Sleep(10 * time.Second)
				}
				save(t, v, dirs[1], "new"+name(n), nil)
			}
		}); n > 10 {
			t.Errorf("the leader was asked to make %d of 2000", n)
		}
		// Half of the journal has room for some thousand names.
		w, s := c.OpenLeased(t, func(o *volume.Options) { o.JournalMemory = 1 << 20 })
		if n := asked(s, meta.CodeMake, func() {
			for n := range 200 {
				if n == 1 {
					time.Sleep(10 * time.Second)
				}
				save(t, w, dirs[2], "new"+name(n), nil)
			}
		}); n < 150 {
			t.Errorf("the leader was asked to make only %d of 200 for which there is no room", n)
		}
		for _, by := range []*volume.Volume{v, w} {
			if err := by.Sync(bg); err != nil {
				t.Fatal(err)
			}
		}
		for n, want := range []int{0, files + 2000, files + 200} {
			for _, by := range []*volume.Volume{a, v, w} {
				if got := len(names(t, by, dirs[n])); got != want {
					t.Errorf("directory %d has %d names, want %d", n, got, want)
				}
			}
		}
	})
}

// Who walks through a directory and removes each file gets their leases together, without a flush for it, and nothing that it has
// removed comes back with them: neither if the leader does not know of that yet, nor if it is told before its answer is taken in.
func TestLeasesComeBesideDeletions(t *testing.T) {
	for _, told := range []bool{false, true} {
		t.Run(fmt.Sprintf("told=%v", told), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const files = 500
				c := volumetest.NewCluster(t, 2, 1<<30)
				a, _ := c.OpenLeased(t, nil)
				v, s := c.OpenLeased(t, nil)
				d := mkdir(t, a, honeyant.RootIno, "d")
				for n := range files {
					save(t, a, d, fmt.Sprint("f", n), nil)
				}
				if err := a.Sync(bg); err != nil {
					t.Fatal(err)
				}
				list := names(t, v, d)       // a's lease is recalled
				slices.Sort(list)            // not as leases come
				time.Sleep(10 * time.Second) // and the conflict is over
				save(t, v, d, "new", nil)    // by which it holds the directory, and no file
				if err := v.Sync(bg); err != nil {
					t.Fatal(err)
				}
				takes, flushes := s.Calls[meta.CodeTake].Load(), s.Calls[meta.CodeFlush].Load()
				overtaken := 0
				if told {
					around := func(op meta.Op, do func()) {
						do()
						if take, is := op.(*meta.Take); is && take.Ino == d && overtaken < 5 {
							overtaken++
							if err := v.Sync(bg); err != nil {
								t.Error(err)
							}
						}
					}
					s.Around.Store(&around)
				}
				for _, e := range list {
					if _, err := v.Lookup(bg, d, first(e)); err != nil {
						t.Fatal(err)
					}
					if err := v.Unlink(bg, d, first(e)); err != nil {
						t.Fatal(err)
					}
				}
				takes, flushes = s.Calls[meta.CodeTake].Load()-takes, s.Calls[meta.CodeFlush].Load()-flushes
				if takes > 30 || flushes > int64(overtaken) || told && overtaken == 0 {
					t.Errorf("%d times leases were asked for, %d times overtaken, and %d flushes, to remove %d files", takes, overtaken, flushes, files)
				}
				if err := v.Sync(bg); err != nil {
					t.Fatal(err)
				}
				if held := v.Stats().Journal.Held; held > 3 {
					t.Errorf("%d inodes are held, not only root, directory and new file", held)
				}
				if left := names(t, a, d); len(left) != 1 {
					t.Errorf("%d names are left", len(left))
				}
			})
		})
	}
}

// first is the name in what names lists.
func first(entry string) string { name, _, _ := strings.Cut(entry, " "); return name }

// A directory that is too large to be taken stays held while its files, which were given back, are deleted.
func TestLargeDirectoryStaysHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := volumetest.NewCluster(t, 2, 1<<30)
		v, s := c.OpenLeased(t, func(o *volume.Options) { o.JournalMemory = 400_000 })
		d := mkdir(t, v, honeyant.RootIno, "d")
		const files = 4500 // more names than one Take tells
		name := func(n int) string { return fmt.Sprintf("f%05d", n) }
		for n := range files {
			save(t, v, d, name(n), nil)
		}
		if err := v.Sync(bg); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		if held := v.Stats().Journal.Held; held > files*3/4 {
			t.Fatalf("%d inodes are held", held)
		}
		before, flushes := s.Calls[meta.CodeUnlink].Load(), s.Calls[meta.CodeFlush].Load()
		for n := range files / 2 {
			if _, err := v.Lookup(bg, d, name(n)); err != nil {
				t.Fatal(err)
			}
			if err := v.Unlink(bg, d, name(n)); err != nil {
				t.Fatal(err)
			}
		}
		if asked := s.Calls[meta.CodeUnlink].Load() - before; asked > 10 {
			t.Errorf("the leader was asked for %d of %d", asked, files/2)
		}
		if asked := s.Calls[meta.CodeFlush].Load() - flushes; asked > 100 {
			t.Errorf("%d flushes for %d files", asked, files/2)
		}
		if err := v.Sync(bg); err != nil {
			t.Fatal(err)
		}
		for _, n := range []int{0, files/2 - 1} {
			if _, err := v.Lookup(bg, d, name(n)); honeyant.KindOf(err) != honeyant.NotExist {
				t.Errorf("%s: %v", name(n), err)
			}
		}
	})
}

// A flush whose outcome stayed open may be carried out later, but before anything that is changed afterwards: no lease
// is taken from a state that it will still change.
func TestOpenFlushComesFirst(t *testing.T) {
	seed := rand.Uint64()
	synctest.Test(t, func(t *testing.T) {
		t.Logf("seed %d", seed)
		r := rand.New(rand.NewPCG(seed, 4))
		c := volumetest.NewCluster(t, 2, 1<<30)
		b, _ := c.OpenLeased(t, nil)
		for round := range 30 {
			cut := &atomic.Bool{}
			s := c.NewLeased(t, func(o *remote.Options) {
				o.Local = func() (*meta.Leader, bool) { return c.Leader, !cut.Load() }
			})
			a := c.Open(t, func(o *volume.Options) { o.Meta, o.Deadline = s, 2*time.Second })
			time.Sleep(time.Second)
			dir := fmt.Sprint("d", round)
			d := mkdir(t, a, honeyant.RootIno, dir)
			save(t, a, d, "other", nil)
			if err := a.Sync(bg); err != nil {
				t.Fatal(err)
			}
			save(t, a, d, "f", []byte("before"))
			cut.Store(true)
			time.Sleep(4*time.Second + time.Duration(r.IntN(1000))*time.Millisecond)
			cut.Store(false)
			time.Sleep(time.Duration(r.IntN(300)) * time.Millisecond)
			for { // as open(2) with O_CREAT and O_TRUNC
				_, f, err := a.Create(bg, volume.NewNode{Parent: d, Name: "f", Mode: 0o644}, volume.OpenFlags{Write: true, Truncate: true}, false)
				if err != nil {
					time.Sleep(10 * time.Millisecond)
					continue
				}
				write(t, f, []byte("after"), 0)
				if err := errors.Join(f.Flush(bg, 0), f.Release(bg, 0)); err != nil {
					t.Fatal(err)
				}
				break
			}
			if _, err := b.Lookup(bg, honeyant.RootIno, dir); err != nil {
				t.Fatal(err)
			}
			at, err := b.Lookup(bg, d, "f")
			if err != nil {
				t.Fatal(err)
			}
			if got := load(t, b, at.Ino); string(got) != "after" {
				t.Fatalf("round %d: %q", round, got)
			}
		}
	})
}

// What was deleted here is not lost when another leader asks who holds what: neither if its name went to the leader
// before it was deleted, nor if the answer to its deletion is not there yet.
func TestDeletedFilesAreClaimed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := volumetest.NewCluster(t, 2, 1<<30)
		a, s := c.OpenLeased(t, nil)
		d := mkdir(t, a, honeyant.RootIno, "d")
		save(t, a, d, "f", pattern(100_000, 1))
		before, _ := s.ExclusiveEra()
		flushes := 0
		around := func(op meta.Op, do func()) {
			do()
			if _, is := op.(*meta.Flush); !is {
				return
			}
			switch flushes++; flushes {
			case 1: // has made the file, and is not answered
				if err := a.Unlink(bg, d, "f"); err != nil {
					t.Error(err)
				}
			case 2: // has deleted it, and is not answered
				changeEpoch(c, nil)
				time.Sleep(time.Second) // it is claimed meanwhile
			}
		}
		s.Around.Store(&around)
		if err := a.Sync(bg); err != nil {
			t.Fatal(err)
		}
		changeEpoch(c, nil)
		time.Sleep(300 * time.Millisecond)
		if err := a.Sync(bg); err != nil {
			t.Error(err)
		}
		if after, ok := s.ExclusiveEra(); after != before || !ok || flushes != 2 || a.Stats().Journal.Lost > 0 {
			t.Errorf("leases lost: %d, %d flushes, records lost: %d", after-before, flushes, a.Stats().Journal.Lost)
		}
	})
}

// What the leader answers while a lease is being given back that nobody has asked for, it takes to be covered by that one: it is
// not remembered, since nobody would be recalled when it changes.
func TestAnswersUnderAReturningLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := volumetest.NewCluster(t, 2, 1<<30)
		a, s := c.OpenLeased(t, nil)
		b, _ := c.OpenLeased(t, nil)
		d := mkdir(t, a, honeyant.RootIno, "d")
		f := save(t, a, d, "f", pattern(100, 1))
		if err := a.Sync(bg); err != nil {
			t.Fatal(err)
		}
		asked := 0
		ask := func(files []meta.OpenFile) {
			for _, file := range files {
				if file.Ino == f {
					asked++
					if _, err := a.GetAttr(bg, f); err != nil {
						t.Error(err)
					}
				}
			}
		}
		s.Returning.Store(&ask)
		if _, err := b.Lookup(bg, d, "other"); honeyant.KindOf(err) != honeyant.NotExist { // f goes with its directory
			t.Fatal(err)
		}
		if asked == 0 {
			t.Fatal("f was not given back")
		}
		for mode := uint32(0o600); mode < 0o606; mode++ {
			if _, err := b.SetAttr(bg, &meta.SetAttr{Ino: f, Valid: meta.SetMode, Mode: mode}); err != nil {
				t.Fatal(err)
			}
			if at, err := a.GetAttr(bg, f); err != nil || at.Mode&0o777 != mode {
				t.Fatalf("mode %o is seen as %o: %v", mode, at.Mode&0o777, err)
			}
		}
	})
}

// Who asks the leader by number finds what was published.
func TestPublish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := volumetest.NewCluster(t, 2, 1<<30)
		v, _ := c.OpenLeased(t, nil)
		d := mkdir(t, v, honeyant.RootIno, "d")
		ino := save(t, v, d, "f", pattern(20_000, 1))
		ask := func() (honeyant.Attr, error) {
			r, err := meta.Do(bg, c.Leader.Direct(), &meta.GetPolicy{Volume: honeyant.MainVolume, Ino: ino})
			if r == nil || err != nil {
				return honeyant.Attr{}, err
			}
			a, err := meta.Do(bg, c.Leader.Direct(), &meta.GetAttr{Volume: honeyant.MainVolume, Ino: ino})
			if err != nil {
				return honeyant.Attr{}, err
			}
			return a.Attr, nil
		}
		if _, err := ask(); err == nil {
			t.Fatal("the leader knows the file already: this tests nothing")
		}
		if err := v.Publish(bg, ino); err != nil {
			t.Fatal(err)
		}
		if a, err := ask(); err != nil || a.Size != 20_000 {
			t.Fatal(a.Size, err)
		}
	})
}
