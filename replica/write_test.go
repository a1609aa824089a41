package replica_test

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/disk"
	"github.com/honeyant/honeyant/rpc"
)

func TestWriteSizes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newColony(t, 3)
		defer c.end()
		for _, size := range []int{0, 1, 4096, 64 << 10, 64<<10 + 1, 200_000, 256 << 10, 1_000_001, honeyant.ChunkSize} {
			for name, from := range map[string]honeyant.NodeID{"pure client": 9, "head": 1, "other": 3} {
				id, data := newChunk(size)
				targets := []honeyant.StoreID{10, 20, 30}
				ref, err := c.nodes[from].client.Write(t.Context(), id, data, targets, nil)
				if err != nil {
					t.Fatalf("%d bytes from the %s: %v", size, name, err)
				}
				c.mustHold(ref, data, targets...)
				again, err := c.nodes[from].client.Write(t.Context(), id, data, targets[:1], nil) // as a retry does
				if err != nil || again.Replicas[0].Store != 10 {
					t.Errorf("again: %+v, %v", again, err)
				}
			}
		}
	})
}

// [P3, P4] Every kind of death at every place of a chain, in the middle of the data: the
// others keep the chunk, one replacement takes it, and nobody waits for more than 5 s.
func TestNodeLostInTheMiddle(t *testing.T) {
	deaths := map[string]func(*colony, honeyant.NodeID){
		"killed":     func(c *colony, n honeyant.NodeID) { c.world.Kill(n) },
		"power off":  func(c *colony, n honeyant.NodeID) { c.world.PowerOff(n) },
		"black hole": func(c *colony, n honeyant.NodeID) { c.world.Isolate(n) },
	}
	for name, death := range deaths {
		for victim := honeyant.NodeID(1); victim <= 3; victim++ {
			for _, size := range []int{100_000, honeyant.ChunkSize} {
				for _, at := range []int{1, 30} {
					t.Run(fmt.Sprintf("%s/%v/%d/%d", name, victim, size, at), func(t *testing.T) {
						synctest.Test(t, func(t *testing.T) { loseOne(t, death, victim, size, at) })
					})
				}
			}
		}
	}
}

func loseOne(t *testing.T, death func(*colony, honeyant.NodeID), victim honeyant.NodeID, size, at int) {
	c := newColony(t, 4)
	defer c.end()
	targets := []honeyant.StoreID{10, 20, 30}
	for range 2 { // connections are warm
		id, data := newChunk(size)
		if _, err := c.client().Write(t.Context(), id, data, targets, nil); err != nil {
			t.Fatal(err)
		}
	}
	// The at-th write of the client's data strikes.
	struck := make(chan struct{})
	seen := 0
	c.world.Tap(9, 1, func(_ rpc.Proto, b []byte) []byte {
		if seen++; seen == at {
			close(struck)
		}
		return b
	})
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		select {
		case <-struck:
			death(c, victim)
		case <-time.After(10 * time.Minute):
		}
	}()
	id, data := newChunk(size)
	start := time.Now()
	ref, err := c.client().Write(t.Context(), id, data, targets, upTo(targets, 4))
	if err != nil {
		t.Fatal(err)
	}
	within(t, "the write", start, 5*time.Second)
	if at > 5 && size < honeyant.ChunkSize || len(ref.Replicas) == 3 && ref.Replicas[2].Store == 30 && ref.Replicas[0].Store == 10 && ref.Replicas[1].Store == 20 {
		<-gone // it struck too late to matter
		return
	}
	var want []honeyant.StoreID
	for n := honeyant.NodeID(1); n <= 4; n++ {
		if n != victim {
			want = append(want, storeOf(n))
		}
	}
	<-gone
	c.mustHold(ref, data, want...)
	id, data = newChunk(size)
	start = time.Now()
	ref, err = c.client().Write(t.Context(), id, data, targets, upTo(targets, 4))
	if err != nil {
		t.Fatal(err)
	}
	within(t, "the next write", start, 2500*time.Millisecond)
	c.mustHold(ref, data, want...)
}

func TestWriteReplacesStores(t *testing.T) {
	for name, tc := range map[string]struct {
		bend func(*colony)
		want []honeyant.StoreID
	}{
		"head full":    {func(c *colony) { c.nodes[1].store.full.Store(true) }, []honeyant.StoreID{20, 30}},
		"second full":  {func(c *colony) { c.nodes[2].store.full.Store(true) }, []honeyant.StoreID{10, 30}},
		"disk error":   {func(c *colony) { c.nodes[2].disk.Inject(disk.Fault{Op: disk.OpSync, Err: syscall.EIO}) }, []honeyant.StoreID{10, 30}},
		"all but one":  {func(c *colony) { c.nodes[1].store.full.Store(true); c.nodes[3].store.full.Store(true) }, []honeyant.StoreID{20}},
		"head is slow": {func(c *colony) { c.nodes[1].disk.Inject(disk.Fault{Op: disk.OpSync, Delay: 2 * time.Second}) }, []honeyant.StoreID{10, 20}},
		"head hangs":   {func(c *colony) { c.nodes[1].disk.Inject(disk.Fault{Op: disk.OpSync, Delay: time.Hour}) }, []honeyant.StoreID{20, 30}},
		"newer store": {func(c *colony) {
			if err := c.nodes[1].real.RaiseIncarnation(5); err != nil {
				c.t.Error(err)
			}
		}, []honeyant.StoreID{20, 30}}, // [P6]
	} {
		for _, size := range []int{5000, 500_000} {
			for _, from := range []honeyant.NodeID{9, 1} {
				t.Run(fmt.Sprintf("%s/%d/%v", name, size, from), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						c := newColony(t, 3)
						defer c.end()
						tc.bend(c)
						targets := []honeyant.StoreID{10, 20}
						id, data := newChunk(size)
						start := time.Now()
						ref, err := c.nodes[from].client.Write(t.Context(), id, data, targets, upTo(targets, 3))
						if err != nil {
							t.Fatal(err)
						}
						within(t, "the write", start, 15*time.Second)
						c.mustHold(ref, data, tc.want...)
					})
				})
			}
		}
	}
}

func TestWriteFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newColony(t, 3)
		defer c.end()
		targets := []honeyant.StoreID{10, 20}
		for _, n := range []honeyant.NodeID{1, 2, 3} {
			c.nodes[n].store.full.Store(true)
		}
		id, data := newChunk(300_000)
		if _, err := c.client().Write(t.Context(), id, data, targets, upTo(targets, 3)); !errors.Is(err, honeyant.NoSpace) {
			t.Errorf("all full: %v", err)
		}
		c.world.Isolate(9)
		start := time.Now()
		if _, err := c.client().Write(t.Context(), id, data, targets, nil); !errors.Is(err, honeyant.Unavailable) {
			t.Errorf("alone: %v", err)
		}
		within(t, "a write without network", start, 15*time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start = time.Now()
		if _, err := c.client().Write(ctx, id, data, targets, nil); !errors.Is(err, honeyant.Unavailable) {
			t.Errorf("context: %v", err)
		}
		within(t, "a write whose context ends", start, time.Second)
		if _, err := c.client().Write(t.Context(), id, data, nil, nil); !errors.Is(err, honeyant.Invalid) {
			t.Errorf("no targets: %v", err)
		}
	})
}

// A chunk of the same ID with other bytes is refused, and never acknowledged [6].
func TestWriteOtherBytesRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newColony(t, 2)
		defer c.end()
		id, data := newChunk(1000)
		targets := []honeyant.StoreID{10, 20}
		if _, err := c.client().Write(t.Context(), id, data, targets, nil); err != nil {
			t.Fatal(err)
		}
		data[5] ^= 1
		if _, err := c.client().Write(t.Context(), id, data, targets, nil); !errors.Is(err, honeyant.Exist) {
			t.Errorf("%v", err)
		}
	})
}

// A server that was restarted is found again without an error, though connections were idle.
func TestRestartBetweenWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newColony(t, 2)
		defer c.end()
		targets := []honeyant.StoreID{10, 20}
		for _, size := range []int{1000, 1_000_000} {
			id, data := newChunk(size)
			for range 3 {
				if _, err := c.client().Write(t.Context(), id, data, targets, nil); err != nil {
					t.Fatal(err)
				}
				for _, n := range []honeyant.NodeID{1, 2} {
					c.nodes[n].stop()
					c.world.Kill(n)
					c.start(n, c.world.Node(n, addrOf(n)), c.nodes[n].disk)
				}
				id, data = newChunk(size)
			}
			ref, err := c.client().Write(t.Context(), id, data, targets, nil)
			if err != nil {
				t.Fatal(err)
			}
			c.mustHold(ref, data, targets...)
			if err := c.client().Read(t.Context(), ref, make([]byte, size), 0); err != nil {
				t.Error(err)
			}
		}
	})
}

// [P5] chains that cross each other do not stand still, many at once.
func TestCrossingChains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newColony(t, 3)
		defer c.end()
		errs := make(chan error)
		const each = 40
		for _, n := range []honeyant.NodeID{1, 2, 3} {
			for i := range each {
				go func() {
					targets := []honeyant.StoreID{10, 20, 30}
					targets[0], targets[i%3] = targets[i%3], targets[0]
					id, data := newChunk(300_000)
					ref, err := c.nodes[n].client.Write(t.Context(), id, data, targets, nil)
					if err == nil && len(ref.Replicas) != 3 {
						err = fmt.Errorf("%+v", ref.Replicas)
					}
					errs <- err
				}()
			}
		}
		for range 3 * each {
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
	})
}

// [P2] a frame damaged on its way, at any hop, is never synced as if it were whole.
func TestDamageOnTheWay(t *testing.T) {
	for _, link := range [][2]honeyant.NodeID{{9, 1}, {1, 2}} {
		for _, size := range []int{5000, honeyant.ChunkSize} {
			t.Run(fmt.Sprint(link, size), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					c := newColony(t, 3)
					defer c.end()
					damaged := false
					c.world.Tap(link[0], link[1], func(_ rpc.Proto, b []byte) []byte {
						if len(b) < 5000 || damaged {
							return b
						}
						damaged = true
						b = append([]byte(nil), b...)
						b[len(b)/2] ^= 4
						return b
					})
					targets := []honeyant.StoreID{10, 20}
					id, data := newChunk(size)
					ref, err := c.client().Write(t.Context(), id, data, targets, upTo(targets, 3))
					if err != nil || len(ref.Replicas) != 2 {
						t.Fatalf("%+v, %v", ref, err)
					}
					if chain := size >= 256<<10; damaged != (chain || link[0] == 9) {
						t.Error("damaged:", damaged)
					}
					for _, r := range ref.Replicas {
						c.mustHold(honeyant.ChunkRef{ID: id, Sum: ref.Sum, Replicas: []honeyant.Replica{r}}, data, r.Store)
					}
				})
			})
		}
	}
}

// [P5] nor do chains that all run round in a circle.
func TestChainsInACircle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newColony(t, 3)
		defer c.end()
		errs := make(chan error)
		const each = 40
		start := time.Now()
		for n := range 3 {
			for range each {
				go func() {
					targets := []honeyant.StoreID{honeyant.StoreID(10 + (n+1)%3*10), honeyant.StoreID(10 + (n+2)%3*10)}
					id, data := newChunk(1_000_000)
					ref, err := c.nodes[honeyant.NodeID(n+1)].client.Write(t.Context(), id, data, targets, nil)
					if err == nil && len(ref.Replicas) != 2 {
						err = fmt.Errorf("%+v", ref.Replicas)
					}
					errs <- err
				}()
			}
		}
		for range 3 * each {
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
		within(t, "all chains", start, 5*time.Second)
	})
}
