package meta

import (
	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/rpc/wire"
)

// DropEnd takes the replica off the list: the store has durably deleted it, or is removed (rule 5).
type DropEnd struct {
	Volume  honeyant.VolumeID
	Chunk   honeyant.ChunkID
	Replica honeyant.Replica
}

// Code implements Op.
func (*DropEnd) Code() Code { return CodeDropEnd }

func (*DropEnd) newReply() *Done { return new(Done) }

// Fields implements Op.
func (o *DropEnd) Fields(c *wire.Codec) {
	wire.Uint(c, &o.Volume)
	wire.Chunk(c, &o.Chunk)
	wire.Replica(c, &o.Replica)
}

func (o *DropEnd) eval(tx *Tx) (Reply, error) {
	return nil, honeyant.E("meta.DropEnd", honeyant.Unsupported, "", nil)
}
