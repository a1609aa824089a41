package consensus_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/consensus"
)

func inBubble(t *testing.T, run func(c *cluster)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		defer c.stopAll()
		run(c)
	})
}

// same checks that all running nodes hold exactly these commands.
func (c *cluster) same(want []string) {
	c.t.Helper()
	c.agree(len(want))
	for _, m := range c.nodes {
		if m.node == nil {
			continue
		}
		if got := m.machine.commands(c.t); !slices.Equal(got, want) {
			c.t.Errorf("%v has %d commands %v\nwant %d", m.id, len(got), got, len(want))
		}
	}
}

func (c *cluster) proposeMany(from, to int) (all []string) {
	c.t.Helper()
	for i := from; i < to; i++ {
		all = append(all, fmt.Sprint(i))
		c.propose(all[len(all)-1])
	}
	return all
}

func TestThreeNodes(t *testing.T) {
	inBubble(t, func(c *cluster) {
		c.found(3)
		c.same(c.proposeMany(0, 20))
		lead := c.leader()
		for _, m := range c.nodes {
			if id, ok := m.node.Leader(); !ok || id != lead.id {
				c.t.Errorf("%v says %v leads", m.id, id)
			}
			if m == lead {
				continue
			}
			if _, err := m.node.Propose([]byte("x"))(); !errors.Is(err, honeyant.NotLeader) {
				c.t.Errorf("proposed on a follower: %v", err)
			}
			if err := m.node.Verify(c.ctx()); !errors.Is(err, honeyant.NotLeader) {
				c.t.Errorf("verified on a follower: %v", err)
			}
		}
		if err := lead.node.Bootstrap(); !errors.Is(err, honeyant.Conflict) {
			c.t.Errorf("bootstrapped twice: %v", err)
		}
		if _, err := lead.node.Propose(make([]byte, 3<<20))(); !errors.Is(err, honeyant.TooLarge) {
			c.t.Errorf("a command of 3 MiB: %v", err)
		}
		if s := lead.node.Stats(); s.MayLose != 1 || s.Role != "leader" {
			c.t.Errorf("stats %+v", s)
		}
	})
}

// Promise 4: losing the leader stalls for less than 4 s, mostly 2, and a leader cut off can not confirm itself.
func TestLeaderIsolated(t *testing.T) {
	inBubble(t, func(c *cluster) {
		c.found(3)
		want := c.proposeMany(0, 5)
		old := c.leader()
		c.world.Isolate(old.id)
		start := time.Now()
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		if err := old.node.Verify(ctx); err == nil {
			c.t.Error("a leader without a quorum was confirmed")
		}
		cancel()
		lost, err := old.node.Propose([]byte("lost"))()
		if err == nil {
			c.t.Errorf("a leader without a quorum committed: %v", lost)
		}
		fresh := c.leader()
		if fresh == old {
			c.t.Fatal("the isolated node leads")
		}
		if _, err := fresh.node.Propose([]byte("kept"))(); err != nil {
			c.t.Fatal(err)
		}
		stall := time.Since(start)
		c.t.Logf("stall %v", stall)
		if stall > 4*time.Second {
			c.t.Errorf("stalled %v", stall)
		}
		c.world.HealAll()
		c.same(append(want, "kept"))
	})
}

// Commands proposed without waiting, while leaders die and come back: each is applied at
// most once on every node, in one order, and those acknowledged are all there.
func TestFailOverPipelined(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	inBubble(t, func(c *cluster) {
		rng := rand.New(rand.NewPCG(seed, 1))
		c.found(3)
		acked := map[string]bool{}
		var mu sync.Mutex
		var waits sync.WaitGroup
		total := 0
		for round := range 6 {
			lead := c.leader()
			pause, reached := rng.IntN(40), make(chan struct{})
			for i := range 40 {
				cmd := fmt.Sprint(total)
				total++
				wait := lead.node.Propose([]byte(cmd))
				waits.Go(func() {
					if i == pause {
						defer close(reached)
					}
					if _, err := wait(); err == nil {
						mu.Lock()
						acked[cmd] = true
						mu.Unlock()
					}
				})
			}
			<-reached
			if round%2 == 0 {
				c.world.Isolate(lead.id)
				c.eventually("another leader", func() bool { return c.leader() != lead })
				c.world.HealAll()
			} else {
				c.crash(lead.id, vfs.CrashCloneCfg{UnsyncedDataPercent: rng.IntN(2) * 100, RNG: rng})
				c.leader()
				c.start(lead.id)
			}
		}
		waits.Wait()
		c.propose("end")
		lead := c.leader()
		order := lead.machine.commands(c.t)
		c.same(order)
		seen := map[string]int{}
		last := -1
		for _, cmd := range order {
			if seen[cmd]++; seen[cmd] > 1 {
				c.t.Errorf("%s applied %d times", cmd, seen[cmd])
			}
			var n int
			if _, err := fmt.Sscan(cmd, &n); err == nil {
				if n < last {
					c.t.Errorf("%d applied after %d", n, last)
				}
				last = n
			}
		}
		for cmd := range acked {
			if seen[cmd] == 0 {
				c.t.Errorf("%s was acknowledged and is not there", cmd)
			}
		}
		c.t.Logf("%d proposed, %d acknowledged, %d applied", total, len(acked), len(order))
		if len(acked) == 0 {
			c.t.Error("nothing was acknowledged")
		}
	})
}

func TestTransferLeadership(t *testing.T) {
	inBubble(t, func(c *cluster) {
		c.found(3)
		old := c.leader()
		if err := old.node.TransferLeadership(c.ctx()); err != nil {
			c.t.Fatal(err)
		}
		if c.leader() == old {
			c.t.Error("the old leader leads")
		}
		if <-old.leads != true || <-old.leads != false {
			c.t.Error("the old leader was not told")
		}
		c.propose("after")
	})
}

// Rule 9: an error of the state machine halts the node, and the others go on.
func TestApplyErrorHalts(t *testing.T) {
	inBubble(t, func(c *cluster) {
		c.found(3)
		want := c.proposeMany(0, 3)
		lead := c.leader()
		broken := errors.New("broken state")
		lead.machine.mu.Lock()
		lead.machine.fail = broken
		lead.machine.mu.Unlock()
		if _, err := lead.node.Propose([]byte("fatal"))(); err == nil {
			c.t.Error("acknowledged by a node that could not apply it")
		}
		if err := <-lead.halted; !errors.Is(err, broken) {
			c.t.Errorf("halted because of %v", err)
		}
		if err := lead.node.Err(); !errors.Is(err, broken) {
			c.t.Errorf("Err says %v", err)
		}
		if _, err := lead.node.Propose([]byte("later"))(); err == nil {
			c.t.Error("a halted node took a proposal")
		}
		c.eventually("another leader", func() bool { return c.leader() != lead })
		lead.machine.mu.Lock()
		lead.machine.fail = nil
		lead.machine.mu.Unlock()
		c.propose("next")
		if got := len(lead.machine.commands(c.t)); got != len(want) {
			c.t.Errorf("the halted node went on to %d commands", got)
		}
		c.stop(lead.id)
		c.start(lead.id) // the fault is mended: it catches up
		c.same(append(want, "fatal", "next"))
	})
}

// The log is trimmed by bytes; a node that lags and a fresh one get a snapshot; restarts
// come up from it.
func TestTrimAndInstall(t *testing.T) {
	inBubble(t, func(c *cluster) {
		c.tune = func(o *consensus.Options) {
			o.Limits = consensus.Limits{LogGrowth: 64 << 10, LogTrailing: 8 << 10, EntryCache: 4 << 10}
		}
		c.found(3)
		lead := c.leader()
		var behind *member
		for _, m := range c.nodes {
			if m != lead {
				behind = m
			}
		}
		c.stop(behind.id)
		var want []string
		big := func(i int) string { return fmt.Sprintf("%04d%01000d", i, i) }
		for i := range 400 {
			want = append(want, big(i))
			c.propose(want[i])
		}
		c.eventually("trimmed", func() bool { s := lead.node.Stats(); return s.FirstIndex > 300 })
		s := lead.node.Stats()
		c.t.Logf("%+v", s)
		if s.LogBytes > 100<<10 || s.SnapshotIndex == 0 {
			c.t.Errorf("log of %d bytes after trimming", s.LogBytes)
		}
		c.start(behind.id)
		c.same(want)
		c.start(4)
		c.addLearner(4)
		c.same(want)
		for id := range c.nodes {
			c.stop(id)
			c.start(id)
		}
		want = append(want, "after")
		c.propose("after")
		c.same(want)
		for _, m := range c.nodes {
			names, err := m.fs.List("raft/snapshots")
			if err != nil || len(names) > 1 {
				c.t.Errorf("%v keeps %v %v", m.id, names, err)
			}
		}
	})
}

// Verify coalesces: many callers, few rounds, and none of them hangs.
func TestVerifyMany(t *testing.T) {
	inBubble(t, func(c *cluster) {
		c.found(3)
		lead := c.leader()
		var wg sync.WaitGroup
		for range 200 {
			wg.Go(func() {
				if err := lead.node.Verify(c.ctx()); err != nil {
					c.t.Error(err)
				}
			})
		}
		wg.Wait()
	})
}
