package meta

import (
	"errors"
	"fmt"
	"slices"

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
	const op = "meta.DropBegin"
	k := chunkKey(tabChunk, o.Volume, o.Chunk)
	var r chunkRecord
	if !tx.load(k, r.fields) {
		return nil, honeyant.E(op, honeyant.NotExist, o.Chunk.String(), tx.err)
	}
	conflict := func(format string, args ...any) (Reply, error) {
		return nil, honeyant.E(op, honeyant.Conflict, o.Chunk.String(), fmt.Errorf(format, args...))
	}
	at := r.find(func(i ReplicaInfo) bool { return i.Replica == o.Replica })
	switch {
	case at < 0:
		return nil, honeyant.E(op, honeyant.NotExist, o.Replica.Store.String(), errors.New("no such replica"))
	case r.Replicas[at].Dropping:
		return &Done{}, nil
	case r.Count == 0:
		return conflict("the chunk is dead: it is reclaimed as a whole")
	case r.find(func(i ReplicaInfo) bool { return i.Dropping }) >= 0:
		return conflict("another replica is being dropped")
	}
	remain := tx.spread(r.Replicas, func(i ReplicaInfo) bool {
		return i.Replica != o.Replica && sound(i) && slices.Contains(o.Verified, i.Replica) && tx.up(i.Store)
	})
	need, _ := tx.policyAt(o.Volume, r.PolicyAt).Effective(tx.nodeCount())
	if r.Replicas[at].Bad {
		// A damaged copy may stand in the way of its own replacement: where no other node could take one,
		// fewer good ones do, but never none.
		need = max(1, min(need, tx.homes(o.Replica.Store)))
	}
	if remain < need {
		return conflict("%d verified copies on stores that are up would remain, needs %d", remain, need)
	}
	r.Replicas[at].Dropping = true
	tx.store(k, r.fields)
	tx.judgeShort(o.Volume, o.Chunk, &r)
	return &Done{}, nil
}
