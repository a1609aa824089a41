package meta

import (
	"errors"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/rpc/wire"
)

// ListChunks scans the chunks of a volume in ID order, dead ones (Count 0) too.
type ListChunks struct {
	Volume honeyant.VolumeID
	After  honeyant.ChunkID
	Limit  uint32 // 0: 1024
	Short  bool   // only those marked as short of copies
	Dead   bool   // only the dead ones
	Sparse bool   // only those of which extents use less than half
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
	if c.More() {
		c.Bool(&o.Sparse)
	}
}

func (o *ListChunks) eval(tx *Tx) (Reply, error) {
	table := byte(tabChunk)
	switch {
	case o.Dead:
		table = tabDead
	case o.Short:
		table = tabShort
	case o.Sparse:
		table = tabSparse
	}
	limit := min(uint64(o.Limit), maxListed)
	if limit == 0 {
		limit = 1024
	}
	r := &ChunksReply{EOF: true, Nodes: uint32(tx.nodeCount())}
	policies := map[honeyant.Ino]honeyant.Policy{}
	tx.eachChunk(table, o.Volume, o.After, func(id honeyant.ChunkID) bool {
		if uint64(len(r.Chunks)) == limit {
			r.EOF = false
			return false
		}
		r.Chunks = append(r.Chunks, ChunkInfo{ID: id})
		return true
	})
	for i := range r.Chunks {
		var rec chunkRecord
		info := &r.Chunks[i]
		if !tx.load(chunkKey(tabChunk, o.Volume, info.ID), rec.fields) {
			return nil, honeyant.E("meta.ListChunks", honeyant.Corrupt, info.ID.String(), errors.New("listed but without a record"))
		}
		p, ok := policies[rec.PolicyAt]
		if !ok {
			p = tx.policyAt(o.Volume, rec.PolicyAt)
			policies[rec.PolicyAt] = p
		}
		*info = ChunkInfo{ID: info.ID, Sum: rec.Sum, Count: rec.Count, PolicyAt: rec.PolicyAt, Policy: p, Replicas: rec.Replicas}
		r.Unused += uint64(max(0, rec.Unused))
	}
	return r, nil
}

// maxListed is the most chunks that one answer holds.
const maxListed = 8192

// ChunksReply is a run of chunks.
type ChunksReply struct {
	Chunks []ChunkInfo
	EOF    bool
	Nodes  uint32 // that are not removed: with a policy they say how many copies are wanted
	Unused uint64 // bytes of these chunks that no extent uses
}

// Fields implements Reply.
func (r *ChunksReply) Fields(c *wire.Codec) {
	c.Bool(&r.EOF)
	wire.Slice(c, &r.Chunks, 1<<16, func(c *wire.Codec, i *ChunkInfo) { i.Fields(c) })
	wire.Uint(c, &r.Nodes)
	if c.More() {
		wire.Uint(c, &r.Unused)
	}
}
