package meta

import (
	"errors"
	"fmt"
	"slices"

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
	const op = "meta.ForgetChunk"
	k := chunkKey(tabChunk, o.Volume, o.Chunk)
	var r chunkRecord
	if !tx.load(k, r.fields) {
		return &Done{}, nil // done before
	}
	if r.Count > 0 || !tx.isDead(o.Volume, o.Chunk) {
		return nil, honeyant.E(op, honeyant.Conflict, o.Chunk.String(), errors.New("the chunk is alive"))
	}
	for _, i := range r.Replicas {
		if _, there := tx.storeOf(i.Store); there && !slices.Contains(o.Deleted, i.Replica) {
			return nil, honeyant.E(op, honeyant.Conflict, o.Chunk.String(), fmt.Errorf("%v holds a replica", i.Store))
		}
	}
	tx.del(k)
	tx.del(chunkKey(tabDead, o.Volume, o.Chunk))
	for _, i := range tx.intents(o.Volume, o.Chunk) {
		tx.del(intentKey(o.Volume, o.Chunk, i.Store))
	}
	tx.counts(o.Volume, func(c *CountsReply) { c.Dead-- })
	return &Done{}, nil
}
