package meta

import (
	"errors"
	"slices"

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
	k := chunkKey(tabChunk, o.Volume, o.Chunk)
	var r chunkRecord
	if !tx.load(k, r.fields) {
		return &Done{}, nil // forgotten as a whole
	}
	at := r.find(func(i ReplicaInfo) bool { return i.Replica == o.Replica })
	if at < 0 {
		return &Done{}, nil // done before
	}
	if _, there := tx.storeOf(o.Replica.Store); there && !r.Replicas[at].Dropping {
		return nil, honeyant.E("meta.DropEnd", honeyant.Conflict, o.Chunk.String(), errors.New("no drop was begun"))
	}
	r.Replicas = slices.Delete(r.Replicas, at, at+1)
	tx.store(k, r.fields)
	if r.Count > 0 {
		tx.judgeShort(o.Volume, o.Chunk, &r)
	}
	return &Done{}, nil
}
