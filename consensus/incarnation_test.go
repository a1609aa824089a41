package consensus_test

import (
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/consensus"
)

// force makes a node that is not running the only voter.
func (c *cluster) force(id honeyant.NodeID, incarnation uint64) {
	c.t.Helper()
	m := c.nodes[id]
	var err error
	if m.machine, err = openMachine(m.fs, m.root+"fsm"); err != nil {
		c.t.Fatal(err)
	}
	if err := consensus.ForceSingle(c.options(m), incarnation); err != nil {
		c.t.Fatal(err)
	}
	if err := m.machine.db.Close(); err != nil {
		c.t.Fatal(err)
	}
}

// Rule 4: the old voter, back after the other was promoted, never mixes its log with the new one.
func TestOldVoterStopsAfterPromotion(t *testing.T) {
	inBubble(t, func(c *cluster) {
		superseded := make(chan uint64, 4)
		c.tune = func(o *consensus.Options) {
			o.Events.OnSuperseded = func(n uint64) { superseded <- n }
		}
		c.found(1)
		c.start(2)
		c.addLearner(2)
		if a, b := c.nodes[1].node.Incarnation(), c.nodes[2].node.Incarnation(); a != 1 || b != 1 {
			c.t.Fatalf("incarnations %d and %d", a, b)
		}
		want := c.proposeMany(0, 5)
		c.agree(5)
		// Node 1 applies something that node 2 never gets, and dies.
		c.stop(2)
		c.propose("only on 1")
		c.stop(1)
		c.force(2, 2)
		c.force(2, 2) // again, as after an interruption
		c.start(2)
		want = append(want, c.proposeMany(10, 15)...)
		// It comes back: it learns at once that it is superseded, and answers nothing before.
		old := c.start(1)
		select {
		case n := <-superseded:
			if n != 2 {
				c.t.Errorf("superseded by %d", n)
			}
		case <-time.After(5 * time.Second):
			c.t.Fatal("the old voter goes on")
		}
		<-old.halted
		if _, err := old.node.Propose([]byte("too late"))(); err == nil {
			c.t.Error("the old voter took a command")
		}
		if members, err := c.nodes[2].node.Members(); err != nil || len(members) != 1 {
			c.t.Errorf("members %v %v", members, err)
		}
		// The leader adds it while it is still of the old life: nothing goes over.
		if err := c.nodes[2].node.AddLearner(c.ctx(), 1); err != nil {
			c.t.Fatal(err)
		}
		c.stop(1)
		// Its metadata put aside, it is a learner like any other.
		c.nodes[1].fs = vfs.NewCrashableMem()
		c.start(1)
		c.eventually("caught up", func() bool { return c.nodes[2].node.CaughtUp(1) })
		want = append(want, c.proposeMany(20, 25)...)
		c.same(want)
		if got := c.nodes[1].node.Incarnation(); got != 2 {
			c.t.Errorf("the fresh learner is of incarnation %d", got)
		}
	})
}

// A new leader's mirror is waited for before anybody has said who it is: it may have been promoted meanwhile.
func TestRestartedLeaderWaitsForItsMirror(t *testing.T) {
	inBubble(t, func(c *cluster) {
		c.found(1)
		c.start(2)
		c.addLearner(2)
		c.stop(2)
		c.stop(1)
		one := c.start(1)
		c.eventually("a leader", one.node.IsLeader)
		began := time.Now()
		c.propose("alone")
		if took := time.Since(began); took < 8*time.Second {
			c.t.Errorf("answered after %v without the mirror", took)
		}
	})
}

// The number is on the disk before the node passes for the only voter, whatever comes between.
func TestForceSingleKeepsItsNumber(t *testing.T) {
	inBubble(t, func(c *cluster) {
		c.found(1)
		c.propose("a")
		c.stop(1)
		c.force(1, 7)
		m := c.nodes[1]
		m.fs = m.fs.(*vfs.MemFS).CrashClone(vfs.CrashCloneCfg{})
		if n, err := consensus.StoredIncarnation(c.options(m)); err != nil || n != 7 {
			c.t.Fatalf("incarnation %d %v", n, err)
		}
		if err := consensus.ForceSingle(c.options(m), 3); honeyant.KindOf(err) != honeyant.Invalid {
			c.t.Errorf("went back to an older incarnation: %v", err)
		}
		c.start(1)
		c.leader()
		if got := m.machine.commands(c.t); !slices.Equal(got, []string{"a"}) {
			c.t.Errorf("commands %v", got)
		}
		if n := m.node.Incarnation(); n != 7 {
			c.t.Errorf("incarnation %d", n)
		}
	})
}
