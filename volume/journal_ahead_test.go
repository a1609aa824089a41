package volume_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/meta"
	"github.com/honeyant/honeyant/volume/volumetest"
)

// Who removes one directory after the other with all that is in it asks once for each: it comes with its files, while the one
// before it is being emptied.
func TestEmptiedDirectoriesComeWhole(t *testing.T) {
	for _, sorted := range []bool{false, true} {
		for _, known := range []bool{false, true} {
			t.Run(fmt.Sprintf("sorted=%v,known=%v", sorted, known), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { emptyDirectories(t, sorted, known) })
			})
		}
	}
}

// With known nothing is looked up meanwhile, as by a program whose kernel has been told all names.
func emptyDirectories(t *testing.T, sorted, known bool) {
	const dirs, files, each, road = 20, 30, time.Millisecond, 20 * time.Millisecond
	c := volumetest.NewCluster(t, 2, 1<<30)
	a, _ := c.OpenLeased(t, nil)
	v, s := c.OpenLeased(t, nil)
	top := mkdir(t, a, honeyant.RootIno, "top")
	for n := range dirs {
		d := mkdir(t, a, top, fmt.Sprint("d", n))
		for n := range files {
			save(t, a, d, fmt.Sprint("f", n), nil)
		}
	}
	if err := a.Sync(bg); err != nil {
		t.Fatal(err)
	}
	for _, e := range names(t, v, top) { // a's leases are recalled
		names(t, v, lookup(t, v, top, first(e)).Ino)
	}
	time.Sleep(10 * time.Second) // and the conflict is over
	list := names(t, v, top)
	if sorted {
		slices.Sort(list)
	}
	inodes := map[string]honeyant.Ino{}
	for _, e := range list {
		inodes[e] = lookup(t, v, top, first(e)).Ino
	}
	far := func(op meta.Op, do func()) {
		if _, is := op.(*meta.Take); is {
			time.Sleep(road)
		}
		do()
	}
	s.Around.Store(&far)
	takes, flushes := s.Calls[meta.CodeTake].Load(), s.Calls[meta.CodeFlush].Load()
	began := time.Now()
	for _, e := range list {
		d := inodes[e]
		if !known {
			d = lookup(t, v, top, first(e)).Ino
		}
		for _, e := range names(t, v, d) {
			if !known {
				lookup(t, v, d, first(e))
			}
			if err := v.Unlink(bg, d, first(e)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(each)
		}
		if err := v.Rmdir(bg, top, first(e)); err != nil {
			t.Fatal(err)
		}
	}
	waited := time.Since(began) - dirs*files*each
	takes, flushes = s.Calls[meta.CodeTake].Load()-takes, s.Calls[meta.CodeFlush].Load()-flushes
	if takes > dirs+4 || flushes > 2 {
		t.Errorf("%d times leases were asked for and %d flushes, to remove %d directories", takes, flushes, dirs)
	}
	if waited > 6*road {
		t.Errorf("waited for %v, which is %d times for leases", waited, waited/road)
	}
	if left := names(t, a, top); len(left) != 0 {
		t.Errorf("%d directories are left", len(left))
	}
}

// What is made under exclusive leases is with the leader before it is FlushInterval old, and goes together: names with their bytes, those of
// half an interval at a time.
func TestHeldChangesGoTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := volumetest.NewCluster(t, 2, 1<<30)
		v, s := c.OpenLeased(t, nil)
		d := mkdir(t, v, honeyant.RootIno, "d")
		save(t, v, d, "first", pattern(1000, 1))
		time.Sleep(5 * time.Second)
		flushes, chunks := s.Calls[meta.CodeFlush].Load(), c.Chunks.Writes.Load()
		began := time.Now()
		const every, seconds = 10 * time.Millisecond, 10
		for n := range int(seconds * time.Second / every) {
			save(t, v, d, fmt.Sprint("f", n), pattern(1000, n))
			time.Sleep(every)
			synctest.Wait()
			if age := v.Stats().Journal.Age; age > time.Second {
				t.Fatalf("after %v: a change of %v ago is not flushed", time.Since(began), age)
			}
			if dirty, most := v.Stats().DirtyBytes, int64(time.Second*8/10/every)*1000; dirty > most {
				t.Fatalf("after %v: %d bytes are dirty, more than come in 0.8 s", time.Since(began), dirty)
			}
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if st := v.Stats(); st.DirtyBytes > 0 || st.FlyingBytes > 0 || st.Journal.Records > 0 {
			t.Errorf("a second later %d bytes are dirty, %d on their way, %d changes not flushed", st.DirtyBytes, st.FlyingBytes, st.Journal.Records)
		}
		flushes, chunks = s.Calls[meta.CodeFlush].Load()-flushes, c.Chunks.Writes.Load()-chunks
		if flushes > 3*seconds || chunks > 2*3*seconds {
			t.Errorf("%d flushes and %d copies of chunks in %d s", flushes, chunks, seconds)
		}
		t.Logf("%d flushes, %d copies of chunks in %d s", flushes, chunks, seconds)
	})
}

// Two that empty directories of many files at the same time get the leases of all files of each with one answer.
func TestEmptiedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const each, files, rounds = 2, 100, 20
		c := volumetest.NewCluster(t, 2, 1<<30)
		a, _ := c.OpenLeased(t, nil)
		v, s := c.OpenLeased(t, nil)
		dirs := plant(t, a, each*rounds, files)
		for _, d := range dirs { // a's leases are recalled
			names(t, v, d)
			for n := range files {
				lookup(t, v, d, fmt.Sprintf("f%05d", n))
			}
		}
		time.Sleep(10 * time.Second) // and the conflict is over
		slow := func(op meta.Op, do func()) {
			if _, is := op.(*meta.Take); is {
				defer time.Sleep(5 * time.Millisecond)
			}
			do()
		}
		s.Around.Store(&slow)
		asked := func() int64 { return s.Calls[meta.CodeTake].Load() + s.Calls[meta.CodeUnlink].Load() }
		before := asked()
		for round := range rounds {
			var both sync.WaitGroup
			for n := range each {
				both.Go(func() {
					for i := range files {
						if err := v.Unlink(bg, dirs[round*each+n], fmt.Sprintf("f%05d", i)); err != nil {
							t.Error(err)
							return
						}
					}
				})
			}
			both.Wait()
		}
		if n := asked() - before; n > each*rounds*4 {
			t.Errorf("the leader was asked %d times, to empty %d directories", n, each*rounds)
		} else {
			t.Logf("the leader was asked %d times", n)
		}
	})
}
