package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/rpc"
	"github.com/honeyant/honeyant/rpc/wire"
)

const (
	beatWait   = 3 * time.Second // one node that is asked
	renewEvery = time.Hour       // between tries, and between looks at the certificate
)

// beatLoop sends heartbeats and renews the certificate.
func (a *Agent) beatLoop() {
	tick := time.NewTicker(a.o.Every)
	defer tick.Stop()
	var renewAt time.Time
	for {
		leader, ok := a.beatOnce()
		if ok && !time.Now().Before(renewAt) {
			renewAt = time.Now().Add(renewEvery)
			if err := a.Renew(a.ctx, leader); err != nil {
				a.o.Log.Warn("certificate not renewed", "ends", a.o.Identity.NotAfter(), "err", err)
			}
		}
		var again <-chan time.Time
		if !ok { // a leader may just be coming
			again = time.After(a.o.Every / 4)
		}
		select {
		case <-a.ctx.Done():
			return
		case <-again:
		case <-tick.C:
		case <-a.wake:
		}
	}
}

// beatOnce sends one heartbeat to the leader, whom it looks for if need be.
func (a *Agent) beatOnce() (leader honeyant.NodeID, ok bool) {
	b := &beat{Known: markOf(a.Map()), Address: a.o.Self.Address, Zone: a.o.Self.Zone, Refresh: a.refresh.Swap(false)}
	if a.o.Report != nil {
		b.Report = a.o.Report()
	}
	raw := wire.Marshal(b.fields)
	asked := map[honeyant.NodeID]bool{}
	for _, id := range a.candidates() {
		for id != 0 && !asked[id] && a.ctx.Err() == nil {
			asked[id] = true
			sent := time.Now() // freshness counts from here, not from the answer
			reply, err := a.sendBeat(id, raw)
			if err != nil {
				a.o.Log.Debug("heartbeat not answered", "node", id, "err", err)
				break
			}
			if reply.Leading {
				a.heardLeader(id, reply, sent.Add(-reply.age()))
				return id, true
			}
			id = reply.Leader
		}
	}
	if b.Refresh {
		a.refresh.Store(true)
	}
	return 0, false
}

func (a *Agent) sendBeat(id honeyant.NodeID, raw []byte) (*beatReply, error) {
	ctx, cancel := context.WithTimeout(a.ctx, beatWait)
	defer cancel()
	answer, err := a.call(ctx, id, MethodBeat, raw)
	if err != nil {
		return nil, err
	}
	reply := new(beatReply)
	return reply, wire.Unmarshal(answer, reply.fields)
}

// heardLeader takes the answer of the leader in; the map was the newest at that moment.
func (a *Agent) heardLeader(id honeyant.NodeID, r *beatReply, at time.Time) {
	if r.Map != nil {
		a.adopt(r.Map)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.leader = id
	m := a.current.Load()
	if m == nil || m.Leader != id {
		return // of an older leadership than what was heard meanwhile
	}
	if at.After(a.fresh) {
		a.fresh = at
	}
	if r.Map == nil {
		if sized := withSizes(m, r.Sizes); sized != m {
			a.current.Store(sized)
			a.o.Identity.members.Store(sized)
		}
	}
}

// withSizes is m with the sizes told, or m itself if they are the same.
func withSizes(m *honeyant.Map, sizes []honeyant.Store) *honeyant.Map {
	var out *honeyant.Map
	for _, s := range sizes {
		i := slices.IndexFunc(m.Stores, func(x honeyant.Store) bool { return x.ID == s.ID })
		if i < 0 || m.Stores[i].Used == s.Used && m.Stores[i].Available == s.Available {
			continue
		}
		if out == nil {
			c := *m
			c.Stores = slices.Clone(m.Stores)
			out = &c
		}
		out.Stores[i].Used, out.Stores[i].Available = s.Used, s.Available
	}
	if out == nil {
		return m
	}
	return out
}

// candidates are the nodes that may lead, the likeliest first, each once.
func (a *Agent) candidates() []honeyant.NodeID {
	m := a.Map()
	list := []honeyant.NodeID{a.Leader()}
	if m != nil {
		list = append(list, m.Leader)
		for _, voters := range []bool{true, false} {
			for _, n := range m.Nodes {
				if n.State != honeyant.NodeRemoved && (n.Role == honeyant.RoleVoter) == voters {
					list = append(list, n.ID)
				}
			}
		}
	}
	list = append(list, a.o.Identity.Self())
	seen := map[honeyant.NodeID]bool{0: true}
	return slices.DeleteFunc(list, func(id honeyant.NodeID) bool {
		twice := seen[id]
		seen[id] = true
		return twice
	})
}

// call asks a node, which may be this one.
func (a *Agent) call(ctx context.Context, id honeyant.NodeID, m rpc.Method, req []byte) ([]byte, error) {
	if id == a.o.Identity.Self() {
		return a.Handle(ctx, id, m, req)
	}
	return a.o.Calls.Call(ctx, id, m, req)
}

// askLeader makes a call that only the leader answers, and looks for it until ctx ends. The
// call may be carried out more than once.
func (a *Agent) askLeader(ctx context.Context, m rpc.Method, req []byte) ([]byte, error) {
	var last error
	for {
		for _, id := range a.candidates() {
			try, cancel := context.WithTimeout(ctx, commitWait)
			resp, err := a.call(try, id, m, req)
			cancel()
			if err == nil || !passing(err) {
				return resp, err
			}
			if last == nil || honeyant.KindOf(err) != honeyant.NotLeader {
				last = err
			}
			if ctx.Err() != nil {
				break
			}
		}
		if !pause(ctx, a.o.Every/4) {
			return nil, honeyant.E("cluster.Ask", honeyant.Unavailable, "leader", last)
		}
	}
}

// Renew gets a new certificate from the leader if less than a third of the present one's
// life is left; else it does nothing.
func (a *Agent) Renew(ctx context.Context, leader honeyant.NodeID) error {
	id := a.o.Identity
	if !id.needsRenewal(time.Now()) {
		return nil
	}
	csr, err := request(id.key)
	if err != nil {
		return honeyant.E("cluster.Renew", honeyant.Internal, id.Self().String(), err)
	}
	ctx, cancel := context.WithTimeout(ctx, commitWait)
	defer cancel()
	der, err := a.call(ctx, leader, MethodRenew, csr)
	if err != nil {
		return honeyant.E("cluster.Renew", honeyant.Other, id.Self().String(), err)
	}
	if err := id.renewed(der); err != nil {
		return err
	}
	a.o.Log.Info("certificate renewed", "until", id.NotAfter())
	return nil
}

// Guard makes a handler refuse all calls while Fresh says no.
func (a *Agent) Guard(h rpc.Handler) rpc.Handler {
	return func(ctx context.Context, peer honeyant.NodeID, m rpc.Method, req []byte) ([]byte, error) {
		if err := a.Fresh(); err != nil {
			return nil, err
		}
		return h(ctx, peer, m, req)
	}
}

// Handle is the rpc.Handler of rpc.ProtoControl: it finds the method and runs it.
func (a *Agent) Handle(ctx context.Context, peer honeyant.NodeID, m rpc.Method, req []byte) ([]byte, error) {
	h := a.methods[m]
	if h == nil {
		return nil, honeyant.E("cluster.Handle", honeyant.Unsupported, fmt.Sprintf("control method %d", m), errors.New("is this node older than the one that asks?"))
	}
	return h(ctx, peer, m, req)
}

// onBeat answers a heartbeat; a node that does not lead tells who does.
func (a *Agent) onBeat(_ context.Context, peer honeyant.NodeID, _ rpc.Method, req []byte) ([]byte, error) {
	b := new(beat)
	if err := wire.Unmarshal(req, b.fields); err != nil {
		return nil, err
	}
	if a.o.Tracker != nil {
		reply, err := a.o.Tracker.hear(peer, b)
		if err == nil {
			return wire.Marshal(reply.fields), nil
		}
	}
	hint := &beatReply{Leader: a.Leader()}
	return wire.Marshal(hint.fields), nil
}

// onPush takes a map from its leader.
func (a *Agent) onPush(_ context.Context, peer honeyant.NodeID, _ rpc.Method, req []byte) ([]byte, error) {
	m, err := unmarshalMap(req)
	if err != nil {
		return nil, err
	}
	if m.Leader != peer || m.Cluster != a.o.Identity.Cluster() {
		return nil, honeyant.E("cluster.Push", honeyant.Permission, peer.String(), errors.New("a map that is not its own"))
	}
	a.adopt(m)
	return nil, nil
}

func (a *Agent) onJoin(ctx context.Context, _ honeyant.NodeID, _ rpc.Method, req []byte) ([]byte, error) {
	t, err := a.leads()
	if err != nil {
		return nil, err
	}
	return t.admit(ctx, req)
}

func (a *Agent) onRenew(ctx context.Context, peer honeyant.NodeID, _ rpc.Method, req []byte) ([]byte, error) {
	t, err := a.leads()
	if err != nil {
		return nil, err
	}
	return t.renew(ctx, peer, req)
}

// leads is the tracker if this node leads. Errors: NotLeader.
func (a *Agent) leads() (*Tracker, error) {
	if a.o.Tracker == nil || a.o.Tracker.Map() == nil {
		return nil, honeyant.E("cluster.Lead", honeyant.NotLeader, a.o.Identity.Self().String(), nil)
	}
	return a.o.Tracker, nil
}
