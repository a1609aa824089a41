package clustertest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/admin"
	"github.com/honeyant/honeyant/config"
	"github.com/honeyant/honeyant/node"
	"github.com/honeyant/honeyant/rpc/memnet"
)

// Options of a Cluster. Zero values mean the defaults.
type Options struct {
	Nodes    int                  // 3
	Capacity int64                // bytes of each node's store; 2 GiB
	Tune     func(*config.Config) // changes the configuration of each node before it is founded or joins
}

// Cluster is a colony in one bubble. Its methods are for the test's own goroutine unless
// they say otherwise.
type Cluster struct {
	TB    testing.TB
	World *memnet.World
	Rand  *rand.Rand // for the test's own goroutine
	Seed  uint64

	o     Options
	log   *slog.Logger
	root  string
	hosts map[honeyant.NodeID]*Host

	ending sync.WaitGroup // nodes that died and end in the background
}

// Run founds a colony in a bubble of its own, runs the test and takes all down.
func Run(t *testing.T, o Options, test func(c *Cluster)) {
	t.Helper()
	seed := rand.Uint64()
	if s := os.Getenv("HONEYANT_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 0, 64); err != nil {
			t.Fatal(err)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		t.Logf("seed %d", seed)
		c := &Cluster{TB: t, World: memnet.New(), Rand: rand.New(rand.NewPCG(seed, 7)), Seed: seed, o: o,
			log: logger(), root: t.TempDir(), hosts: map[honeyant.NodeID]*Host{}}
		if c.o.Nodes == 0 {
			c.o.Nodes = 3
		}
		if c.o.Capacity == 0 {
			c.o.Capacity = 2 << 30
		}
		t.Cleanup(c.end)
		c.found()
		test(c)
	})
}

func logger() *slog.Logger {
	var level slog.Level
	if level.UnmarshalText([]byte(os.Getenv("HONEYANT_TEST_LOG"))) != nil {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
}

// found makes the colony: node 1 founds it, the others join one after another.
func (c *Cluster) found() {
	first := c.newHost(1)
	defer c.Heal()
	c.check(first.init())
	c.Start(1)
	for id := honeyant.NodeID(2); int(id) <= c.o.Nodes; id++ {
		c.Join()
	}
	c.Settle()
}

// Join lets one more machine join, and starts it.
func (c *Cluster) Join() *Host {
	c.TB.Helper()
	id := honeyant.NodeID(len(c.hosts) + 1)
	var join admin.Join
	c.check(c.Leader().Command("token.create", admin.TokenRequest{}, &join))
	h := c.newHost(id)
	c.check(h.join(join))
	return c.Start(id)
}

// Host is the machine of a node.
func (c *Cluster) Host(id honeyant.NodeID) *Host { return c.hosts[id] }

// Hosts are all machines by their IDs.
func (c *Cluster) Hosts() []*Host {
	var list []*Host
	for id := honeyant.NodeID(1); int(id) <= len(c.hosts); id++ {
		list = append(list, c.hosts[id])
	}
	return list
}

// Start starts a node that is not running.
func (c *Cluster) Start(id honeyant.NodeID) *Host {
	c.TB.Helper()
	h := c.hosts[id]
	if err := h.start(); err != nil {
		c.TB.Fatalf("start %v: %v", id, err)
	}
	return h
}

// linkTime is what a message takes from one node to another.
const linkTime = 300 * time.Microsecond

// Heal undoes all cuts and delays of the network.
func (c *Cluster) Heal() {
	c.World.HealAll()
	for a := range c.hosts {
		for b := range c.hosts {
			c.World.Delay(a, b, linkTime)
		}
	}
}

// Stop ends a node as SIGTERM does.
func (c *Cluster) Stop(id honeyant.NodeID) {
	c.TB.Helper()
	if err := c.hosts[id].stop(); err != nil {
		c.TB.Errorf("stop %v: %v", id, err)
	}
}

// Promote makes a node that is not running the only voter, as the command does, and tells
// what a person is shown before.
func (c *Cluster) Promote(id honeyant.NodeID) *node.Promotion {
	c.TB.Helper()
	h := c.hosts[id]
	plan, err := node.InspectPromotion(h.dir, h.parts())
	c.check(err)
	c.check(node.Promote(h.dir, h.parts()))
	return plan
}

// Kill ends nodes as kill -9 does: what they wrote is there, peers see connections reset.
func (c *Cluster) Kill(ids ...honeyant.NodeID) { c.fell(true, ids) }

// PowerOff cuts the power of nodes at one moment: what they had not synced may be lost, peers hear nothing.
func (c *Cluster) PowerOff(ids ...honeyant.NodeID) { c.fell(false, ids) }

func (c *Cluster) fell(process bool, ids []honeyant.NodeID) {
	for _, id := range ids {
		c.hosts[id].dead.Store(true)
	}
	for _, id := range ids {
		if process {
			c.World.Kill(id)
		} else {
			c.World.PowerOff(id)
		}
	}
	for _, id := range ids {
		c.hosts[id].fall(process)
	}
}

// Leader waits for a node that leads and that knows the whole map.
func (c *Cluster) Leader() *Host {
	c.TB.Helper()
	var found *Host
	c.Eventually("a leader", time.Minute, func() bool {
		found = nil
		for _, h := range c.Hosts() {
			n := h.Node()
			if n == nil || !n.Leads() {
				continue
			}
			var s admin.Status
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			err := n.Command(ctx, "status", nil, &s)
			cancel()
			if err == nil && s.Leader == h.ID.String() {
				found = h
			}
		}
		return found != nil
	})
	return found
}

// Settle waits until all running nodes are up and the quorum is as the colony wants it.
func (c *Cluster) Settle() {
	c.TB.Helper()
	c.Eventually("a settled colony", 3*time.Minute, func() bool { return c.unsettled() == "" })
}

func (c *Cluster) unsettled() string {
	running := 0
	for _, h := range c.Hosts() {
		if h.Node() != nil {
			running++
		}
	}
	lead := c.Leader()
	var s admin.Status
	if err := lead.Command("status", nil, &s); err != nil {
		return err.Error()
	}
	voters, up, stores := 0, 0, 0
	for _, one := range s.Nodes {
		if one.State == "up" && one.LastHeartbeatOK {
			up++
			if one.Voter {
				voters++
			}
		}
	}
	m := lead.Node().Map()
	for _, st := range m.Stores {
		if m.StoreUp(st.ID) && st.Available > 0 {
			stores++
		}
	}
	want := 1
	if running >= 3 {
		want = 3
	}
	switch {
	case up < running || stores < running:
		return fmt.Sprintf("%d of %d nodes, %d stores are up", up, running, stores)
	case voters != want:
		return fmt.Sprintf("%d voters, not %d", voters, want)
	case running == 2 && s.Health != "ok":
		return "the mirror is not in sync"
	}
	return ""
}

// Eventually waits in fake time until ok says yes.
func (c *Cluster) Eventually(what string, within time.Duration, ok func() bool) {
	c.TB.Helper()
	end := time.Now().Add(within)
	for !ok() {
		if time.Now().After(end) {
			c.TB.Fatalf("not within %v: %s", within, what)
		}
		Sleep(50 * time.Millisecond)
	}
}

// Sleep lets fake time pass. Safe for concurrent use.
func Sleep(d time.Duration) { <-time.After(d) }

func (c *Cluster) check(err error) {
	c.TB.Helper()
	if err != nil {
		c.TB.Fatal(err)
	}
}

// end takes all down.
func (c *Cluster) end() {
	c.Heal()
	var wg sync.WaitGroup
	for _, h := range c.Hosts() {
		h.Disk.Undo()
		wg.Go(func() {
			if err := h.stop(); err != nil && !errors.Is(err, honeyant.Unavailable) && !c.TB.Failed() {
				c.TB.Errorf("stop %v: %v", h.ID, err)
			}
		})
	}
	wg.Wait()
	c.ending.Wait()
}

func (c *Cluster) path(id honeyant.NodeID, life int) string {
	return filepath.Join(c.root, fmt.Sprintf("%v-%d", id, life))
}
