package meta

import (
	"fmt"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/rpc/wire"
)

// UpdateNode changes what Set names.
type UpdateNode struct {
	Node honeyant.Node // ID says which one
	Set  NodeMask
}

// Code implements Op.
func (*UpdateNode) Code() Code { return CodeUpdateNode }

func (*UpdateNode) newReply() *NodeReply { return new(NodeReply) }

// Fields implements Op.
func (o *UpdateNode) Fields(c *wire.Codec) {
	wire.Node(c, &o.Node)
	wire.Uint(c, &o.Set)
}

func (o *UpdateNode) eval(tx *Tx) (Reply, error) {
	const op = "meta.UpdateNode"
	rec, ok := tx.node(o.Node.ID)
	if !ok || rec.Node.State == honeyant.NodeRemoved {
		return nil, honeyant.E(op, honeyant.NotExist, o.Node.ID.String(), tx.err)
	}
	was := rec.Node
	if o.Set&SetNodeName != 0 {
		rec.Node.Name = o.Node.Name
	}
	if o.Set&SetNodeAddress != 0 {
		rec.Node.Address = o.Node.Address
	}
	if o.Set&SetNodeZone != 0 {
		rec.Node.Zone = o.Node.Zone
	}
	if o.Set&SetNodeState != 0 {
		if o.Node.State < honeyant.NodeUp || o.Node.State > honeyant.NodeOut {
			return nil, honeyant.E(op, honeyant.Invalid, o.Node.ID.String(), fmt.Errorf("state %v; nodes are removed by RemoveNode", o.Node.State))
		}
		rec.Node.State = o.Node.State
	}
	if o.Set&SetNodeRole != 0 {
		if o.Node.Role > honeyant.RoleVoter {
			return nil, honeyant.E(op, honeyant.Invalid, o.Node.ID.String(), fmt.Errorf("role %d", o.Node.Role))
		}
		rec.Node.Role = o.Node.Role
	}
	if rec.Node != was {
		tx.store(nodeKey(rec.Node.ID), rec.fields)
		tx.next(counterMap)
	}
	return &NodeReply{Node: rec.Node}, nil
}

// NodeMask says what UpdateNode changes.
type NodeMask uint8

// Bits of NodeMask.
const (
	SetNodeName NodeMask = 1 << iota
	SetNodeAddress
	SetNodeZone
	SetNodeState
	SetNodeRole
)
