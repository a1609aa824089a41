package meta

import (
	"errors"
	"fmt"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/rpc/wire"
)

// HealEnd adds the replica that was made, if the chunk is alive and the intent current; else Stale, and
// the copy is reclaimed like any unknown one. Generation 0 gives the intent up.
type HealEnd struct {
	Volume     honeyant.VolumeID
	Chunk      honeyant.ChunkID
	Store      honeyant.StoreID
	Intent     uint64
	Generation honeyant.Generation
	Sum        honeyant.ChunkSum // read back at the target; must equal the committed one
}

// Code implements Op.
func (*HealEnd) Code() Code { return CodeHealEnd }

func (*HealEnd) newReply() *Done { return new(Done) }

// Fields implements Op.
func (o *HealEnd) Fields(c *wire.Codec) {
	wire.Uint(c, &o.Volume)
	wire.Chunk(c, &o.Chunk)
	wire.Uint(c, &o.Store)
	wire.Uint(c, &o.Intent)
	wire.Uint(c, &o.Generation)
	wire.Sum(c, &o.Sum)
}

func (o *HealEnd) eval(tx *Tx) (Reply, error) {
	const op = "meta.HealEnd"
	ck, ik := chunkKey(tabChunk, o.Volume, o.Chunk), intentKey(o.Volume, o.Chunk, o.Store)
	made := honeyant.Replica{Store: o.Store, Generation: o.Generation}
	var r chunkRecord
	known := tx.load(ck, r.fields)
	var i intentRecord
	if !tx.load(ik, i.fields) || i.Intent != o.Intent {
		if tx.err == nil && (o.Generation == 0 || known && r.Count > 0 && r.find(func(i ReplicaInfo) bool { return i.Replica == made && !i.Dropping }) >= 0) {
			return &Done{}, nil // it was done before
		}
		return nil, honeyant.E(op, honeyant.Stale, o.Chunk.String(), errors.New("the intent is not current"))
	}
	if o.Generation == 0 {
		tx.del(ik)
		return &Done{}, nil
	}
	if !known || r.Count == 0 {
		return nil, honeyant.E(op, honeyant.Stale, o.Chunk.String(), errors.New("the chunk is not alive"))
	}
	if o.Sum != r.Sum {
		return nil, honeyant.E(op, honeyant.Corrupt, o.Chunk.String(), fmt.Errorf("the copy has sum %v, not %v", o.Sum, r.Sum))
	}
	if _, ok := tx.storeOf(o.Store); !ok {
		return nil, honeyant.E(op, honeyant.Stale, o.Store.String(), errors.New("the store is removed"))
	}
	tx.del(ik)
	r.Replicas = append(r.Replicas, ReplicaInfo{Replica: made})
	tx.store(ck, r.fields)
	tx.judgeShort(o.Volume, o.Chunk, &r)
	return &Done{}, nil
}
