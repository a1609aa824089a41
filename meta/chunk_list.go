package meta

import (
	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/rpc/wire"
)

// ListChunks scans the chunks of a volume in ID order.
type ListChunks struct {
	Volume honeyant.VolumeID
	After  honeyant.ChunkID
	Limit  uint32 // 0: 1024
	Short  bool   // only those marked as short of copies
	Dead   bool   // only the dead ones
}

// Code implements Op.
func (*ListChunks) Code() Code { return CodeListChunks }

func (*ListChunks) newReply() *ChunksReply { return new(ChunksReply) }

// Fields implements Op.
func (o *ListChunks) Fields(c *wire.Codec) {
	wire.Uint(c, &o.Volume)
	wire.Chunk(c, &o.After)
	wire.Uint(c, &o.Limit)
	c.Bool(&o.Short)
	c.Bool(&o.Dead)
}

func (o *ListChunks) eval(tx *Tx) (Reply, error) {
	return nil, honeyant.E("meta.ListChunks", honeyant.Unsupported, "", nil)
}

// ChunksReply is a run of chunks.
type ChunksReply struct {
	Chunks []ChunkInfo
	EOF    bool
}

// Fields implements Reply.
func (r *ChunksReply) Fields(c *wire.Codec) {
	c.Bool(&r.EOF)
	wire.Slice(c, &r.Chunks, 1<<16, func(c *wire.Codec, i *ChunkInfo) { i.Fields(c) })
}
