package consensus_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/consensus"
)

// Rule 2: all nodes lose power at once at random moments, with snapshots and trimming going
// on; every acknowledged command is there afterwards, once and in order, on every node.
func TestPowerCutOfAll(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	inBubble(t, func(c *cluster) {
		rng := rand.New(rand.NewPCG(seed, 1))
		c.tune = func(o *consensus.Options) {
			o.Limits = consensus.Limits{LogGrowth: 16 << 10, LogTrailing: 4 << 10, EntryCache: 8 << 10}
		}
		c.found(3)
		var acked []string
		total := 0
		for round := range 8 {
			lead := c.leader()
			var mu sync.Mutex
			var waits sync.WaitGroup
			stop, reached := 20+rng.IntN(60), make(chan struct{})
			for i := range 80 {
				cmd := fmt.Sprintf("%d/%d/%0*d", round, total, 1+rng.IntN(800), 0)
				total++
				wait := lead.node.Propose([]byte(cmd))
				waits.Go(func() {
					if i == stop {
						defer close(reached)
					}
					if _, err := wait(); err == nil {
						mu.Lock()
						acked = append(acked, cmd)
						mu.Unlock()
					}
				})
			}
			<-reached
			// What was acknowledged up to here must survive.
			mu.Lock()
			must := slices.Clone(acked)
			mu.Unlock()
			for id, m := range c.nodes {
				after := m.fs.(*vfs.MemFS).CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: rng.IntN(2) * 100, RNG: rng})
				c.world.PowerOff(id)
				c.stop(id) // what it still writes goes to the old disk
				m.fs = after
			}
			waits.Wait()
			acked = must
			for id := range c.nodes {
				c.start(id)
			}
			c.propose(fmt.Sprintf("%d/mark", round))
			lead = c.leader()
			order := lead.machine.commands(c.t)
			c.same(order)
			seen := map[string]bool{}
			for _, cmd := range order {
				if seen[cmd] {
					c.t.Errorf("%s applied twice", cmd)
				}
				seen[cmd] = true
			}
			for _, cmd := range must {
				if !seen[cmd] {
					c.t.Fatalf("round %d: %.20s was acknowledged and is gone", round, cmd)
				}
			}
		}
		c.t.Logf("%d proposed, %d acknowledged before the cuts", total, len(acked))
	})
}

// Rules 2 and 30: a node that installs a snapshot loses power at each of its writes; it
// comes up again with the old state or the new one, and catches up.
func TestCrashWhileInstalling(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	for point := 1; ; point += 1 + rng.IntN(12) {
		done := false
		inBubble(t, func(c *cluster) {
			c.tune = func(o *consensus.Options) {
				o.Limits = consensus.Limits{LogGrowth: 8 << 10, LogTrailing: 1 << 10, EntryCache: 1 << 10}
			}
			c.found(1)
			c.start(2)
			c.addLearner(2)
			want := c.proposeMany(0, 5)
			c.same(want)
			m := c.nodes[2]
			c.stop(2)
			for i := range 60 {
				want = append(want, fmt.Sprintf("%d %0500d", i, i))
				c.propose(want[len(want)-1])
			}
			c.eventually("trimmed", func() bool { return c.nodes[1].node.Stats().FirstIndex > 20 })
			var left func() *vfs.MemFS
			m.fs, left = crashingAt(m.fs.(*vfs.MemFS), point, rng)
			c.start(2)
			c.same(want)
			c.stop(2)
			crashed := left()
			m.fs = crashed
			if done = crashed == nil; done {
				c.t.Logf("%d points", point)
				delete(c.nodes, 2)
				return
			}
			c.start(2)
			want = append(want, "after")
			c.propose("after")
			c.same(want)
		})
		if done {
			return
		}
	}
}

// Rule 3: with two nodes a command is answered only when the learner has it on its disk.
func TestMirror(t *testing.T) {
	inBubble(t, func(c *cluster) {
		told := make(chan bool, 16)
		c.tune = func(o *consensus.Options) {
			if o.Self == 1 {
				o.Events.OnMirror = func(inSync bool) { told <- inSync }
			}
		}
		c.found(1)
		c.start(2)
		c.addLearner(2)
		one := c.nodes[1].node
		one.SetMirror(2)
		if !<-told {
			c.t.Fatal("solo")
		}
		if in, _ := one.MirrorState(); !in {
			c.t.Error("MirrorState is not in sync")
		}
		want := c.proposeMany(0, 10)
		// Power cut of the leader right after the answer: the learner has it all.
		disk := c.nodes[2].fs.(*vfs.MemFS).CrashClone(vfs.CrashCloneCfg{})
		forced := reopenForced(c, disk, 2)
		if !slices.Equal(forced, want) {
			c.t.Errorf("the mirror's disk has %v", forced)
		}
		// Cut off: no answer until the leader goes solo after 10 s, then on alone.
		c.world.Cut(1, 2)
		start := time.Now()
		want = append(want, "solo")
		if _, err := one.Propose([]byte("solo"))(); err != nil {
			c.t.Errorf("the one that waited for the mirror: %v", err)
		}
		if <-told {
			c.t.Error("told in sync while cut off")
		}
		if took := time.Since(start); took < 9*time.Second || took > 12*time.Second {
			c.t.Errorf("solo after %v", took)
		}
		start = time.Now()
		want = append(want, c.proposeMany(100, 110)...)
		if took := time.Since(start); took > time.Second {
			c.t.Errorf("alone, ten commands took %v", took)
		}
		if in, since := one.MirrorState(); in || time.Since(since) > 2*time.Second {
			c.t.Errorf("MirrorState %v since %v", in, since)
		}
		c.world.HealAll()
		if !<-told {
			c.t.Error("not in sync again")
		}
		c.same(want)
		disk = c.nodes[2].fs.(*vfs.MemFS).CrashClone(vfs.CrashCloneCfg{})
		if forced := reopenForced(c, disk, 2); !slices.Equal(forced, want) {
			c.t.Errorf("the mirror's disk has %v", forced)
		}
		// The leader restarts: it waits for the mirror from the beginning.
		c.stop(1)
		c.start(1)
		c.nodes[1].node.SetMirror(2)
		if !<-told {
			c.t.Error("not in sync after a restart")
		}
		c.propose("restarted")
		// Without a mirror nothing waits.
		c.nodes[1].node.SetMirror(0)
		c.stop(2)
		c.propose("alone")
	})
}

// reopenForced makes what is on disk a cluster of one, and lists its commands.
func reopenForced(c *cluster, disk vfs.FS, id honeyant.NodeID) []string {
	c.t.Helper()
	other := newCluster(c.t)
	m := &member{id: id, fs: disk, halted: make(chan error, 1), leads: make(chan bool, 64)}
	other.nodes[id] = m
	var err error
	if m.machine, err = openMachine(disk, "fsm"); err != nil {
		c.t.Fatal(err)
	}
	if err := consensus.ForceSingle(other.options(m), 2); err != nil {
		c.t.Fatal(err)
	}
	if err := m.machine.db.Close(); err != nil {
		c.t.Fatal(err)
	}
	other.start(id)
	other.leader()
	list := m.machine.commands(c.t)
	other.propose("forced")
	if got := m.machine.commands(c.t); len(got) != len(list)+1 {
		c.t.Errorf("the forced node has %d commands, had %d", len(got), len(list))
	}
	members, err := m.node.Members()
	if err != nil || len(members) != 1 || members[0].Role != honeyant.RoleVoter {
		c.t.Errorf("members %+v %v", members, err)
	}
	other.stop(id)
	return list
}

func TestForceSingleRefusesEmpty(t *testing.T) {
	inBubble(t, func(c *cluster) {
		disk := vfs.NewMem()
		m := &member{id: 1, fs: disk}
		var err error
		if m.machine, err = openMachine(disk, "fsm"); err != nil {
			c.t.Fatal(err)
		}
		if err := consensus.ForceSingle(c.options(m), 2); honeyant.KindOf(err) != honeyant.NotExist {
			c.t.Errorf("forced an empty directory: %v", err)
		}
		if err := m.machine.db.Close(); err != nil {
			c.t.Fatal(err)
		}
	})
}

// 1 -> 2 -> 3 -> 2 -> 1 nodes, each change as NextStep says, with commands between.
func TestMembership(t *testing.T) {
	inBubble(t, func(c *cluster) {
		c.found(1)
		var nodes []honeyant.Node
		var want []string
		shape := func(states ...honeyant.NodeState) string {
			nodes = nil
			for i, s := range states {
				nodes = append(nodes, honeyant.Node{ID: honeyant.NodeID(i + 1), State: s})
			}
			quiet := time.Now()
			for time.Since(quiet) < 5*time.Second {
				lead := c.leader()
				list, err := lead.node.Members()
				if err != nil {
					c.t.Fatal(err)
				}
				v := consensus.View{Self: lead.id, Members: list, Nodes: nodes}
				lead.node.SetMirror(consensus.Mirror(v, 0))
				if s := consensus.NextStep(v); s.Kind != consensus.StepNone {
					quiet = time.Now()
					do := map[consensus.StepKind]func() error{
						consensus.StepAddLearner: func() error { return lead.node.AddLearner(c.ctx(), s.Node) },
						consensus.StepPromote:    func() error { return lead.node.Promote(c.ctx(), s.Node) },
						consensus.StepDemote:     func() error { return lead.node.Demote(c.ctx(), s.Node) },
						consensus.StepRemove:     func() error { return lead.node.Remove(c.ctx(), s.Node) },
						consensus.StepTransfer:   func() error { return lead.node.TransferLeadership(c.ctx()) },
					}
					if err := do[s.Kind](); err != nil {
						c.t.Fatalf("%+v: %v", s, err)
					}
					want = append(want, fmt.Sprint(len(want)))
					c.propose(want[len(want)-1])
				}
				<-time.After(100 * time.Millisecond)
			}
			list, _ := c.leader().node.Members()
			text := ""
			for id := honeyant.NodeID(1); id < 6; id++ {
				for _, m := range list {
					if m.Node == id {
						text += fmt.Sprintf(" %v:%v", id, m.Role)
					}
				}
			}
			return text
		}
		expect := func(got, want string) {
			c.t.Helper()
			if got != want {
				c.t.Fatalf("got%s, want%s", got, want)
			}
		}
		const up, out = honeyant.NodeUp, honeyant.NodeOut
		expect(shape(up), " n1:voter")
		c.start(2)
		expect(shape(up, up), " n1:voter n2:learner")
		c.start(3)
		expect(shape(up, up, up), " n1:voter n2:voter n3:voter")
		c.same(want)
		c.start(4)
		c.stop(2)
		expect(shape(up, out, up, up), " n1:voter n3:voter n4:voter")
		c.stop(3)
		c.leader()
		expect(shape(up, out, out, up)[:9], " n1:voter")
		c.same(want)
		if s := c.leader().node.Stats(); s.MayLose != 0 {
			c.t.Errorf("may lose %d", s.MayLose)
		}
	})
}
