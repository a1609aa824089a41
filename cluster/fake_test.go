package cluster_test

import (
	"context"
	"sync"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/kv"
	"github.com/honeyant/honeyant/kv/kvtest"
	"github.com/honeyant/honeyant/meta"
)

// metadata is the replicated state with one leader: the real operations, evaluated over a
// database in memory and applied at once.
type metadata struct {
	mu      sync.Mutex
	db      kv.DB
	leader  honeyant.NodeID
	epoch   uint64
	changes []meta.Op // those that were carried out
}

func newMetadata() *metadata { return &metadata{db: kvtest.NewMem(), leader: 1, epoch: 1} }

// local is the leader's own Doer on a node; it fails when that node does not lead.
func (s *metadata) local(self honeyant.NodeID) meta.Doer { return doer{s, self} }

// remote is a session at a distance.
func (s *metadata) remote() meta.Doer { return doer{s, 0} }

type doer struct {
	s    *metadata
	self honeyant.NodeID
}

func (d doer) Do(ctx context.Context, op meta.Op) (meta.Reply, error) {
	if err := ctx.Err(); err != nil {
		return nil, honeyant.E("fake", honeyant.Unavailable, "", err)
	}
	op, err := meta.DecodeOp(meta.EncodeOp(op)) // as a network would
	if err != nil {
		return nil, err
	}
	d.s.mu.Lock()
	defer d.s.mu.Unlock()
	if d.s.leader == 0 {
		return nil, honeyant.E("fake", honeyant.Unavailable, "no leader", nil)
	}
	if d.self != 0 && d.self != d.s.leader {
		return nil, honeyant.E("fake", honeyant.NotLeader, "", nil)
	}
	env := meta.Env{Now: honeyant.TimeOf(time.Now()), Incarnation: 1, Epoch: d.s.epoch}
	reply, changes, err := meta.Eval(d.s.db, env, op)
	if err != nil {
		return nil, err
	}
	if !meta.ReadOnly(op) {
		d.s.changes = append(d.s.changes, op)
	}
	return reply, d.s.db.Apply(changes)
}

func (s *metadata) lead(id honeyant.NodeID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leader = id
}

func (s *metadata) state(id honeyant.NodeID) honeyant.NodeState {
	s.mu.Lock()
	defer s.mu.Unlock()
	reply, _, err := meta.Eval(s.db, meta.Env{}, &meta.ListNodes{})
	if err != nil {
		return 0
	}
	n, _ := reply.(*meta.MapReply).Map.Node(id)
	return n.State
}
