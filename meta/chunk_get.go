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
	var r chunkRecord
	if !tx.load(chunkKey(tabChunk, o.Volume, o.Chunk), r.fields) {
		return nil, honeyant.E("meta.GetChunk", honeyant.NotExist, o.Chunk.String(), tx.err)
	}
	return &ChunkReply{
		Chunk: tx.chunkInfo(o.Volume, o.Chunk, &r), Dead: tx.isDead(o.Volume, o.Chunk), Intents: tx.intents(o.Volume, o.Chunk),
	}, nil
}

// ChunkReply is a chunk.
type ChunkReply struct {
	Chunk   ChunkInfo
	Dead    bool
	Intents []Intent // replicas being made
}

// Fields implements Reply.
func (r *ChunkReply) Fields(c *wire.Codec) {
	r.Chunk.Fields(c)
	c.Bool(&r.Dead)
	wire.Slice(c, &r.Intents, 1<<10, func(c *wire.Codec, i *Intent) { i.Fields(c) })
}
