package meta

import (
	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/rpc/wire"
)

// DropBegin commits that a surplus or bad replica goes. Refused with Conflict unless afterwards at least the
// policy's copies remain in Verified on stores that are up, and nothing else of the chunk is being dropped (rule 12).
type DropBegin struct {
	Volume   honeyant.VolumeID
	Chunk    honeyant.ChunkID
	Replica  honeyant.Replica
	Verified []honeyant.Replica // read back with their checksums after this drop was planned
}

// Code implements Op.
func (*DropBegin) Code() Code { return CodeDropBegin }

func (*DropBegin) newReply() *Done { return new(Done) }

// Fields implements Op.
func (o *DropBegin) Fields(c *wire.Codec) {
	wire.Uint(c, &o.Volume)
	wire.Chunk(c, &o.Chunk)
	wire.Replica(c, &o.Replica)
	wire.Slice(c, &o.Verified, 64, wire.Replica)
}

func (o *DropBegin) eval(tx *Tx) (Reply, error) {
	return nil, honeyant.E("meta.DropBegin", honeyant.Unsupported, "", nil)
}
