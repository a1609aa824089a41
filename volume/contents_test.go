package volume_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/meta"
	"github.com/honeyant/honeyant/rpc/rpctest"
	"github.com/honeyant/honeyant/volume"
	"github.com/honeyant/honeyant/volume/volumetest"
)

// makeFile makes a file with content.
func makeFile(t testing.TB, v *volume.Volume, dir honeyant.Ino, name string, content []byte) honeyant.Ino {
	t.Helper()
	a, f, err := v.Create(bg, volume.NewNode{Parent: dir, Name: name, Mode: 0o644}, readWrite, true)
	if err != nil {
		t.Fatal(err)
	}
	write(t, f, content, 0)
	closeFile(t, f)
	return a.Ino
}

// readFile opens, reads and closes a file, as a program does.
func readFile(t testing.TB, v *volume.Volume, dir honeyant.Ino, name string) []byte {
	t.Helper()
	a := lookup(t, v, dir, name)
	f, err := v.Open(bg, a.Ino, volume.OpenFlags{Read: true})
	if err != nil {
		t.Fatal(err)
	}
	defer closeFile(t, f)
	return readAll(t, f)
}

// Reading many small files costs a few requests, reading them again none.
func TestSmallFilesAreReadFromPages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := volumetest.NewCluster(t, 1, 1<<30)
		w := c.Open(t, nil)
		const files = 100
		dir := mkdir(t, w, honeyant.RootIno, "d")
		size := func(i int) int { return []int{0, 10, 4096, 4097, 20_000}[i%5] }
		for i := range files {
			makeFile(t, w, dir, fmt.Sprint("f", i), pattern(size(i), i))
		}
		other, _ := c.OpenLeased(t, nil)
		v, s := c.OpenLeased(t, nil)
		for turn, most := range []int64{6, 0} {
			before := s.All() - s.Calls[meta.CodeRelease].Load()
			if turn == 0 {
				list(t, v, dir)
			}
			for i := range files {
				if got := readFile(t, v, dir, fmt.Sprint("f", i)); !bytes.Equal(got, pattern(size(i), i)) {
					t.Fatalf("file %d: %d bytes", i, len(got))
				}
			}
			if n := s.All() - s.Calls[meta.CodeRelease].Load() - before; n > most {
				t.Fatalf("turn %d: %d requests", turn, n)
			}
		}
		for i := range files { // what is remembered is what there is
			name := fmt.Sprint("f", i)
			f, err := other.Open(bg, lookup(t, other, dir, name).Ino, readWrite)
			if err != nil {
				t.Fatal(err)
			}
			want := pattern(size(i)+1, i+files)
			write(t, f, want, 0)
			closeFile(t, f)
			if got := readFile(t, v, dir, name); !bytes.Equal(got, want) {
				t.Fatalf("file %d: %d bytes of old content", i, len(got))
			}
		}
	})
}

// After the first directories of a tree each one costs a listing, with what its files hold. Who only lists soon gets
// only names again.
func TestTreeIsReadByListings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := volumetest.NewCluster(t, 1, 1<<30)
		w := c.Open(t, nil)
		const dirs, files = 20, 50
		var all []honeyant.Ino
		for d := range dirs {
			dir := mkdir(t, w, honeyant.RootIno, fmt.Sprint("d", d))
			all = append(all, dir)
			for i := range files {
				makeFile(t, w, dir, fmt.Sprint("f", i), pattern(4096, d*files+i))
			}
		}
		v, s := c.OpenLeased(t, nil)
		before := s.All()
		for d, dir := range all {
			list(t, v, dir)
			for i := range files {
				if got := readFile(t, v, dir, fmt.Sprint("f", i)); !bytes.Equal(got, pattern(4096, d*files+i)) {
					t.Fatalf("file %d: %d bytes", i, len(got))
				}
			}
		}
		if n := s.All() - before; n > dirs+15 {
			t.Fatalf("%d requests", n)
		}
		other, so := c.OpenLeased(t, nil)
		rich := 0
		around := func(op meta.Op, do func()) {
			if o, ok := op.(*meta.ReadDir); ok && o.Plus {
				rich++
			}
			do()
		}
		so.Around.Store(&around)
		for i := range 2 * files { // gets into the habit
			lookup(t, other, all[i/files], fmt.Sprint("f", i%files))
		}
		rich = 0
		for _, dir := range all[2:] {
			list(t, other, dir)
		}
		if rich == 0 || rich > dirs/2 {
			t.Fatalf("%d of %d listings with attributes that nobody wanted", rich, dirs-2)
		}
	})
}

// What lies in chunks is loaded for the files that are read next, a chunk that several share once.
func TestNeighboursAreLoaded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := volumetest.NewCluster(t, 1, 1<<30)
		w := c.Open(t, nil)
		const files, size = 60, 10_000
		dir := mkdir(t, w, honeyant.RootIno, "d")
		for i := range files {
			makeFile(t, w, dir, fmt.Sprint("f", i), pattern(size, i))
		}
		slow := func(context.Context, honeyant.ChunkRef, int, uint32) error { time.Sleep(time.Millisecond); return nil }
		c.Chunks.BeforeRead.Store(&slow)
		v, _ := c.OpenLeased(t, nil)
		list(t, v, dir)
		before := c.Chunks.Reads.Load()
		began := time.Now()
		for i := range files {
			if got := readFile(t, v, dir, fmt.Sprint("f", i)); !bytes.Equal(got, pattern(size, i)) {
				t.Fatalf("file %d: %d bytes", i, len(got))
			}
		}
		if took := time.Since(began); took > files*time.Millisecond/3 { // in fake time
			t.Errorf("took %v", took)
		}
		if n := c.Chunks.Reads.Load() - before; n > files*5/4 {
			t.Errorf("%d reads of %d chunks", n, files)
		}
		if n := v.Stats().ReadCacheBytes; n > 8<<20 {
			t.Errorf("%d bytes in the cache", n)
		}
	})
}

// Contents that are remembered name chunks; when these are gone newer extents are asked for.
func TestRememberedChunkIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := volumetest.NewCluster(t, 1, 1<<30)
		w := c.Open(t, nil)
		ino := makeFile(t, w, honeyant.RootIno, "f", pattern(10_000, 1))
		v, s := c.OpenLeased(t, nil)
		readFile(t, v, honeyant.RootIno, "f")
		for _, id := range c.Chunks.IDs() {
			c.Chunks.Lose(id)
		}
		f, err := v.Open(bg, ino, readWrite)
		if err != nil {
			t.Fatal(err)
		}
		defer closeFile(t, f)
		before := s.Calls[meta.CodeExtents].Load()
		if _, err := f.ReadAt(bg, make([]byte, 10), 0); err == nil {
			t.Fatal("read what is gone")
		}
		if s.Calls[meta.CodeExtents].Load() == before {
			t.Fatal("the leader was not asked")
		}
	})
}

// A file that is open on one node, under a lease and without a word to the leader, outlives its unlink on another:
// with the lease in force, after the epoch has changed, and after the leases have lapsed, whichever is first.
func TestUnlinkWhileOpenElsewhere(t *testing.T) {
	for _, c := range []struct {
		name   string
		before func(*volumetest.Cluster, *rpctest.Road)
		after  func(*volumetest.Cluster, *rpctest.Road)

		journal bool
	}{
		{"InForce", nil, nil, false},
		{"Exclusive", nil, nil, true},
		{"ExclusiveThenCutOff", nil, func(_ *volumetest.Cluster, r *rpctest.Road) { r.CutFor(4 * time.Second) }, true},
		{"ThenEpochChanges", nil, changeEpoch, false},
		{"EpochHasChanged", changeEpoch, nil, false},
		{"CutOff", func(_ *volumetest.Cluster, r *rpctest.Road) { r.CutFor(4 * time.Second) }, nil, false},
		{"ThenCutOff", nil, func(_ *volumetest.Cluster, r *rpctest.Road) { r.CutFor(4 * time.Second) }, false},
		{"WasCutOff", func(_ *volumetest.Cluster, r *rpctest.Road) { r.CutFor(3 * time.Second); time.Sleep(5 * time.Second) }, nil, false},
	} {
		for _, same := range []bool{false, true} {
			t.Run(fmt.Sprint(c.name, same), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					cl := volumetest.NewCluster(t, 1, 1<<30)
					v, s, way := openOverRoad(t, cl, [2]uint64{1, 2}, func(o *volume.Options) { o.NoJournal = !c.journal })
					content := pattern(10_000, 7)
					dir := mkdir(t, v, honeyant.RootIno, "d")
					makeFile(t, v, dir, "f", content)
					a := lookup(t, v, dir, "f")
					time.Sleep(2 * time.Second) // what was open is released by now
					opens := s.Calls[meta.CodeOpen].Load()
					f, err := v.Open(bg, a.Ino, volume.OpenFlags{Read: true})
					if err != nil {
						t.Fatal(err)
					}
					if s.Calls[meta.CodeOpen].Load() != opens || cl.Leader.Opens() != 0 {
						t.Fatal("the leader was told of the open")
					}
					if c.before != nil {
						c.before(cl, way)
					}
					by := v
					if !same {
						by, _ = cl.OpenLeased(t, nil)
					}
					if err := by.Unlink(bg, dir, "f"); err != nil {
						t.Fatal(err)
					}
					if c.after != nil {
						c.after(cl, way)
					}
					for range 3 {
						time.Sleep(5 * time.Second)
						if got := readAll(t, f); !bytes.Equal(got, content) {
							t.Fatalf("%d bytes", len(got))
						}
						if _, err := v.GetAttr(bg, a.Ino); err != nil {
							t.Fatal(err)
						}
					}
					closeFile(t, f)
					time.Sleep(10 * time.Second)
					if n := orphansOf(t, cl); n != 0 {
						t.Fatalf("%d orphans after the last release", n)
					}
				})
			})
		}
	}
}

func orphansOf(t testing.TB, c *volumetest.Cluster) uint64 {
	t.Helper()
	r, err := meta.Do(bg, c.Leader.Direct(), &meta.Counts{Volume: honeyant.MainVolume})
	if err != nil {
		t.Fatal(err)
	}
	return r.Orphans
}

// Whatever is open can be read, whoever unlinks it meanwhile, over ways that are cut and changes of the epoch; and
// nothing is left over.
func TestOpenFilesOutliveUnlinks(t *testing.T) {
	for name, journal := range map[string]bool{"Shared": false, "Exclusive": true} {
		t.Run(name, func(t *testing.T) {
			seed := rand.Uint64()
			t.Logf("seed %d", seed)
			synctest.Test(t, func(t *testing.T) { outlive(t, seed, journal) })
		})
	}
}

func outlive(t *testing.T, seed uint64, journal bool) {
	longest := 3 * time.Second
	if journal { // who is cut off for longer than its leases last counts as crashed
		longest = 300 * time.Millisecond
	}
	c := volumetest.NewCluster(t, 1, 1<<30)
	var volumes []*volume.Volume
	var roads []*rpctest.Road
	var sessions []*volumetest.Leased
	for i := range 3 {
		v, s, r := openOverRoad(t, c, [2]uint64{seed, uint64(i)}, func(o *volume.Options) { o.NoJournal = !journal })
		if journal {
			r.Bound(10*time.Millisecond, 20)
		}
		volumes, sessions, roads = append(volumes, v), append(sessions, s), append(roads, r)
	}
	dir := mkdir(t, volumes[0], honeyant.RootIno, "d")
	var clients sync.WaitGroup
	for id := range 6 {
		v, rng := volumes[id%3], rand.New(rand.NewPCG(seed, uint64(id)))
		clients.Go(func() { openAndUnlink(t, v, dir, rng) })
	}
	end := trouble(c, roads, seed, time.Second, longest)
	clients.Wait()
	end()
	time.Sleep(time.Minute)
	for _, s := range sessions {
		if slots, open := s.Status(); slots+open != 0 {
			t.Errorf("session %d: %d slots, %d files", s.ID(), slots, open)
		}
		if lost, _ := s.ExclusiveEra(); lost > 0 {
			t.Errorf("session %d lost leases %d times, though it was never out of touch for longer than they last", s.ID(), lost)
		}
	}
	if n := orphansOf(t, c); c.Leader.Opens() != 0 || n != 0 && !journal { // who holds an orphan exclusively may keep it
		t.Errorf("%d orphans, %d open, known %v, leases %+v", n, c.Leader.Opens(), c.Leader.OpensKnown(), c.Leader.Leases())
	}
}

// openAndUnlink makes, opens, reads and unlinks files that others do the same with. Each holds its name and number as
// content.
func openAndUnlink(t *testing.T, v *volume.Volume, dir honeyant.Ino, rng *rand.Rand) {
	ended := func(err error) bool {
		switch honeyant.KindOf(err) {
		case honeyant.Exist, honeyant.NotExist, honeyant.Unavailable, honeyant.Stale:
			return err != nil
		}
		if err != nil {
			t.Error(err)
		}
		return err != nil
	}
	for range 60 {
		time.Sleep(time.Duration(rng.ExpFloat64() * float64(100*time.Millisecond)))
		name := string(rune('a' + rng.IntN(4)))
		switch rng.IntN(3) {
		case 0:
			_, f, err := v.Create(bg, volume.NewNode{Parent: dir, Name: name, Mode: 0o644}, readWrite, true)
			if ended(err) {
				continue
			}
			if _, err := f.WriteAt(bg, bytes.Repeat([]byte(name), 5000), 0, volume.WriteFlags{}); err != nil {
				t.Error(err)
			}
			_ = f.Flush(bg, 0)
			_ = f.Release(bg, 0)
		case 1:
			ended(v.Unlink(bg, dir, name))
		case 2:
			a, err := v.Lookup(bg, dir, name)
			if ended(err) {
				continue
			}
			f, err := v.Open(bg, a.Ino, volume.OpenFlags{Read: true})
			if ended(err) {
				continue
			}
			for range 3 {
				time.Sleep(time.Duration(rng.ExpFloat64() * float64(2*time.Second)))
				p := make([]byte, 6000)
				if n, err := f.ReadAt(bg, p, 0); err != nil {
					t.Errorf("an open file can not be read: %v", err)
				} else if !bytes.Equal(p[:n], bytes.Repeat([]byte(name), n)) {
					t.Error("other bytes")
				}
			}
			ended(f.Release(bg, 0))
		}
	}
}
