package consensus_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/consensus"
	"github.com/honeyant/honeyant/kv"
)

// restored is a disk with a state of some commands that no log stands behind, as a backup gives it.
func restored(c *cluster, disk vfs.FS) []string {
	c.t.Helper()
	m, err := openMachine(disk, "fsm")
	if err != nil {
		c.t.Fatal(err)
	}
	want := []string{"one", "two", "three"}
	var b kv.Batch
	for i, cmd := range want {
		b.Put(fmt.Appendf(nil, "cmd/%08d", i+1), []byte(cmd))
	}
	b.Put(stateKey, binary.BigEndian.AppendUint64(make([]byte, 8), uint64(len(want))))
	if err := errors.Join(m.db.Apply(&b), m.db.Flush(), m.db.Close(), m.sync()); err != nil {
		c.t.Fatal(err)
	}
	return want
}

// restore does what a node does that begins a log behind its state: one that was there goes first.
func (c *cluster) restore(m *member) error {
	c.t.Helper()
	var err error
	if m.machine, err = openMachine(m.fs, "fsm"); err != nil {
		c.t.Fatal(err)
	}
	return errors.Join(m.fs.RemoveAll("raft"), consensus.Restore(c.options(m), 3), m.machine.db.Close())
}

// Rules 2 and 6: a restore loses power at each of its writes, and the node is started before anybody repeats it. It
// either has no part in consensus, or it is whole: who joins it gets all of the state, not only what came after.
func TestCrashWhileRestoring(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	for point, whole := 1, 0; ; point += 1 + rng.IntN(3) {
		done := false
		inBubble(t, func(c *cluster) {
			disk := vfs.NewCrashableMem()
			want := restored(c, disk)
			m := &member{id: 1, halted: make(chan error, 1), leads: make(chan bool, 64)}
			c.nodes[1] = m
			var left func() *vfs.MemFS
			m.fs, left = crashingAt(disk, point, rng)
			if err := c.restore(m); err != nil {
				c.t.Fatal(err)
			}
			crashed := left()
			if done = crashed == nil; done {
				c.t.Logf("up to point %d; it was whole after %d", point, whole)
				crashed = disk
			}
			m.fs = crashed
			c.start(1)
			<-time.After(20 * time.Second) // elections take less
			if m.node.IsLeader() {
				whole++
			} else {
				if done {
					c.t.Error("it does not lead")
				}
				c.stop(1)
				if err := c.restore(m); err != nil {
					c.t.Fatalf("point %d: repeated: %v", point, err)
				}
				c.start(1)
			}
			c.leader()
			if n := m.node.Incarnation(); n != 3 {
				c.t.Errorf("point %d: incarnation %d", point, n)
			}
			c.start(2)
			c.addLearner(2)
			c.same(want)
		})
		if done || t.Failed() {
			return
		}
	}
}

func TestRestoreRefusesALog(t *testing.T) {
	inBubble(t, func(c *cluster) {
		c.found(1)
		m := c.nodes[1]
		c.stop(1)
		var err error
		if m.machine, err = openMachine(m.fs, "fsm"); err != nil {
			c.t.Fatal(err)
		}
		if err := consensus.Restore(c.options(m), 3); !errors.Is(err, honeyant.Exist) {
			c.t.Errorf("over a log that is there: %v", err)
		}
		if err := m.machine.db.Close(); err != nil {
			c.t.Fatal(err)
		}
	})
}
