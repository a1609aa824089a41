package meta

import (
	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/rpc/wire"
)

// GetChunk tells one chunk; NotExist if metadata do not know it.
type GetChunk struct {
	Volume honeyant.VolumeID
	Chunk  honeyant.ChunkID
}

// Code implements Op.
func (*GetChunk) Code() Code { return CodeGetChunk }

func (*GetChunk) newReply() *ChunkReply { return new(ChunkReply) }

// Fields implements Op.
func (o *GetChunk) Fields(c *wire.Codec) {
	wire.Uint(c, &o.Volume)
	wire.Chunk(c, &o.Chunk)
}

func (o *GetChunk) eval(tx *Tx) (Reply, error) {
	return nil, honeyant.E("meta.GetChunk", honeyant.Unsupported, "", nil)
}

// ChunkReply is a chunk.
type ChunkReply struct {
	Chunk ChunkInfo
	Dead  bool
}

// Fields implements Reply.
func (r *ChunkReply) Fields(c *wire.Codec) {
	r.Chunk.Fields(c)
	c.Bool(&r.Dead)
}
