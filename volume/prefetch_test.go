package volume_test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/meta"
	"github.com/honeyant/honeyant/volume"
	"github.com/honeyant/honeyant/volume/volumetest"
)

// fill makes so many empty files in a new directory.
func fill(t testing.TB, v *volume.Volume, name string, count int) (dir honeyant.Ino) {
	t.Helper()
	dir = mkdir(t, v, honeyant.RootIno, name)
	for i := range count {
		if _, err := v.Make(bg, volume.NewNode{Parent: dir, Name: fmt.Sprintf("f%05d", i), Mode: honeyant.ModeFile | 0o644}); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func lookup(t testing.TB, v *volume.Volume, dir honeyant.Ino, name string) honeyant.Attr {
	t.Helper()
	a, err := v.Lookup(bg, dir, name)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// A walk through a directory costs a few requests, however it goes about it.
func TestWalkAsksForPages(t *testing.T) {
	for _, c := range []struct {
		name   string
		files  int
		list   bool // before
		order  func(n int) []int
		atMost int64
	}{
		{"Listed", 100, true, sorted, 2},
		{"NotListed", 100, false, sorted, 3},
		{"ListedLarger", 1000, true, sorted, 8},
		{"NotListedLarger", 1000, false, sorted, 60},
		{"ListedShuffled", 1000, true, rand.Perm, 8},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cl := volumetest.NewCluster(t, 1, 1<<30)
				dir := fill(t, cl.Open(t, nil), "d", c.files)
				v, s := cl.OpenLeased(t, nil)
				before := s.All()
				if c.list {
					list(t, v, dir)
				}
				for _, i := range c.order(c.files) {
					lookup(t, v, dir, fmt.Sprintf("f%05d", i))
				}
				if n := s.All() - before; n > c.atMost {
					t.Fatalf("%d requests", n)
				}
			})
		})
	}
}

func sorted(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}

// list reads names without attributes.
func list(t testing.TB, v *volume.Volume, dir honeyant.Ino) (count int) {
	t.Helper()
	d, err := v.OpenDir(bg, dir)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if err := d.Read(bg, 0, false, func(meta.DirEntry) bool { count++; return true }); err != nil {
		t.Fatal(err)
	}
	return count
}

// Who asks a huge directory for names at random, or has no memory for pages, asks for hardly more than that.
func TestRandomNamesAskForFewPages(t *testing.T) {
	for _, memory := range []int64{100_000, 2000} {
		synctest.Test(t, func(t *testing.T) {
			c := volumetest.NewCluster(t, 1, 1<<30)
			const files = 4000
			dir := fill(t, c.Open(t, nil), "d", files)
			v, s := c.OpenLeased(t, func(o *volume.Options) { o.NameMemory = memory })
			const asked = 600
			for range asked {
				lookup(t, v, dir, fmt.Sprintf("f%05d", rand.IntN(files)))
			}
			if n := s.Calls[meta.CodeReadDir].Load(); n > asked/10 {
				t.Fatalf("memory %d: %d pages", memory, n)
			}
		})
	}
}

// Names that are not there are answered from a page, too, and what somebody else makes is seen at once.
func TestPageTellsWhatIsNotThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := volumetest.NewCluster(t, 1, 1<<30)
		other, _ := c.OpenLeased(t, nil)
		dir := fill(t, other, "d", 50)
		if err := other.Sync(bg); err != nil {
			t.Fatal(err)
		}
		v, s := c.OpenLeased(t, nil)
		for i := range 3 {
			lookup(t, v, dir, fmt.Sprintf("f%05d", i))
		}
		before := s.All()
		for i := range 100 {
			if _, err := v.Lookup(bg, dir, fmt.Sprint("absent", i)); honeyant.KindOf(err) != honeyant.NotExist {
				t.Fatal(err)
			}
		}
		if n := s.All() - before; n != 0 {
			t.Fatalf("%d requests for absent names", n)
		}
		made, err := other.Make(bg, volume.NewNode{Parent: dir, Name: "absent7", Mode: honeyant.ModeFile | 0o600})
		if err != nil {
			t.Fatal(err)
		}
		if a := lookup(t, v, dir, "absent7"); a.Ino != made.Ino {
			t.Fatal(a)
		}
	})
}

// Many that miss at once wait for one page; one that does not come hangs nobody.
func TestManyWaitForOnePage(t *testing.T) {
	for _, hangs := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			c := volumetest.NewCluster(t, 1, 1<<30)
			dir := fill(t, c.Open(t, nil), "d", 200)
			v, s := c.OpenLeased(t, nil)
			list(t, v, dir)
			release := make(chan struct{})
			around := func(op meta.Op, do func()) {
				if _, ok := op.(*meta.ReadDir); ok {
					<-release
				}
				do()
			}
			s.Around.Store(&around)
			lookup(t, v, dir, "f00000") // the first miss
			begin := time.Now()
			var all sync.WaitGroup
			for i := range 100 {
				all.Go(func() { lookup(t, v, dir, fmt.Sprintf("f%05d", i+1)) })
			}
			synctest.Wait()
			alone := s.Calls[meta.CodeLookup].Load()
			if alone != 1 {
				t.Fatalf("%d asked alone", alone)
			}
			if hangs {
				time.Sleep(3 * time.Second)
			}
			close(release)
			all.Wait()
			if took := time.Since(begin); took > 4*time.Second {
				t.Fatalf("took %v", took)
			}
			if n := s.Calls[meta.CodeReadDir].Load(); n != 3 && !hangs { // the listing's two parts and the page
				t.Fatalf("%d times ReadDir", n)
			}
			if n := s.Calls[meta.CodeLookup].Load(); !hangs && n != alone {
				t.Fatalf("%d asked alone", n)
			}
		})
	}
}

// What was let go of, since much is held, costs a few requests in a walk, too, though its directories are held.
func TestWalkOverWhatWasLetGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const dirs, files = 40, 400
		c := volumetest.NewCluster(t, 1, 1<<30)
		v, s := c.OpenLeased(t, nil)
		made := plant(t, v, dirs, files)
		time.Sleep(5 * time.Second)
		let := dirs*files - int64(v.Stats().Journal.Held)
		before := s.All()
		for _, dir := range made {
			for i := range files {
				lookup(t, v, dir, fmt.Sprintf("f%05d", i))
			}
		}
		n := s.All() - before
		t.Logf("%d requests for %d inodes that are not held", n, let)
		for code := range s.Calls {
			if k := s.Calls[code].Load(); k > 0 {
				t.Log(meta.Code(code), k)
			}
		}
		if let < 1000 || n > let/10 {
			t.Errorf("%d requests for %d inodes that are not held", n, let)
		}
	})
}

// plant makes directories d0, d1, ... of the root with files f00000, f00001, ... each, in turns, and syncs.
func plant(t *testing.T, v *volume.Volume, dirs, files int) []honeyant.Ino {
	t.Helper()
	var made []honeyant.Ino
	for i := range dirs {
		made = append(made, mkdir(t, v, honeyant.RootIno, fmt.Sprint("d", i)))
	}
	for i := range files {
		for _, dir := range made {
			if _, err := v.Make(bg, volume.NewNode{Parent: dir, Name: fmt.Sprintf("f%05d", i), Mode: honeyant.ModeFile | 0o644}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := v.Sync(bg); err != nil {
		t.Fatal(err)
	}
	return made
}

// Of more inodes than may be held the half goes that was used least lately: how often others were used does not count.
func TestLetGoOfWhatWasUsedLeast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const dirs, files, more = 40, 200, 120 // 8,000 files, of which 6,500 are not used any more, and 4,800 that are made then
		c := volumetest.NewCluster(t, 1, 1<<30)
		v, s := c.OpenLeased(t, nil)
		made := plant(t, v, dirs, files)
		var inos []honeyant.Ino
		for _, dir := range made {
			for i := range files {
				inos = append(inos, lookup(t, v, dir, fmt.Sprintf("f%05d", i)).Ino)
			}
		}
		late := inos[len(inos)-1500:]
		use := func(inos []honeyant.Ino, times int) {
			for range times {
				for _, ino := range inos {
					if _, err := v.GetAttr(bg, ino); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
		time.Sleep(5 * time.Second)
		use(late, 1) // a flush may come at any time, and room be made with it
		use(inos[:1], dirs*files)
		asked := func() int64 {
			return s.Calls[meta.CodeGetAttr].Load() + s.Calls[meta.CodeLookup].Load() + s.Calls[meta.CodeTake].Load()
		}
		before := asked()
		top := mkdir(t, v, honeyant.RootIno, "more")
		for i := range dirs * more {
			if _, err := v.Make(bg, volume.NewNode{Parent: top, Name: fmt.Sprintf("f%05d", i), Mode: honeyant.ModeFile | 0o644}); err != nil {
				t.Fatal(err)
			}
		}
		use(late, 1)
		use(inos[:1], dirs*files) // one that a program uses all the time
		if err := v.Sync(bg); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		if held := v.Stats().Journal.Held; held >= dirs*(files+more) {
			t.Fatalf("%d inodes are held: nothing was let go of", held)
		}
		use(late, 1)
		if n := asked() - before; n > 0 {
			t.Errorf("%d requests for %d files that were used last", n, len(late))
		}
	})
}
