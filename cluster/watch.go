package cluster

import (
	"context"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/meta"
)

// Bounds of what the tracker waits for.
const (
	readWait   = 3 * time.Second // the member list
	commitWait = 5 * time.Second // one change of it
	pushWait   = 2 * time.Second // a node that takes a map
	pushAtOnce = 16

	farewellWait = 250 * time.Millisecond // a node that is told of its removal before it is locked out
	commitsLook  = 64                     // changes committed between two looks
)

// watch looks at members and silences at each tick and each Refresh.
func (t *Tracker) watch() {
	tick := time.NewTicker(t.o.Every)
	defer tick.Stop()
	for {
		select {
		case <-t.ctx.Done():
			return
		case <-tick.C:
		case <-t.wake:
		}
		t.look()
	}
}

// look reads the member list, which also proves that this node leads, publishes the map
// that follows from it, and commits what the silences say.
func (t *Tracker) look() {
	t.mu.Lock()
	epoch := t.epoch
	t.mu.Unlock()
	if epoch == 0 {
		return
	}
	began := time.Now()
	ctx, cancel := context.WithTimeout(t.ctx, readWait)
	reply, err := meta.Do(ctx, t.o.Doer, &meta.ListNodes{})
	cancel()
	if err != nil { // no proof, no news: leading ends this leadership after the TTL
		t.o.Log.Debug("member list not read", "err", err)
		return
	}
	if reply.Map.Cluster == "" {
		return // this node leads, but its cluster is only being founded: nobody may keep such a map
	}
	for _, op := range t.publish(epoch, &reply.Map, began) {
		if time.Since(began) > t.o.TTL/4 { // slow commits must not keep the proof of leadership from being renewed
			notify(t.wake)
			return
		}
		ctx, cancel := context.WithTimeout(t.ctx, commitWait)
		_, err := t.o.Doer.Do(ctx, op)
		cancel()
		if err != nil { // the next look finds the same reason and commits it again
			t.o.Log.Warn("member change not committed", "op", op.Code(), "err", err)
			return
		}
		notify(t.wake)
	}
}

// publish makes the map of a member list and tells what is to be committed.
func (t *Tracker) publish(epoch uint64, members *honeyant.Map, began time.Time) []meta.Op {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.epoch != epoch {
		return nil
	}
	t.confirmed = began
	m := *members
	m.Epoch, m.Leader = epoch, t.o.Self
	m.Nodes, m.Stores = slices.Clone(members.Nodes), slices.Clone(members.Stores)
	var changes []meta.Op
	for i := range m.Nodes {
		if op := t.judge(&m.Nodes[i], began); op != nil {
			changes = append(changes, op)
		}
	}
	for i := range m.Stores {
		if op := t.measure(&m.Stores[i]); op != nil {
			changes = append(changes, op)
		}
	}
	old := t.published
	switch {
	case old == nil || members.Version > old.Version || !sameMembers(old, &m):
		m.Version = max(members.Version, t.floor+1)
		t.floor = m.Version
		t.published = &m
		notify(t.push)
		t.logChanges(old, &m)
	case !slices.Equal(old.Stores, m.Stores): // only sizes
		m.Version = old.Version
		t.published = &m
	}
	return changes[:min(len(changes), commitsLook)]
}

// judge sets a node's state by its silence. The caller holds mu.
func (t *Tracker) judge(n *honeyant.Node, now time.Time) meta.Op {
	if n.State == honeyant.NodeRemoved {
		if h := t.nodes[n.ID]; h != nil && h.spoke && !h.down {
			t.farewell = append(t.farewell, n.ID)
		}
		delete(t.nodes, n.ID)
		return nil
	}
	h := t.nodes[n.ID]
	if h == nil {
		h = &heard{at: t.since}
		if t.published != nil {
			h.at = now // joined under this leadership
		}
		t.nodes[n.ID] = h
	}
	if n.ID == t.o.Self {
		h.at, h.spoke = now, true
	}
	silent := now.Sub(h.at)
	h.down = silent >= t.o.DownAfter || h.down && !h.spoke
	switch {
	case n.State == honeyant.NodeOut && h.spoke && silent < t.o.DownAfter:
		return &meta.UpdateNode{Node: honeyant.Node{ID: n.ID, State: honeyant.NodeUp}, Set: meta.SetNodeState}
	case n.State == honeyant.NodeOut:
		return nil
	case silent >= t.o.OutAfter:
		n.State = honeyant.NodeDown // until it is committed
		return &meta.UpdateNode{Node: honeyant.Node{ID: n.ID, State: honeyant.NodeOut}, Set: meta.SetNodeState}
	case h.down:
		n.State = honeyant.NodeDown
		return nil
	}
	n.State = honeyant.NodeUp
	if !h.spoke {
		return nil
	}
	moved, set := honeyant.Node{ID: n.ID, Address: h.last.Address, Zone: h.last.Zone}, meta.NodeMask(0)
	if moved.Address != "" && moved.Address != n.Address {
		set |= meta.SetNodeAddress
	}
	if moved.Zone != "" && moved.Zone != n.Zone { // one that is configured nowhere may have been labelled
		set |= meta.SetNodeZone
	}
	if set == 0 {
		return nil
	}
	return &meta.UpdateNode{Node: moved, Set: set}
}

// measure sets a store's sizes by its node's last report. The caller holds mu.
func (t *Tracker) measure(s *honeyant.Store) meta.Op {
	u, ok := t.usage[s.ID]
	if !ok || s.State == honeyant.StoreRemoved {
		return nil
	}
	s.Used, s.Available = u.Used, u.Available
	if u.Failing && s.State != honeyant.StoreFailing {
		s.State = honeyant.StoreFailing
		return &meta.UpdateStore{ID: s.ID, State: honeyant.StoreFailing}
	}
	if u.Capacity > 0 && u.Capacity != s.Capacity {
		s.Capacity = u.Capacity
		return &meta.UpdateStore{ID: s.ID, Capacity: u.Capacity}
	}
	return nil
}

// sameMembers compares two maps but for their versions and the stores' sizes.
func sameMembers(a, b *honeyant.Map) bool {
	return a.Cluster == b.Cluster && a.Incarnation == b.Incarnation && a.FeatureLevel == b.FeatureLevel &&
		a.Epoch == b.Epoch && a.Leader == b.Leader && slices.Equal(a.Nodes, b.Nodes) &&
		slices.EqualFunc(a.Stores, b.Stores, func(x, y honeyant.Store) bool {
			x.Used, x.Available = y.Used, y.Available
			return x == y
		})
}

// logChanges writes one line for each node whose state changed.
func (t *Tracker) logChanges(old, m *honeyant.Map) {
	for _, n := range m.Nodes {
		if was, ok := old.Node(n.ID); ok && was.State != n.State {
			t.o.Log.Info("node state", "node", n.ID, "name", n.Name, "was", was.State, "is", n.State)
		}
	}
}

// spread pushes each new map to the nodes that lack it, so that a removal counts at once
// and not at the next heartbeat. What fails is made up for by that heartbeat.
func (t *Tracker) spread() {
	for {
		select {
		case <-t.ctx.Done():
			return
		case <-t.push:
		}
		t.mu.Lock()
		m, local, farewell := t.published, t.local, t.farewell
		t.farewell = nil
		var to []honeyant.NodeID
		if m != nil && t.o.Calls != nil {
			for _, n := range m.Nodes {
				if h := t.nodes[n.ID]; n.ID != t.o.Self && h != nil && !h.down && h.pushed != markOf(m) {
					to = append(to, n.ID)
				}
			}
		}
		t.mu.Unlock()
		if m == nil {
			continue
		}
		t.pushMap(m, farewell, farewellWait) // while its connections live; then it can not be told
		if local != nil {
			local(m)
		}
		t.pushMap(m, to, pushWait)
	}
}

func (t *Tracker) pushMap(m *honeyant.Map, to []honeyant.NodeID, wait time.Duration) {
	if len(to) == 0 || t.o.Calls == nil {
		return
	}
	raw := marshalMap(m)
	var g errgroup.Group
	g.SetLimit(pushAtOnce)
	for _, id := range to {
		g.Go(func() error {
			ctx, cancel := context.WithTimeout(t.ctx, wait)
			defer cancel()
			if _, err := t.o.Calls.Call(ctx, id, MethodMap, raw); err != nil {
				t.o.Log.Debug("map not pushed", "node", id, "err", err)
			}
			return nil
		})
	}
	_ = g.Wait() // the calls report for themselves
}
