package meta

import (
	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/rpc/wire"
)

// ForgetChunk removes a dead chunk's record once every replica named is deleted; Conflict if the chunk lives
// or has other replicas.
type ForgetChunk struct {
	Volume  honeyant.VolumeID
	Chunk   honeyant.ChunkID
	Deleted []honeyant.Replica
}

// Code implements Op.
func (*ForgetChunk) Code() Code { return CodeForgetChunk }

func (*ForgetChunk) newReply() *Done { return new(Done) }

// Fields implements Op.
func (o *ForgetChunk) Fields(c *wire.Codec) {
	wire.Uint(c, &o.Volume)
	wire.Chunk(c, &o.Chunk)
	wire.Slice(c, &o.Deleted, 64, wire.Replica)
}

func (o *ForgetChunk) eval(tx *Tx) (Reply, error) {
	return nil, honeyant.E("meta.ForgetChunk", honeyant.Unsupported, "", nil)
}
