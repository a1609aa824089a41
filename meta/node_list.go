package meta

import (
	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/rpc/wire"
)

// ListNodes tells the replicated part of the cluster map.
type ListNodes struct {
}

// Code implements Op.
func (*ListNodes) Code() Code { return CodeListNodes }

func (*ListNodes) newReply() *MapReply { return new(MapReply) }

// Fields implements Op.
func (o *ListNodes) Fields(c *wire.Codec) {
}

func (o *ListNodes) eval(tx *Tx) (Reply, error) {
	return nil, honeyant.E("meta.ListNodes", honeyant.Unsupported, "", nil)
}

// MapReply is the map as committed: states but not sizes or liveness.
type MapReply struct {
	Map honeyant.Map
}

// Fields implements Reply.
func (r *MapReply) Fields(c *wire.Codec) {
	wire.Map(c, &r.Map)
}
