package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/cluster"
	"github.com/honeyant/honeyant/meta"
	"github.com/honeyant/honeyant/rpc"
	"github.com/honeyant/honeyant/rpc/memnet"
)

// colony is some nodes on a network in memory, in fake time.
type colony struct {
	t     *testing.T
	s     *metadata
	world *memnet.World
	nodes map[honeyant.NodeID]*member
	ca    *cluster.CA
}

type member struct {
	id      *cluster.Identity
	net     *memnet.Node
	calls   *rpc.Client
	tracker *cluster.Tracker
	agent   *cluster.Agent
	mapFile string
	stop    func()

	mu     sync.Mutex
	report cluster.Report
}

func address(id honeyant.NodeID) string { return fmt.Sprintf("10.0.0.%d:7268", id) }

// newColony founds a cluster of n nodes; the first leads.
func newColony(t *testing.T, n int) *colony {
	c := &colony{t: t, s: newMetadata(), world: memnet.New(), nodes: map[honeyant.NodeID]*member{}}
	first, err := cluster.Init(filepath.Join(t.TempDir(), "identity"))
	must(t, err)
	must(t, first.Found(t.Context(), c.s.remote(), cluster.Member{Name: "n1", Address: address(1)}))
	c.ca, err = cluster.LoadCA(t.Context(), c.s.local(1))
	must(t, err)
	var m *honeyant.Map
	for i := 1; i <= n; i++ {
		id := first
		if i > 1 {
			id, err = c.ca.Issue(honeyant.NodeID(i))
			must(t, err)
			pub, err := id.PublicKey()
			must(t, err)
			_, err = meta.Do(t.Context(), c.s.remote(), &meta.AddNode{
				Name: id.Self().String(), Address: address(id.Self()), PublicKey: pub, TokenHash: c.token(),
			})
			must(t, err)
		}
		c.nodes[id.Self()] = &member{id: id, mapFile: filepath.Join(t.TempDir(), "map")}
	}
	reply, err := meta.Do(t.Context(), c.s.remote(), &meta.ListNodes{})
	must(t, err)
	m = &reply.Map
	for id := range c.nodes {
		c.boot(id, m)
	}
	c.nodes[1].tracker.Lead(1)
	t.Cleanup(func() {
		for _, m := range c.nodes {
			m.stop()
		}
	})
	return c
}

func (c *colony) token() []byte {
	tok, _, err := cluster.CreateToken(c.t.Context(), c.s.remote(), c.ca.Pin(), cluster.TokenOptions{})
	must(c.t, err)
	return tok.Hash()
}

func (c *colony) boot(id honeyant.NodeID, first *honeyant.Map) {
	t, m := c.t, c.nodes[id]
	m.net = c.world.Node(id, address(id))
	m.calls = rpc.NewClient(m.net, func(n honeyant.NodeID) (string, bool) { return m.agent.Resolve(n) }, rpc.ProtoControl, rpc.Options{})
	m.tracker = cluster.NewTracker(cluster.TrackerOptions{
		Self: id, Doer: c.s.local(id), Calls: m.calls, Last: func() *honeyant.Map { return m.agent.Map() },
	})
	var err error
	m.agent, err = cluster.NewAgent(cluster.AgentOptions{
		Identity: m.id, Calls: m.calls, Doer: c.s.remote(), Tracker: m.tracker, First: first, MapFile: m.mapFile,
		Self: cluster.Member{Address: address(id)},
		Report: func() cluster.Report {
			m.mu.Lock()
			defer m.mu.Unlock()
			return m.report
		},
		Methods: cluster.Methods{cluster.MethodFree: func(context.Context, honeyant.NodeID, rpc.Method, []byte) ([]byte, error) {
			return []byte("hello"), nil
		}},
	})
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- rpc.Serve(ctx, m.net.Listen(rpc.ProtoControl), m.agent.Handle, rpc.Options{}) }()
	m.agent.Start()
	stopped := false
	m.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		m.net.Close()
		must(t, m.agent.Close())
		must(t, m.tracker.Close())
		must(t, m.calls.Close())
		must(t, <-served)
	}
}

// sees is the state of a node in the map of another.
func (c *colony) sees(viewer, of honeyant.NodeID) honeyant.NodeState {
	n, _ := c.nodes[viewer].agent.Map().Node(of)
	return n.State
}

func (c *colony) want(viewer, of honeyant.NodeID, s honeyant.NodeState) {
	c.t.Helper()
	if got := c.sees(viewer, of); got != s {
		c.t.Errorf("at %s: %s sees %s %v, want %v", time.Now().Format("05.000"), viewer, of, got, s)
	}
}

func wait(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func TestDownOutAndBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newColony(t, 3)
		wait(3 * time.Second)
		for viewer := range c.nodes {
			c.want(viewer, 3, honeyant.NodeUp)
		}
		c.world.Isolate(3)
		wait(8 * time.Second)
		c.want(2, 3, honeyant.NodeUp)
		wait(4 * time.Second)
		c.want(1, 3, honeyant.NodeDown)
		c.want(2, 3, honeyant.NodeDown)
		if c.s.state(3) != honeyant.NodeUp {
			t.Errorf("down was committed: %v", c.s.state(3))
		}
		if err := c.nodes[3].agent.Fresh(); !errors.Is(err, honeyant.Unavailable) {
			t.Errorf("a node that is cut off for 12 s is fresh: %v", err)
		}
		if err := c.nodes[2].agent.Fresh(); err != nil {
			t.Errorf("node 2: %v", err)
		}
		wait(10 * time.Minute)
		c.want(2, 3, honeyant.NodeOut)
		if c.s.state(3) != honeyant.NodeOut {
			t.Errorf("out was not committed: %v", c.s.state(3))
		}
		c.world.HealAll()
		wait(8 * time.Second)
		c.want(2, 3, honeyant.NodeUp)
		c.want(3, 3, honeyant.NodeUp)
		if c.s.state(3) != honeyant.NodeUp || c.nodes[3].agent.Fresh() != nil {
			t.Errorf("back: committed %v, fresh %v", c.s.state(3), c.nodes[3].agent.Fresh())
		}
		changes := 0
		for _, op := range c.s.changes {
			if _, ok := op.(*meta.UpdateNode); ok {
				changes++
			}
		}
		if changes != 2 {
			t.Errorf("%d changes of nodes committed, want 2 (out, up)", changes)
		}
	})
}

// The leader and all others lock a removed node out at once, not at their next heartbeat.
func TestRemovalCountsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newColony(t, 3)
		wait(3500 * time.Millisecond)
		_, err := meta.Do(t.Context(), c.s.remote(), &meta.RemoveNode{ID: 3})
		must(t, err)
		c.nodes[1].tracker.Refresh()
		wait(time.Millisecond)
		for _, id := range []honeyant.NodeID{1, 2} {
			if err := c.nodes[id].id.Authorize(3); !errors.Is(err, honeyant.Permission) {
				t.Errorf("node %v: %v", id, err)
			}
		}
		c.want(3, 3, honeyant.NodeRemoved) // it was told
	})
}

// A zone given by a command stays, though the node's configuration names none; one that is configured wins.
func TestLabelledZoneStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newColony(t, 2)
		wait(3 * time.Second)
		label := &meta.UpdateNode{Node: honeyant.Node{ID: 2, Zone: "attic"}, Set: meta.SetNodeZone}
		_, err := meta.Do(t.Context(), c.s.remote(), label)
		must(t, err)
		wait(5 * time.Second)
		if n, _ := c.nodes[1].agent.Map().Node(2); n.Zone != "attic" {
			t.Errorf("the zone is %q five seconds later", n.Zone)
		}
	})
}

// A short silence that ends before the deadline changes nothing.
func TestShortSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newColony(t, 2)
		wait(3 * time.Second)
		version := c.nodes[1].agent.Map().Version
		for range 3 {
			c.world.Isolate(2)
			wait(5 * time.Second)
			c.world.HealAll()
			wait(5 * time.Second)
		}
		c.want(1, 2, honeyant.NodeUp)
		if v := c.nodes[1].agent.Map().Version; v != version {
			t.Errorf("map version went from %d to %d", version, v)
		}
	})
}

func TestLeaderChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newColony(t, 4)
		wait(3 * time.Second)
		c.world.Isolate(4)
		wait(12 * time.Second)
		c.want(2, 4, honeyant.NodeDown)
		wait(8 * time.Minute) // not out yet
		before := c.nodes[3].agent.Map()

		c.world.Isolate(1)
		c.s.lead(2)
		c.nodes[2].tracker.Lead(2)
		wait(5 * time.Second)
		m := c.nodes[3].agent.Map()
		if m.Leader != 2 || m.Epoch != 2 || m.Version <= before.Version {
			t.Errorf("after the change: leader %v, epoch %d, version %d (was %d)", m.Leader, m.Epoch, m.Version, before.Version)
		}
		if err := c.nodes[3].agent.Fresh(); err != nil {
			t.Errorf("5 s after the leader's death: %v", err)
		}
		c.want(3, 4, honeyant.NodeDown) // known before, not heard since
		c.want(3, 1, honeyant.NodeUp)   // full grace
		if c.nodes[1].tracker.Map() == nil {
			t.Log("the old leader gave up already")
		}
		wait(10 * time.Second)
		c.want(3, 1, honeyant.NodeDown)
		if c.nodes[1].tracker.Map() != nil || c.nodes[1].agent.Fresh() == nil {
			t.Error("the old leader, cut off, still believes that it leads")
		}
		wait(5 * time.Minute)
		c.want(3, 4, honeyant.NodeDown) // 13 min silent, but this leader counts from its own begin
		wait(6 * time.Minute)
		c.want(3, 4, honeyant.NodeOut)
		c.want(3, 1, honeyant.NodeOut)
		c.world.HealAll()
		c.nodes[1].tracker.Resign()
		wait(10 * time.Second)
		for id := range c.nodes {
			c.want(1, id, honeyant.NodeUp)
		}
		if m := c.nodes[1].agent.Map(); m.Leader != 2 {
			t.Errorf("the old leader's map names %v", m.Leader)
		}
	})
}

// A node that was cut off is elected as soon as it is back: it serves its peers although its own heartbeat still waits for the
// leader before it.
func TestNewLeaderIsFreshAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newColony(t, 3)
		wait(3 * time.Second)
		c.world.Isolate(3)
		wait(12 * time.Second)
		if c.nodes[3].agent.Fresh() == nil {
			t.Error("fresh though it is cut off")
		}
		c.s.lead(3)
		c.nodes[3].tracker.Lead(2)
		wait(100 * time.Millisecond)
		if err := c.nodes[3].agent.Fresh(); err != nil {
			t.Errorf("the new leader is not fresh: %v", err)
		}
		c.nodes[3].tracker.Resign()
		if c.nodes[3].agent.Fresh() == nil {
			t.Error("fresh though it does not lead any more and has heard of nobody")
		}
	})
}

// All are stale after a restart with a new leader: nothing may wait for freshness to get it.
func TestColdStartFromMapsOnDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newColony(t, 3)
		wait(3 * time.Second)
		version := c.nodes[3].agent.Map().Version
		for _, m := range c.nodes {
			m.stop()
		}
		for id := range c.nodes {
			c.boot(id, nil)
			if m := c.nodes[id].agent.Map(); m == nil || m.Version != version {
				t.Fatalf("node %v did not read its map: %+v", id, m)
			}
		}
		c.s.lead(3)
		wait(time.Minute)
		if c.nodes[2].agent.Fresh() == nil {
			t.Error("fresh without a leader")
		}
		served := c.nodes[2].agent.Guard(func(context.Context, honeyant.NodeID, rpc.Method, []byte) ([]byte, error) { return nil, nil })
		if _, err := served(t.Context(), 1, 1, nil); !errors.Is(err, honeyant.Unavailable) {
			t.Errorf("a stale node served a peer: %v", err)
		}
		c.nodes[3].tracker.Lead(7)
		wait(2 * time.Second)
		for id, m := range c.nodes {
			if err := m.agent.Fresh(); err != nil {
				t.Errorf("node %v: %v", id, err)
			}
			c.want(id, 1, honeyant.NodeUp)
		}
		if _, err := served(t.Context(), 1, 1, nil); err != nil {
			t.Errorf("a fresh node serves no peer: %v", err)
		}
	})
}

func TestStoresSizesAndFailing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newColony(t, 2)
		two := c.nodes[2]
		id, err := two.agent.RegisterStore(t.Context(), "key-a", 1000)
		must(t, err)
		again, err := two.agent.RegisterStore(t.Context(), "key-a", 1000)
		must(t, err)
		if id != 1 || again != id {
			t.Fatalf("store IDs %v and %v", id, again)
		}
		two.mu.Lock()
		two.report = cluster.Report{Version: "v1", CPUs: 2, Stores: []cluster.StoreUsage{{ID: id, Capacity: 1000, Used: 10, Available: 900}}}
		two.mu.Unlock()
		wait(3 * time.Second)
		for viewer, m := range c.nodes {
			if s, _ := m.agent.Map().Store(id); s.Used != 10 || s.Available != 900 || s.Node != 2 || s.State != honeyant.StoreActive {
				t.Errorf("%v sees %+v", viewer, s)
			}
		}
		version := c.nodes[1].agent.Map().Version
		two.mu.Lock()
		two.report.Stores = []cluster.StoreUsage{{ID: id, Capacity: 1000, Used: 20, Available: 880}}
		two.mu.Unlock()
		wait(3 * time.Second)
		if s, _ := c.nodes[1].agent.Map().Store(id); s.Used != 20 || c.nodes[1].agent.Map().Version != version {
			t.Errorf("sizes: %+v, version %d, was %d", s, c.nodes[1].agent.Map().Version, version)
		}
		two.mu.Lock()
		two.report.Stores = []cluster.StoreUsage{{ID: id, Capacity: 2000, Used: 20, Available: 880, Failing: true}}
		two.mu.Unlock()
		wait(3 * time.Second)
		if s, _ := c.nodes[1].agent.Map().Store(id); s.State != honeyant.StoreFailing || s.Capacity != 2000 {
			t.Errorf("failing store: %+v", s)
		}
		reports := c.nodes[1].tracker.Reports()
		if len(reports) != 2 {
			t.Errorf("%d reports", len(reports))
		}
		for _, r := range reports {
			if !r.Heard || r.Silent > 2*time.Second || r.Node == 2 && r.Report.CPUs != 2 {
				t.Errorf("report %+v", r)
			}
		}
		if resp, err := c.nodes[1].calls.Call(t.Context(), 2, cluster.MethodFree, nil); err != nil || string(resp) != "hello" {
			t.Errorf("method of others: %q %v", resp, err)
		}
		if _, err := c.nodes[1].calls.Call(t.Context(), 2, cluster.MethodFree+1, nil); !errors.Is(err, honeyant.Unsupported) {
			t.Errorf("unknown method: %v", err)
		}
	})
}

// RegisterStore waits for a leader.
func TestRegisterStoreWithoutLeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newColony(t, 1)
		c.s.lead(0)
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		time.AfterFunc(20*time.Second, func() { c.s.lead(1) })
		if _, err := c.nodes[1].agent.RegisterStore(ctx, "k", 1); err != nil {
			t.Error(err)
		}
		c.s.lead(0)
		ctx, cancel = context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		if _, err := c.nodes[1].agent.RegisterStore(ctx, "k", 1); !errors.Is(err, honeyant.Unavailable) {
			t.Error(err)
		}
	})
}

// A node that knows a higher incarnation ends an old leader (rule 4).
func TestHigherIncarnationEndsTheLeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newColony(t, 2)
		wait(3 * time.Second)
		m := *c.nodes[2].agent.Map()
		m.Incarnation, m.Leader = 2, 2
		c.nodes[2].stop()
		must(t, cluster.SaveMap(c.nodes[2].mapFile, &m))
		c.boot(2, nil)
		wait(3 * time.Second)
		if c.nodes[1].tracker.Map() != nil {
			t.Error("the leader of an older incarnation goes on")
		}
	})
}

func TestCertificateRenewsItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newColony(t, 1)
		wait(time.Second)
		m := c.nodes[1]
		ends := m.id.NotAfter()
		m.stop()
		time.Sleep(6 * 365 * 24 * time.Hour)
		c.boot(1, nil)
		c.nodes[1].tracker.Lead(2)
		wait(5 * time.Second)
		if !m.id.NotAfter().Equal(ends) {
			t.Error("renewed with 4 of 10 years left")
		}
		m.stop()
		time.Sleep(365 * 24 * time.Hour)
		c.boot(1, nil)
		c.nodes[1].tracker.Lead(3)
		wait(5 * time.Second)
		if got := m.id.NotAfter(); got.Before(ends.Add(6 * 365 * 24 * time.Hour)) {
			t.Errorf("ends %v, was %v", got, ends)
		}
		cert, err := m.id.TLSCertificate()
		must(t, err)
		if cert.Leaf.NotAfter != m.id.NotAfter() {
			t.Error("the old certificate is still shown")
		}
	})
}

// An agent that ends as soon as it has begun keeps the map that it was given: it may be the
// only one that tells the node where the others are.
func TestMapIsKeptAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newColony(t, 2)
		for range 50 {
			m := c.nodes[2]
			m.stop()
			kept, err := cluster.LoadMap(m.mapFile)
			if err != nil || kept == nil {
				t.Fatalf("kept %v, %v", kept, err)
			}
			must(t, os.Remove(m.mapFile))
			c.boot(2, kept)
		}
	})
}

// The map file is replaced whole: what a crash leaves at any point is the old map or the new.
func TestMapFileCrash(t *testing.T) {
	path := filepath.Join(t.TempDir(), "map")
	if m, err := cluster.LoadMap(path); m != nil || err != nil {
		t.Fatalf("no file: %v %v", m, err)
	}
	old := &honeyant.Map{Cluster: "c", Version: 1, Nodes: []honeyant.Node{{ID: 1, Name: "a"}}}
	must(t, cluster.SaveMap(path, old))
	next := cluster.EncodeMap(&honeyant.Map{Cluster: "c", Version: 2})
	for cut := range len(next) { // the crash comes before the rename
		must(t, os.WriteFile(path+".new", next[:cut], 0o600))
		m, err := cluster.LoadMap(path)
		if err != nil || m.Version != 1 || m.Nodes[0].Name != "a" {
			t.Fatalf("cut at %d: %+v %v", cut, m, err)
		}
	}
	must(t, cluster.SaveMap(path, &honeyant.Map{Cluster: "c", Version: 3}))
	if m, err := cluster.LoadMap(path); err != nil || m.Version != 3 {
		t.Errorf("%+v %v", m, err)
	}
	for cut := range len(next) { // a torn file (a disk that lied) is told, never taken for a map
		must(t, os.WriteFile(path, next[:cut], 0o600))
		if _, err := cluster.LoadMap(path); !errors.Is(err, honeyant.Corrupt) {
			t.Fatalf("cut at %d: %v", cut, err)
		}
	}
}

// A leadership that is given up and taken again under the same epoch goes on with its
// versions, even if this node's own agent never saw the last ones.
func TestVersionsGoOnAfterResign(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMetadata()
		for _, op := range []meta.Op{&meta.Bootstrap{Cluster: "c"}, &meta.AddNode{Name: "a", Address: "h:1"}} {
			_, err := s.remote().Do(t.Context(), op)
			must(t, err)
		}
		tr := cluster.NewTracker(cluster.TrackerOptions{Self: 1, Doer: s.local(1)})
		defer tr.Close()
		var last uint64
		for range 3 {
			tr.Lead(1)
			wait(2 * time.Second)
			m := tr.Map()
			if m == nil || m.Version <= last {
				t.Fatalf("map %+v after version %d", m, last)
			}
			last = m.Version
			tr.Resign()
			if tr.Map() != nil {
				t.Error("leads after Resign")
			}
		}
	})
}

// Random partitions, deaths of leaders and pauses; once all is well again every node agrees.
func TestRandomFaultsConverge(t *testing.T) {
	seed := time.Now().UnixNano()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(uint64(seed), 1))
	synctest.Test(t, func(t *testing.T) {
		const n = 4
		c := newColony(t, n)
		any := func() honeyant.NodeID { return honeyant.NodeID(1 + rnd.IntN(n)) }
		leader, epoch := honeyant.NodeID(1), uint64(1)
		versions := map[honeyant.NodeID]*honeyant.Map{}
		for range 60 {
			switch a, b := any(), any(); rnd.IntN(5) {
			case 0:
				c.world.Isolate(a)
			case 1:
				if a != b {
					c.world.Cut(a, b)
				}
			case 2:
				c.world.HealAll()
			case 3: // another leader; the old one may not learn of it at once
				old := leader
				leader, epoch = a, epoch+1
				c.s.lead(leader)
				c.nodes[leader].tracker.Lead(epoch)
				if old != leader && rnd.IntN(2) == 0 {
					c.nodes[old].tracker.Resign()
				}
			case 4:
				c.nodes[a].stop()
				c.boot(a, nil)
				if a == leader {
					c.nodes[a].tracker.Lead(epoch)
				}
			}
			wait(time.Duration(rnd.IntN(20000)) * time.Millisecond)
			for id, m := range c.nodes {
				cur := m.agent.Map()
				if old := versions[id]; old != nil && (cur.Epoch < old.Epoch || cur.Epoch == old.Epoch && cur.Version < old.Version) {
					t.Errorf("node %v went back from %d/%d to %d/%d", id, old.Epoch, old.Version, cur.Epoch, cur.Version)
				}
				versions[id] = cur
			}
		}
		c.world.HealAll()
		wait(30 * time.Second)
		want := c.nodes[leader].tracker.Map()
		if want == nil {
			t.Fatal("the leader does not lead")
		}
		for id, m := range c.nodes {
			cur := m.agent.Map()
			if cur.Leader != leader || cur.Epoch != want.Epoch || cur.Version != want.Version || m.agent.Fresh() != nil {
				t.Errorf("node %v: leader %v, %d/%d (want %d/%d), fresh %v", id, cur.Leader, cur.Epoch, cur.Version, want.Epoch, want.Version, m.agent.Fresh())
			}
			for other := range c.nodes {
				c.want(id, other, honeyant.NodeUp)
			}
		}
	})
}
