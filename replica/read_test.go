package replica_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/chunk"
	"github.com/honeyant/honeyant/disk"
)

// written is a colony of 3 with one chunk in stores 10 and 20.
func written(t *testing.T, size int) (*colony, honeyant.ChunkRef, []byte) {
	c := newColony(t, 3)
	id, data := newChunk(size)
	ref, err := c.client().Write(t.Context(), id, data, []honeyant.StoreID{10, 20}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c, ref, data
}

func (c *colony) mustRead(ref honeyant.ChunkRef, data []byte, off, n int) time.Duration {
	c.t.Helper()
	start := time.Now()
	p := make([]byte, n)
	if err := c.client().Read(context.Background(), ref, p, uint32(off)); err != nil || !bytes.Equal(p, data[off:off+n]) {
		c.t.Fatalf("%d bytes at %d: %v", n, off, err)
	}
	return time.Since(start)
}

func TestReadRanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size = 700_001
		c, ref, data := written(t, size)
		defer c.end()
		const f = honeyant.FrameSize
		for _, r := range [][2]int{{0, 1}, {0, size}, {size - 1, 1}, {f - 1, 2}, {f, f}, {f + 1, f}, {f - 1, 3 * f}, {5, 10}, {10*f + 1, 4000}, {2 * f, 5 * f}} {
			c.mustRead(ref, data, r[0], r[1])
			p := make([]byte, r[1])
			if err := c.nodes[1].client.Read(t.Context(), ref, p, uint32(r[0])); err != nil || !bytes.Equal(p, data[r[0]:r[0]+r[1]]) {
				t.Errorf("own store, %v: %v", r, err)
			}
		}
		if err := c.client().Read(t.Context(), ref, make([]byte, 2), size-1); !errors.Is(err, honeyant.Invalid) {
			t.Errorf("past the end: %v", err)
		}
	})
}

func TestReadFailsOver(t *testing.T) {
	for name, tc := range map[string]struct {
		hurt  func(*colony, honeyant.ChunkRef)
		first time.Duration // limit of the first read; later ones find the good replica at once
		later time.Duration
		bad   []honeyant.StoreID
	}{
		"killed":     {func(c *colony, _ honeyant.ChunkRef) { c.world.Kill(1) }, 0, 0, nil},
		"black hole": {func(c *colony, _ honeyant.ChunkRef) { c.world.Isolate(1) }, 1100 * time.Millisecond, 0, nil},
		"one way":    {func(c *colony, _ honeyant.ChunkRef) { c.world.CutOneWay(1, 9) }, 1100 * time.Millisecond, 0, nil},
		"power off":  {func(c *colony, _ honeyant.ChunkRef) { c.world.PowerOff(1) }, 1100 * time.Millisecond, 0, nil},
		"slow disk": {func(c *colony, _ honeyant.ChunkRef) {
			c.nodes[1].disk.Inject(disk.Fault{Op: disk.OpRead, Delay: time.Minute})
		}, 1100 * time.Millisecond, 0, nil},
		"corrupt":      {func(c *colony, _ honeyant.ChunkRef) { c.nodes[1].store.corrupt.Store(true) }, 0, 0, []honeyant.StoreID{10}},
		"corrupt wire": {func(c *colony, _ honeyant.ChunkRef) { c.nodes[1].store.lie.Store(true) }, 0, 0, []honeyant.StoreID{10}},
		"deleted": {func(c *colony, ref honeyant.ChunkRef) {
			if err := c.client().Delete(context.Background(), 10, ref.ID, ref.Replicas[0].Generation); err != nil {
				c.t.Error(err)
			}
		}, 0, 0, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, ref, data := written(t, 500_000)
				defer c.end()
				c.mustRead(ref, data, 0, 100)
				tc.hurt(c, ref)
				swapped := ref
				swapped.Replicas = []honeyant.Replica{ref.Replicas[1], ref.Replicas[0]}
				for i, r := range []honeyant.ChunkRef{ref, swapped} { // whichever is thought nearer
					if d := c.mustRead(r, data, 1000, 300_000); d > tc.first {
						t.Errorf("read %d took %v", i, d)
					}
				}
				if d := c.mustRead(ref, data, 0, 500_000); d > tc.later {
					t.Errorf("a later read took %v", d)
				}
				for _, b := range c.bad {
					if !slices.Contains(tc.bad, b.Store) {
						t.Errorf("reported as bad: %v", b)
					}
				}
				if len(tc.bad) > 0 && len(c.bad) == 0 {
					t.Error("the bad replica was not reported")
				}
			})
		})
	}
}

func TestReadFails(t *testing.T) {
	both := func(c *colony, f func(*node)) {
		f(c.nodes[1])
		f(c.nodes[2])
	}
	gone := func(c *colony, ref honeyant.ChunkRef, i int) {
		if err := c.client().Delete(context.Background(), ref.Replicas[i].Store, ref.ID, ref.Replicas[i].Generation); err != nil {
			c.t.Error(err)
		}
	}
	for name, tc := range map[string]struct {
		hurt  func(*colony, honeyant.ChunkRef)
		want  honeyant.Kind
		limit time.Duration
	}{
		"all corrupt":  {func(c *colony, _ honeyant.ChunkRef) { both(c, func(n *node) { n.store.corrupt.Store(true) }) }, honeyant.Corrupt, 0},
		"all lie":      {func(c *colony, _ honeyant.ChunkRef) { both(c, func(n *node) { n.store.lie.Store(true) }) }, honeyant.Corrupt, 0},
		"all deleted":  {func(c *colony, ref honeyant.ChunkRef) { gone(c, ref, 0); gone(c, ref, 1) }, honeyant.Stale, 0},
		"one deleted":  {func(c *colony, ref honeyant.ChunkRef) { gone(c, ref, 0); c.world.Kill(2) }, honeyant.Stale, 0},
		"one damaged":  {func(c *colony, ref honeyant.ChunkRef) { c.nodes[1].store.corrupt.Store(true); c.world.Kill(2) }, honeyant.Unavailable, 0},
		"nobody there": {func(c *colony, _ honeyant.ChunkRef) { c.world.Isolate(9) }, honeyant.Unavailable, 30 * time.Second},
		"past incarnation": {func(c *colony, _ honeyant.ChunkRef) {
			both(c, func(n *node) { n.real.RaiseIncarnation(7) })
		}, honeyant.Unavailable, 0}, // [P6]
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, ref, _ := written(t, 100_000)
				defer c.end()
				tc.hurt(c, ref)
				start := time.Now()
				if err := c.client().Read(t.Context(), ref, make([]byte, 100_000), 0); honeyant.KindOf(err) != tc.want {
					t.Errorf("%v, want %v", err, tc.want)
				}
				within(t, "the read", start, tc.limit)
			})
		})
	}
}

// A store that this node's map does not know yet may have joined a moment ago: that is no reason to call the chunk gone.
func TestReadFromAStoreNotYetKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, ref, _ := written(t, 100_000)
		defer c.end()
		for i := range ref.Replicas {
			ref.Replicas[i].Store += 1000
		}
		if err := c.client().Read(t.Context(), ref, make([]byte, 100_000), 0); honeyant.KindOf(err) != honeyant.Unavailable {
			t.Error(err)
		}
	})
}

// A lone slow disk is waited for.
func TestReadSlowAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, ref, data := written(t, 100_000)
		defer c.end()
		for _, n := range []honeyant.NodeID{1, 2} {
			c.nodes[n].disk.Inject(disk.Fault{Op: disk.OpRead, Delay: 4 * time.Second})
		}
		if d := c.mustRead(ref, data, 0, 100_000); d > 10*time.Second {
			t.Errorf("took %v", d)
		}
	})
}

// An own disk that is slow costs one slow read, then another node is asked.
func TestReadAvoidsOwnSlowDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, ref, data := written(t, 100_000)
		defer c.end()
		c.nodes[1].disk.Inject(disk.Fault{Op: disk.OpRead, Delay: 3 * time.Second})
		p := make([]byte, len(data))
		for i, want := range []bool{true, false, false} {
			start := time.Now()
			if err := c.nodes[1].client.Read(t.Context(), ref, p, 0); err != nil || !bytes.Equal(p, data) {
				t.Fatal(err)
			}
			if slow := time.Since(start) > time.Second; slow != want {
				t.Errorf("read %d took %v", i, time.Since(start))
			}
		}
	})
}

func TestReadPrefersTheQuick(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, ref, data := written(t, 100_000)
		defer c.end()
		c.world.Delay(1, 9, 50*time.Millisecond)
		c.world.Delay(2, 9, 5*time.Millisecond)
		for range 2 {
			c.mustRead(ref, data, 0, 10)
		}
		if d := c.mustRead(ref, data, 0, 10); d > 5*time.Millisecond {
			t.Errorf("took %v", d)
		}
		c.world.Delay(1, 9, time.Millisecond)
		time.Sleep(time.Minute) // a figure fades: the node that was slow is tried again
		c.mustRead(ref, data, 0, 10)
		if d := c.mustRead(ref, data, 0, 10); d > time.Millisecond {
			t.Errorf("took %v once the other is quick", d)
		}
	})
}

func TestCopy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, size := range []int{1, 100_000, honeyant.ChunkSize} {
			for _, by := range []honeyant.NodeID{9, 3} { // from outside, and by the target itself
				func() {
					c, ref, data := written(t, size)
					defer c.end()
					c.nodes[1].store.lie.Store(true) // the source asked first is damaged
					gen, sum, err := c.nodes[by].client.Copy(t.Context(), ref, 30)
					if err != nil || sum != ref.Sum {
						t.Fatalf("%v, %v", sum, err)
					}
					c.mustHold(honeyant.ChunkRef{ID: ref.ID, Sum: sum, Replicas: []honeyant.Replica{{Store: 30, Generation: gen}}}, data, 30)
					c.nodes[2].store.lie.Store(true)
					if _, _, err := c.nodes[by].client.Copy(t.Context(), ref, 30); !errors.Is(err, honeyant.Corrupt) {
						t.Errorf("from damaged ones only: %v", err)
					}
					ref.Replicas = nil
					if _, _, err := c.nodes[by].client.Copy(t.Context(), ref, 30); !errors.Is(err, honeyant.Stale) {
						t.Errorf("from nowhere: %v", err)
					}
				}()
			}
		}
	})
}

func TestSmallOperations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, ref, _ := written(t, 100_000)
		defer c.end()
		ctx := t.Context()
		for name, client := range map[string]honeyant.NodeID{"remote": 9, "own": 1} {
			cl, gen := c.nodes[client].client, ref.Replicas[0].Generation
			if sum, err := cl.Verify(ctx, 10, ref.ID, gen); err != nil || sum != ref.Sum {
				t.Errorf("%s: verify %v, %v", name, sum, err)
			}
			if info, err := cl.Stat(ctx, 10, ref.ID, 0); err != nil || info.Generation != gen || info.Sum != ref.Sum {
				t.Errorf("%s: stat %+v, %v", name, info, err)
			}
			if _, err := cl.Verify(ctx, 10, ref.ID, gen+1); !errors.Is(err, honeyant.Stale) && !errors.Is(err, honeyant.NotExist) {
				t.Errorf("%s: verify of another generation: %v", name, err)
			}
			buckets, err := cl.Buckets(ctx, 10)
			n := chunk.BucketOf(ref.ID)
			if err != nil || len(buckets) != chunk.Buckets || buckets[n] != chunk.InventoryHash(ref.ID, gen) {
				t.Errorf("%s: buckets: %v", name, err)
			}
			list, err := cl.Bucket(ctx, 10, n)
			if err != nil || len(list) != 1 || list[0].ID != ref.ID || list[0].Generation != gen {
				t.Errorf("%s: bucket: %+v, %v", name, list, err)
			}
			if _, err := cl.Stat(ctx, 77, ref.ID, 0); !errors.Is(err, honeyant.Unavailable) {
				t.Errorf("%s: unknown store: %v", name, err)
			}
			if err := cl.Delete(ctx, 10, ref.ID, gen+1<<24); err != nil { // another generation: nothing happens [5]
				t.Errorf("%s: %v", name, err)
			}
			if _, err := cl.Stat(ctx, 10, ref.ID, gen); err != nil {
				t.Errorf("%s: a delete of another generation took it: %v", name, err)
			}
		}
		if err := c.client().Delete(ctx, 20, ref.ID, ref.Replicas[1].Generation); err != nil {
			t.Error(err)
		}
		if _, err := c.client().Stat(ctx, 20, ref.ID, 0); !errors.Is(err, honeyant.NotExist) {
			t.Errorf("after the delete: %v", err)
		}
	})
}
