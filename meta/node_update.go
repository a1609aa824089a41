package meta

import (
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
	return nil, honeyant.E("meta.UpdateNode", honeyant.Unsupported, "", nil)
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
