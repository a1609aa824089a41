package meta

import (
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
	return nil, honeyant.E("meta.RemoveNode", honeyant.Unsupported, "", nil)
}
