package meta

import (
	"fmt"
	"slices"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/rpc/wire"
)

// RemoveNode locks a node out for ever: its sessions die, its stores are removed with all replicas they
// hold (which makes chunks short, and heal starts). Refused with Conflict, unless Force, while a chunk has
// its last replica there.
type RemoveNode struct {
	ID    honeyant.NodeID
	Force bool
}

// Code implements Op.
func (*RemoveNode) Code() Code { return CodeRemoveNode }

func (*RemoveNode) newReply() *Done { return new(Done) }

// Fields implements Op.
func (o *RemoveNode) Fields(c *wire.Codec) {
	wire.Uint(c, &o.ID)
	c.Bool(&o.Force)
}

func (o *RemoveNode) eval(tx *Tx) (Reply, error) {
	const op = "meta.RemoveNode"
	rec, ok := tx.node(o.ID)
	if !ok {
		return nil, honeyant.E(op, honeyant.NotExist, o.ID.String(), tx.err)
	}
	if rec.Node.State == honeyant.NodeRemoved {
		return &Done{}, nil
	}
	var gone []storeRecord
	tx.eachStore(func(s *storeRecord) {
		if s.Store.Node == o.ID && s.Store.State != honeyant.StoreRemoved {
			gone = append(gone, *s)
		}
	})
	if !o.Force {
		on := func(id honeyant.StoreID) bool {
			return slices.ContainsFunc(gone, func(s storeRecord) bool { return s.Store.ID == id })
		}
		if id, last := tx.lastReplica(on); last {
			return nil, honeyant.E(op, honeyant.Conflict, o.ID.String(), fmt.Errorf("it has the last good replica of chunk %v", id))
		}
	}
	for i := range gone {
		gone[i].Store.State = honeyant.StoreRemoved
		tx.store(storeKey(gone[i].Store.ID), gone[i].fields)
	}
	var over []honeyant.SessionID
	eachSession(tx, func(id honeyant.SessionID, s *sessionRecord) {
		if s.Node == o.ID {
			over = append(over, id)
		}
	})
	for _, id := range over {
		tx.endSession(id)
	}
	rec.Node.State, rec.Node.Role = honeyant.NodeRemoved, honeyant.RoleNone
	tx.store(nodeKey(o.ID), rec.fields)
	tx.setCount(counterNodes, max(1, tx.count(counterNodes))-1)
	tx.next(counterMap)
	return &Done{}, nil
}
