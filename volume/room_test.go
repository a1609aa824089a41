package volume_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/meta"
	"github.com/honeyant/honeyant/volume"
	"github.com/honeyant/honeyant/volume/volumetest"
)

// lateMap is the cluster's map as nodes hear of it: up to two seconds old.
func lateMap(c *volumetest.Cluster) func() *honeyant.Map {
	var mu sync.Mutex // guards below
	var m *honeyant.Map
	var at time.Time
	return func() *honeyant.Map {
		mu.Lock()
		defer mu.Unlock()
		if m == nil || time.Since(at) >= 2*time.Second {
			m, at = c.Map(), time.Now()
		}
		return m
	}
}

// Rule 26: three nodes fill the cluster at once, by a map that is late, over stores that are slow, and none of them ever
// calls fsync. Who hears nothing from write(2) has its bytes stored: ENOSPC is told there, and never at close.
func TestAcceptedWritesFindTheirPlace(t *testing.T) {
	for _, leased := range []bool{false, true} {
		t.Run(fmt.Sprintf("leased=%t", leased), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const capacity, each = 24 << 20, 300_000
				c := volumetest.NewCluster(t, 3, capacity)
				slow := func(ctx context.Context, _ honeyant.ChunkID, _ int) error {
					time.Sleep(300 * time.Millisecond)
					return nil
				}
				c.Chunks.BeforeWrite.Store(&slow)
				total := make([]int64, 3)
				var volumes []*volume.Volume
				for range 3 {
					change := func(o *volume.Options) {
						o.Map, o.MapAge, o.SpaceWait = lateMap(c), 3*time.Second, 5*time.Second
					}
					if leased {
						v, _ := c.OpenLeased(t, change)
						volumes = append(volumes, v)
					} else {
						volumes = append(volumes, c.Open(t, change))
					}
				}
				var wg sync.WaitGroup
				for n, v := range volumes {
					dir := mkdir(t, v, honeyant.RootIno, fmt.Sprintf("d%d", n))
					wg.Go(func() {
						for i := 0; ; i++ {
							_, f, err := v.Create(bg, volume.NewNode{Parent: dir, Name: fmt.Sprint(i), Mode: 0o644}, readWrite, true)
							if err != nil {
								t.Errorf("node %d, file %d: %v", n, i, err)
								return
							}
							_, err = f.WriteAt(bg, pattern(each, i), 0, volume.WriteFlags{})
							if e := f.Flush(bg, 0); e != nil {
								t.Errorf("node %d, file %d: what write(2) took does not fit at close: %v", n, i, e)
							}
							if e := f.Release(bg, 0); e != nil {
								t.Errorf("node %d, file %d: %v", n, i, e)
							}
							if errors.Is(err, honeyant.NoSpace) {
								total[n] = int64(i) * each
								return
							}
							if err != nil || i > 1000 {
								t.Errorf("node %d, file %d: %v", n, i, err)
								return
							}
						}
					})
				}
				wg.Wait()
				c.Chunks.BeforeWrite.Store(nil)
				var sum int64
				for n, v := range volumes {
					if err := v.Sync(bg); err != nil {
						t.Errorf("node %d: %v", n, err)
					}
					if lost := v.Stats().LostWrites; lost != 0 {
						t.Errorf("node %d lost %d writes that it had taken", n, lost)
					}
					sum += total[n]
				}
				if t.Logf("%d MB of %d", sum/1e6, capacity*3/2/1_000_000); sum < capacity*3/2*3/4 {
					t.Errorf("%d MB only", sum/1e6)
				}
				for n := range volumes {
					v := volumes[(n+1)%3]
					dir := lookup(t, v, honeyant.RootIno, fmt.Sprintf("d%d", n)).Ino
					for i := range total[n] / each {
						f, err := v.Open(bg, lookup(t, v, dir, fmt.Sprint(i)).Ino, volume.OpenFlags{Read: true})
						if err != nil {
							t.Fatal(err)
						}
						if !bytes.Equal(readAll(t, f), pattern(each, int(i))) {
							t.Fatalf("node %d, file %d holds something else", n, i)
						}
						closeFile(t, f)
					}
				}
			})
		})
	}
}

// In a full cluster what goes with the metadata goes on; what is closed without room for it is told by close.
func TestSmallFilesInAFullCluster(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := volumetest.NewCluster(t, 3, 4<<20)
		v, _ := c.OpenLeased(t, nil)
		dir := mkdir(t, v, honeyant.RootIno, "d")
		make := func(name string, n int) (*volume.File, error) {
			_, f, err := v.Create(bg, volume.NewNode{Parent: dir, Name: name, Mode: 0o644}, readWrite, true)
			if err != nil {
				t.Fatal(err)
			}
			_, err = f.WriteAt(bg, pattern(n, n), 0, volume.WriteFlags{})
			return f, err
		}
		var err error
		for i := 0; err == nil; i++ {
			var f *volume.File
			f, err = make(fmt.Sprint("large", i), 200_000)
			closeFile(t, f)
		}
		kindIs(t, err, honeyant.NoSpace)
		for i := range 20 {
			f, err := make(fmt.Sprint("small", i), 200*(i+1))
			if err != nil {
				t.Fatalf("%d bytes: %v", 200*(i+1), err)
			}
			closeFile(t, f)
		}
		// The map tells of room that no store has: what write(2) took fails when it is flushed, and close says so.
		c.Chunks.Lie(2 << 20)
		time.Sleep(time.Second)
		told := uint64(0)
		for i := 0; told == 0; i++ {
			f, err := make(fmt.Sprint("refused", i), 300_000)
			if err != nil || i > 20 {
				t.Fatalf("file %d: %v", i, err)
			}
			if err = f.Flush(bg, 0); err != nil {
				kindIs(t, err, honeyant.NoSpace)
				told++
			}
			if err := f.Release(bg, 0); err != nil {
				t.Error(err)
			}
		}
		if lost := v.Stats().LostWrites; lost != told {
			t.Errorf("%d writes were lost, %d programs were told", lost, told)
		}
		if err := v.Sync(bg); err != nil {
			t.Fatal(err)
		}
		w := c.Open(t, nil)
		for i := range 20 {
			f, err := w.Open(bg, lookup(t, w, lookup(t, w, honeyant.RootIno, "d").Ino, fmt.Sprint("small", i)).Ino, volume.OpenFlags{Read: true})
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(readAll(t, f), pattern(200*(i+1), 200*(i+1))) {
				t.Errorf("small%d holds something else", i)
			}
			closeFile(t, f)
		}
	})
}

// Rules 9, 26: a leader without room for metadata says so with the next flush, and from then on a node that works by
// itself refuses what it could not get rid of: nothing that it has answered for is lost.
func TestFullMetadataAreToldAtTheCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := volumetest.NewCluster(t, 3, 1<<30)
		v, _ := c.OpenLeased(t, nil)
		dir := mkdir(t, v, honeyant.RootIno, "d")
		touch := func(name string) error {
			_, f, err := v.Create(bg, volume.NewNode{Parent: dir, Name: name, Mode: 0o644}, readWrite, true)
			if err != nil {
				return err
			}
			defer closeFile(t, f)
			_, err = f.WriteAt(bg, pattern(1000, 1), 0, volume.WriteFlags{})
			return err
		}
		if err := touch("before"); err != nil {
			t.Fatal(err)
		}
		local := v.Stats().Journal.Local
		c.Full.Store(true)
		taken := 0
		var err error
		for ; err == nil && taken < 1000; taken++ {
			err = touch(fmt.Sprint(taken))
			time.Sleep(20 * time.Millisecond)
		}
		kindIs(t, err, honeyant.NoSpace)
		if taken--; v.Stats().Journal.Local < local+uint64(taken) {
			t.Fatal("nothing was done locally")
		}
		t.Logf("%d files before the leader's word was heard", taken)
		if taken > 60 {
			t.Errorf("%d files were taken", taken)
		}
		kindIs(t, v.SetXattr(bg, &meta.SetXattr{Ino: lookup(t, v, dir, "before").Ino, Name: "user.x", Value: []byte("x")}), honeyant.NoSpace)
		if err := v.Unlink(bg, dir, "before"); err != nil {
			t.Error(err)
		}
		if err := v.Sync(bg); err != nil {
			t.Error(err)
		}
		w := c.Open(t, nil)
		d := lookup(t, w, honeyant.RootIno, "d").Ino
		for i := range taken {
			if a := lookup(t, w, d, fmt.Sprint(i)); a.Size != 1000 {
				t.Errorf("file %d has %d bytes", i, a.Size)
			}
		}
		c.Full.Store(false)
		time.Sleep(10 * time.Second)
		for i := range 50 {
			if err := touch(fmt.Sprint("again", i)); err != nil {
				t.Fatal(err)
			}
		}
		if v.Stats().LostWrites+v.Stats().Journal.Lost != 0 {
			t.Errorf("%+v", v.Stats())
		}
	})
}
