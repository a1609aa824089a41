package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/meta"
	"github.com/honeyant/honeyant/rpc"
)

// Methods are the handlers of rpc.ProtoControl by their numbers.
type Methods map[rpc.Method]rpc.Handler

// AgentOptions configure an Agent. Zero durations mean the defaults.
type AgentOptions struct {
	Identity *Identity
	Calls    rpc.Caller // by rpc.ProtoControl, addresses from Agent.Resolve
	Doer     meta.Doer  // reaches the leader from here
	Tracker  *Tracker   // nil on a node that never leads
	Self     Member     // as configured now; a change is committed
	MapFile  string     // where the last map is kept; empty: nowhere
	First    *honeyant.Map
	Methods  Methods // of others, from MethodFree on
	// Leader is whom consensus believes to lead, 0 if it does not know; nil without it.
	Leader func() honeyant.NodeID
	// Report is what the heartbeats carry; nil: nothing.
	Report func() Report
	Every  time.Duration // between heartbeats (1 s)
	TTL    time.Duration // a map older than this serves no peer (10 s)
	Log    *slog.Logger
}

// Agent is every node's part of the membership: it sends the heartbeats, keeps the newest
// map, in memory and on disk, and answers control calls. Safe for concurrent use.
type Agent struct {
	o       AgentOptions
	methods Methods
	ctx     context.Context
	cancel  context.CancelFunc
	wg      sync.WaitGroup
	wake    chan struct{} // 1: send a heartbeat now
	changed chan struct{} // 1: the map has changed, for the callbacks
	dirty   chan struct{} // 1: the map has changed, for the disk

	current atomic.Pointer[honeyant.Map]
	refresh atomic.Bool // the next heartbeat asks the leader to look at the members

	mu      sync.Mutex // guards all below and the order of current
	fresh   time.Time  // the map was the newest at this moment; zero: never
	leader  honeyant.NodeID
	onMap   []func(old, new *honeyant.Map)
	started bool
}

// NewAgent takes the newest of the map on disk, the one that the join answered and o.First,
// and makes Identity believe in its members. Nothing runs before Start. Errors: Corrupt for a map file
// that can not be read, Invalid for methods that clash.
func NewAgent(o AgentOptions) (*Agent, error) {
	const op = "cluster.NewAgent"
	setDefault(&o.Every, DefaultEvery)
	setDefault(&o.TTL, DefaultTTL)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	a := &Agent{o: o, wake: make(chan struct{}, 1), changed: make(chan struct{}, 1), dirty: make(chan struct{}, 1)}
	a.ctx, a.cancel = context.WithCancel(context.Background())
	a.methods = Methods{MethodBeat: a.onBeat, MethodMap: a.onPush, MethodJoin: a.onJoin, MethodRenew: a.onRenew}
	for m, h := range o.Methods {
		if m < MethodFree || h == nil {
			return nil, honeyant.E(op, honeyant.Invalid, fmt.Sprintf("method %d", m), errors.New("methods of others begin at MethodFree"))
		}
		a.methods[m] = h
	}
	for _, path := range []string{o.Identity.firstMap(), o.MapFile} {
		if path == "" {
			continue
		}
		m, err := LoadMap(path)
		if err != nil {
			return nil, err
		}
		if m != nil && m.Cluster != o.Identity.Cluster() {
			return nil, honeyant.E(op, honeyant.Corrupt, path, fmt.Errorf("a map of cluster %q", m.Cluster))
		}
		a.adopt(m)
	}
	a.adopt(o.First)
	tell := func(honeyant.NodeID) { a.Wake() }
	o.Identity.stranger.Store(&tell)
	if t := o.Tracker; t != nil {
		t.mu.Lock()
		t.local = a.adopt
		t.mu.Unlock()
	}
	return a, nil
}

// OnMap lets fn know of each change of the map but of sizes: once with nil and the map known
// at Start, then with the one told before and the newest. Calls come one after another; fn
// may take its time, then maps in between are skipped. Call it before Start.
func (a *Agent) OnMap(fn func(old, new *honeyant.Map)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.onMap = append(a.onMap, fn)
}

// Start begins to send heartbeats. Call it once.
func (a *Agent) Start() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.started || a.ctx.Err() != nil {
		return
	}
	a.started = true
	a.wg.Go(a.beatLoop)
	a.wg.Go(a.tellLoop)
	if a.o.MapFile != "" {
		a.wg.Go(a.keepLoop)
	}
}

// Close ends the agent and waits; the newest map is in MapFile then. Twice is harmless.
func (a *Agent) Close() error {
	a.cancel()
	a.wg.Wait()
	return nil
}

// Map is the newest map known, nil before the first one. It is shared: never change it.
func (a *Agent) Map() *honeyant.Map { return a.current.Load() }

// Resolve is an rpc.Resolver from the map.
func (a *Agent) Resolve(node honeyant.NodeID) (string, bool) {
	n, ok := a.Map().Node(node)
	return n.Address, ok && n.Address != "" && n.State != honeyant.NodeRemoved
}

// Wake sends a heartbeat now.
func (a *Agent) Wake() { notify(a.wake) }

// Fresh tells whether the map is young enough to serve peers by (C3), as that of a node that leads is: others wait for it at
// once, while its own heartbeat may still be waiting for the leader before it. Errors: Unavailable.
// What a node needs to get a map, and what voters need to elect a leader, must not ask it:
// rpc.ProtoControl, rpc.ProtoRaft, rpc.ProtoMirror and rpc.ProtoJoin.
func (a *Agent) Fresh() error {
	a.mu.Lock()
	fresh := a.fresh
	a.mu.Unlock()
	if a.o.Tracker != nil && a.o.Tracker.Map() != nil {
		return nil
	}
	if fresh.IsZero() {
		return honeyant.E("cluster.Fresh", honeyant.Unavailable, a.o.Identity.Self().String(), errors.New("the node has not heard from the leader yet"))
	}
	if age := time.Since(fresh); age >= a.o.TTL {
		return honeyant.E("cluster.Fresh", honeyant.Unavailable, a.o.Identity.Self().String(),
			fmt.Errorf("the node has not heard from the leader for %s", age.Round(time.Millisecond)))
	}
	return nil
}

// Leader is who leads as far as this node knows, 0 if it does not.
func (a *Agent) Leader() honeyant.NodeID {
	if a.o.Leader != nil {
		if id := a.o.Leader(); id != 0 {
			return id
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.leader
}

// RegisterStore tells the cluster of a store on this node and returns its ID; a store that
// is known by its key gets the same one. It waits for a leader until ctx ends.
func (a *Agent) RegisterStore(ctx context.Context, key string, capacity int64) (honeyant.StoreID, error) {
	const op = "cluster.RegisterStore"
	for {
		try, cancel := context.WithTimeout(ctx, commitWait)
		reply, err := meta.Do(try, a.o.Doer, &meta.AddStore{Node: a.o.Identity.Self(), Key: key, Capacity: capacity})
		cancel()
		if err == nil {
			a.changedMembers()
			return reply.Store.ID, nil
		}
		if !passing(err) {
			return 0, honeyant.E(op, honeyant.Other, key, err)
		}
		if !pause(ctx, a.o.Every/4) {
			return 0, honeyant.E(op, honeyant.Unavailable, key, err)
		}
	}
}

// changedMembers lets the leader look at the member list soon.
func (a *Agent) changedMembers() {
	if a.o.Tracker != nil {
		a.o.Tracker.Refresh()
	}
	a.refresh.Store(true)
	a.Wake()
}

// adopt takes a map into use if it is newer.
func (a *Agent) adopt(m *honeyant.Map) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if m == nil || !newer(m, a.current.Load()) {
		return
	}
	a.current.Store(m)
	a.o.Identity.members.Store(m)
	notify(a.changed)
	notify(a.dirty)
}

// tellLoop calls the callbacks.
func (a *Agent) tellLoop() {
	a.mu.Lock()
	callbacks := a.onMap
	a.mu.Unlock()
	var told *honeyant.Map
	for {
		select {
		case <-a.ctx.Done():
			return
		case <-a.changed:
		}
		m := a.Map()
		for _, fn := range callbacks {
			fn(told, m)
		}
		told = m
	}
}

// keepLoop writes each new map to disk, one that came just before the end, too.
func (a *Agent) keepLoop() {
	for {
		select {
		case <-a.dirty:
		case <-a.ctx.Done():
			select {
			case <-a.dirty:
			default:
				return
			}
		}
		if err := SaveMap(a.o.MapFile, a.Map()); err != nil {
			a.o.Log.Error("map not kept; trying again", "file", a.o.MapFile, "err", err)
			if pause(a.ctx, 10*a.o.Every) {
				notify(a.dirty)
			}
		}
	}
}

// pause waits; false if ctx ended.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// passing tells errors that another try or another node may not give.
func passing(err error) bool {
	switch honeyant.KindOf(err) {
	case honeyant.NotLeader, honeyant.Unavailable, honeyant.Superseded:
		return true
	}
	return errors.Is(err, context.DeadlineExceeded)
}
