package cluster

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/meta"
	"github.com/honeyant/honeyant/rpc"
)

// TrackerOptions configure a Tracker. Zero durations mean the defaults.
type TrackerOptions struct {
	Self honeyant.NodeID
	// Doer is the local leader: its reads are linearizable, and it fails when this node
	// does not lead.
	Doer meta.Doer
	// Calls reaches other nodes by rpc.ProtoControl, to push maps; nil: they wait for
	// their next heartbeat.
	Calls rpc.Caller
	// Last is the newest map that this node knew before it led; may be nil.
	Last func() *honeyant.Map
	// Superseded is told, on a goroutine of the caller, when a node shows a higher
	// incarnation of the cluster than this one: this node must not lead any more (rule 4).
	Superseded func(incarnation uint32)

	Every     time.Duration // between two looks at members and silence (1 s)
	DownAfter time.Duration // silence until a node is down (10 s)
	OutAfter  time.Duration // silence until a node is out (10 min)
	TTL       time.Duration // without proof of leadership for so long, heartbeats get no answer (10 s)
	Log       *slog.Logger
}

// Defaults of TrackerOptions and AgentOptions.
const (
	DefaultEvery     = time.Second
	DefaultDownAfter = 10 * time.Second
	DefaultOutAfter  = 10 * time.Minute
	DefaultTTL       = 10 * time.Second
)

// Tracker is the leader's part: it hears the heartbeats, counts the silences, joins the
// committed member list with liveness and sizes into the map, and commits who is out and
// who is back. It keeps nothing: a new leader's tracker gives every node a full grace (C5).
// It works between Lead and Resign. Safe for concurrent use.
type Tracker struct {
	o      TrackerOptions
	wake   chan struct{} // 1: look now
	push   chan struct{} // 1: the map has changed
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu        sync.Mutex // guards all below; not held while anything is called
	epoch     uint64     // of the leadership; 0: this node does not lead
	since     time.Time  // when it began
	confirmed time.Time  // the last moment at which this node certainly led
	nodes     map[honeyant.NodeID]*heard
	usage     map[honeyant.StoreID]StoreUsage
	published *honeyant.Map       // nil until the member list was read in this epoch
	local     func(*honeyant.Map) // this node's own agent takes a published map by it
	farewell  []honeyant.NodeID   // removed since the last spread: told once, then locked out
	floor     uint64              // published versions lie above it; kept from leadership to leadership
}

// heard is what the tracker knows of a node by its heartbeats.
type heard struct {
	at     time.Time // of the last heartbeat, or the begin of the leadership
	spoke  bool      // a heartbeat came in this epoch
	down   bool
	last   beat
	pushed mapMark // the newest map it is known to have
}

// NewTracker starts a tracker that does not lead yet. Close it.
func NewTracker(o TrackerOptions) *Tracker {
	setDefault(&o.Every, DefaultEvery)
	setDefault(&o.DownAfter, DefaultDownAfter)
	setDefault(&o.OutAfter, DefaultOutAfter)
	setDefault(&o.TTL, DefaultTTL)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	t := &Tracker{o: o, wake: make(chan struct{}, 1), push: make(chan struct{}, 1)}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	t.wg.Go(t.watch)
	t.wg.Go(t.spread)
	return t
}

func setDefault(d *time.Duration, v time.Duration) {
	if *d <= 0 {
		*d = v
	}
}

// Close ends the tracker and waits. Twice is harmless.
func (t *Tracker) Close() error {
	t.cancel()
	t.wg.Wait()
	return nil
}

// Lead begins a leadership. Every node gets a full grace from now on; one that was down
// stays down until it is heard, and its silence counts anew.
func (t *Tracker) Lead(epoch uint64) {
	var last *honeyant.Map
	if t.o.Last != nil {
		last = t.o.Last()
	}
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.epoch == epoch {
		return
	}
	t.epoch, t.since, t.confirmed, t.published = epoch, now, time.Time{}, nil
	t.nodes, t.usage = map[honeyant.NodeID]*heard{}, map[honeyant.StoreID]StoreUsage{}
	if last != nil {
		t.floor = max(t.floor, last.Version)
		for _, n := range last.Nodes {
			t.nodes[n.ID] = &heard{at: now, down: n.State == honeyant.NodeDown}
		}
		for _, s := range last.Stores {
			t.usage[s.ID] = StoreUsage{ID: s.ID, Used: s.Used, Available: s.Available}
		}
	}
	notify(t.wake)
}

// Resign ends the leadership: heartbeats get no answer any more.
func (t *Tracker) Resign() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.epoch, t.published, t.nodes, t.usage = 0, nil, nil, nil
}

// Refresh reads the member list now instead of at the next tick. Call it after each
// committed change of nodes or stores.
func (t *Tracker) Refresh() { notify(t.wake) }

// Map is the map of the present leadership, nil if this node does not lead for certain.
func (t *Tracker) Map() *honeyant.Map {
	m, _ := t.leading(time.Now())
	return m
}

// leading is the published map and how long ago this node certainly led.
func (t *Tracker) leading(now time.Time) (*honeyant.Map, time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	age := now.Sub(t.confirmed)
	if t.epoch == 0 || t.published == nil || age >= t.o.TTL {
		return nil, 0
	}
	return t.published, age
}

// NodeReport is a node's last heartbeat.
type NodeReport struct {
	Node   honeyant.NodeID
	Silent time.Duration // since the last heartbeat, or since this leadership began
	Heard  bool          // a heartbeat came under this leadership
	Zone   string        // as configured there; "": it is not
	Report Report
}

// Reports tells the last heartbeat of each node, in no order; nil if this node does not lead.
func (t *Tracker) Reports() []NodeReport {
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	var all []NodeReport
	for id, h := range t.nodes {
		all = append(all, NodeReport{Node: id, Silent: now.Sub(h.at), Heard: h.spoke, Zone: h.last.Zone, Report: h.last.Report})
	}
	return all
}

// hear takes a heartbeat in and answers it. Errors: NotLeader.
func (t *Tracker) hear(node honeyant.NodeID, b *beat) (*beatReply, error) {
	now := time.Now()
	m, age := t.leading(now)
	if m == nil {
		return nil, honeyant.E("cluster.Beat", honeyant.NotLeader, t.o.Self.String(), nil)
	}
	if b.Known.Incarnation > m.Incarnation {
		t.Resign()
		if t.o.Superseded != nil {
			t.o.Superseded(b.Known.Incarnation)
		}
		return nil, honeyant.E("cluster.Beat", honeyant.NotLeader, t.o.Self.String(), nil)
	}
	t.note(node, b, now)
	r := &beatReply{Leading: true, Leader: t.o.Self, AgeMilli: uint64(age / time.Millisecond)}
	if b.Known == markOf(m) {
		r.Sizes = m.Stores
	} else {
		r.Map = m
	}
	return r, nil
}

// note books a heartbeat and wakes the watch if it tells something new.
func (t *Tracker) note(node honeyant.NodeID, b *beat, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.epoch == 0 {
		return
	}
	h := t.nodes[node]
	fresh := h == nil || h.down || b.Refresh
	if h == nil {
		h = &heard{}
		t.nodes[node] = h
	}
	h.at, h.spoke, h.down, h.last, h.pushed = now, true, false, *b, b.Known
	t.floor = max(t.floor, b.Known.Version)
	for _, u := range b.Report.Stores {
		s, ok := t.published.Store(u.ID)
		if ok && s.Node != node {
			continue // not its own
		}
		fresh = fresh || !ok || u.Failing && s.State == honeyant.StoreActive
		t.usage[u.ID] = u
	}
	if fresh {
		notify(t.wake)
	}
}

func notify(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}
