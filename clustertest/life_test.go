package clustertest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/admin"
	"github.com/honeyant/honeyant/clustertest"
	"github.com/honeyant/honeyant/config"
	"github.com/honeyant/honeyant/meta"
	"github.com/honeyant/honeyant/node"
)

// fill makes files of a size and remembers them.
func fill(c *clustertest.Cluster, id honeyant.NodeID, name string, files, size int) map[string][]byte {
	c.TB.Helper()
	made := map[string][]byte{}
	for i := range files {
		p := fmt.Sprintf("%s%d", name, i)
		made[p] = bytes.Repeat(fmt.Appendf(nil, "%s %d ", p, c.Rand.Uint64()), size/16+1)[:size]
		if err := (clustertest.Files{Host: c.Host(id)}).Create(context.Background(), p, made[p]); err != nil {
			c.TB.Fatal(err)
		}
	}
	return made
}

func same(c *clustertest.Cluster, id honeyant.NodeID, made map[string][]byte) {
	c.TB.Helper()
	for p, want := range made {
		if got, err := (clustertest.Files{Host: c.Host(id)}).Get(context.Background(), p); err != nil || !bytes.Equal(got, want) {
			c.TB.Errorf("%s on %v: %d of %d bytes, %v", p, id, len(got), len(want), err)
		}
	}
}

func status(c *clustertest.Cluster) (s admin.Status) {
	c.TB.Helper()
	if err := c.Leader().Command("status", nil, &s); err != nil {
		c.TB.Logf("status: %v", err)
	}
	return s
}

func whole(c *clustertest.Cluster) bool {
	s := status(c)
	return s.Chunks.Total > 0 && s.Chunks.UnderReplicated == 0 && s.Chunks.Lost == 0 && s.Heal.Pending == 0
}

func usedOn(c *clustertest.Cluster, id honeyant.NodeID) (used int64) {
	m := c.Leader().Node().Map()
	for _, s := range m.Stores {
		if s.Node == id {
			used += s.Used
		}
	}
	return used
}

// A node that stays away is out: its chunks are made anew on others, and when it comes back
// the surplus goes, after the others were read back (rules 12, 32).
func TestOutAndBack(t *testing.T) {
	tune := func(c *config.Config) { c.OutAfter = 30 * time.Second }
	clustertest.Run(t, clustertest.Options{Tune: tune}, func(c *clustertest.Cluster) {
		made := fill(c, 1, "f", 30, 300_000)
		clustertest.Sleep(3 * time.Second) // heartbeats tell what is used
		before := usedOn(c, 1) + usedOn(c, 2) + usedOn(c, 3)
		victim := c.Leader().ID%3 + 1
		other := victim%3 + 1
		c.PowerOff(victim)
		c.Eventually("the node is out", 2*time.Minute, func() bool {
			n, _ := c.Leader().Node().Map().Node(victim)
			return n.State == honeyant.NodeOut
		})
		c.Eventually("all is healed", 5*time.Minute, func() bool { return whole(c) })
		same(c, other, made)
		c.Start(victim)
		c.Eventually("the node is back", time.Minute, func() bool {
			n, _ := c.Leader().Node().Map().Node(victim)
			return n.State == honeyant.NodeUp
		})
		c.Eventually("the surplus is gone", 30*time.Minute, func() bool {
			return usedOn(c, 1)+usedOn(c, 2)+usedOn(c, 3) <= before+before/50
		})
		c.Eventually("all is whole", time.Minute, func() bool { return whole(c) })
		for _, h := range c.Hosts() {
			same(c, h.ID, made)
		}
		fsck(c)
		// What was healed is on any two nodes: each may go.
		c.PowerOff(other)
		clustertest.Sleep(15 * time.Second)
		same(c, c.Leader().ID, made)
	})
}

// A drained node holds nothing, by proof, and can go for ever.
func TestDrain(t *testing.T) {
	clustertest.Run(t, clustertest.Options{Nodes: 4}, func(c *clustertest.Cluster) {
		made := fill(c, 2, "f", 30, 300_000)
		leaving := c.Leader().ID%4 + 1
		name := leaving.String()
		if err := c.Leader().Command("node.drain", node.DrainRequest{Node: name}, nil); err != nil {
			t.Fatal(err)
		}
		var p node.DrainProgress
		c.Eventually("drained", 10*time.Minute, func() bool {
			return c.Leader().Command("node.drained", node.Target{Node: name}, &p) == nil && p.Done
		})
		if err := c.Leader().Command("node.remove", node.RemoveRequest{Node: name}, nil); err != nil {
			t.Fatal(err)
		}
		c.Eventually("the removed node ends itself", time.Minute, func() bool {
			select {
			case <-c.Host(leaving).Node().Failed():
				return true
			default:
				return false
			}
		})
		c.PowerOff(leaving)
		c.Settle()
		same(c, c.Leader().ID, made)
		fsck(c)
	})
}

// With two nodes the second has everything that was acknowledged, at whatever moment the voter
// dies; a person promotes it (rules 3, 4). The old voter, when it comes back, gives its metadata up.
func TestPromoteMirror(t *testing.T) {
	for round := range 3 {
		t.Run(fmt.Sprint(round), func(t *testing.T) {
			clustertest.Run(t, clustertest.Options{Nodes: 2}, func(c *clustertest.Cluster) {
				voter := c.Leader().ID
				mirror := 3 - voter
				writers := writersOn(c, "w", 300_000)
				work(c, writers, func() {
					clustertest.Sleep(time.Duration(c.Rand.IntN(3_000_000)) * time.Microsecond)
					c.PowerOff(voter)
					clustertest.Sleep(time.Second)
					c.PowerOff(mirror) // and what it had not synced is lost, too
				})
				if plan := c.Promote(mirror); !plan.InSync {
					t.Errorf("the plan warns of losses: %s", plan.Plan())
				}
				c.Start(mirror)
				c.Settle()
				for _, w := range writers {
					w.verify(mirror)
				}
				c.Start(voter)
				c.Eventually("the old voter knows that it is superseded", 2*time.Minute, func() bool {
					select {
					case <-c.Host(voter).Node().Failed():
						return true
					default:
						return false
					}
				})
				c.Stop(voter)
				c.Start(voter)
				c.Settle()
				// What the dead node had stored but not told is of an incarnation that is over.
				verify(c, writers, "until a person has looked")
			})
		})
	}
}

// A full colony says ENOSPC and stays whole; deleting works and gives the room back (promise 7).
func TestFull(t *testing.T) {
	clustertest.Run(t, clustertest.Options{Capacity: 32 << 20}, func(c *clustertest.Cluster) {
		ctx := context.Background()
		f := clustertest.Files{Host: c.Host(2)}
		made := map[string][]byte{}
		full := 0
		for i := 0; full < 5 && i < 500; i++ {
			p := fmt.Sprintf("f%d", i)
			data := bytes.Repeat(fmt.Appendf(nil, "%8d", i), 1<<17)
			switch err := f.Create(ctx, p, data); {
			case err == nil:
				made[p] = data
			case errors.Is(err, honeyant.NoSpace):
				full++
			default:
				t.Fatalf("%s: %v", p, err)
			}
		}
		if full == 0 || len(made) < 30 {
			t.Fatalf("%d files fitted, %d were refused", len(made), full)
		}
		t.Logf("%d MiB fitted into 3 x 32 MiB with two copies", len(made))
		same(c, 1, made)
		// One disk is really full, below what the store was promised: the same.
		left := len(made) / 2
		for p := range made {
			if len(made) == left {
				break
			}
			if err := f.Remove(ctx, p); err != nil {
				t.Errorf("remove %s: %v", p, err)
			}
			delete(made, p)
		}
		c.Eventually("the room is back", 10*time.Minute, func() bool {
			return usedOn(c, 1)+usedOn(c, 2)+usedOn(c, 3) < 60<<20
		})
		for p, data := range fill(c, 3, "g", left/2, 1<<20) {
			made[p] = data
		}
		same(c, 1, made)
		fsck(c)
	})
}

// Slow disks make all slow and nothing fail: the leader's log, then a store.
func TestSlowDisks(t *testing.T) {
	clustertest.Run(t, clustertest.Options{}, func(c *clustertest.Cluster) {
		writers := writersOn(c, "w", 300_000)
		lead := c.Leader().ID
		work(c, writers, func() {
			c.Host(lead).Disk.Slow(100 * time.Millisecond)
			clustertest.Sleep(10 * time.Second)
			c.Host(lead).Disk.Undo()
			c.Host(lead%3 + 1).Disk.Slow(400 * time.Millisecond)
			clustertest.Sleep(10 * time.Second)
			c.Host(lead%3 + 1).Disk.Undo()
		})
		noLonger(writers, 10*time.Second)
		c.Settle()
		verify(c, writers)
	})
}

// The locks of a client that died are given to who waits for them, after its TTL (rule 18).
func TestLocksOfTheDead(t *testing.T) {
	clustertest.Run(t, clustertest.Options{}, func(c *clustertest.Cluster) {
		ctx := context.Background()
		fill(c, 1, "f", 1, 10)
		lead := c.Leader().ID
		holder, waiter := lead%3+1, (lead+1)%3+1
		lock := func(id honeyant.NodeID, wait bool) error {
			attr, err := clustertest.Files{Host: c.Host(id)}.Stat(ctx, "f0")
			if err != nil {
				return err
			}
			return c.Host(id).Volume().SetLock(ctx, attr.Ino, meta.FileLock{Kind: meta.LockPosix, Write: true, Owner: uint64(id), End: math.MaxInt64}, wait)
		}
		if err := lock(holder, false); err != nil {
			t.Fatal(err)
		}
		if err := lock(waiter, false); !errors.Is(err, honeyant.Conflict) {
			t.Fatalf("while the holder lives: %v", err)
		}
		granted := make(chan error, 1)
		go func() { granted <- lock(waiter, true) }()
		clustertest.Sleep(20 * time.Second)
		select {
		case err := <-granted:
			t.Fatalf("granted though the holder lives: %v", err)
		default:
		}
		began := time.Now()
		c.PowerOff(holder)
		if err := <-granted; err != nil || time.Since(began) > 10*time.Second {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		c.Start(holder)
		c.Settle()
		if err := lock(holder, false); !errors.Is(err, honeyant.Conflict) {
			t.Errorf("the holder, alive again: %v", err)
		}
	})
}
