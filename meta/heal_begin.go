package meta

import (
	"errors"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/rpc/wire"
)

// HealBegin commits the intent to make one more replica of a chunk (rule 12). Conflict if the chunk is
// dead, if Store holds or is getting or dropping one, or if an intent for it exists.
type HealBegin struct {
	Volume honeyant.VolumeID
	Chunk  honeyant.ChunkID
	Store  honeyant.StoreID // the target
}

// Code implements Op.
func (*HealBegin) Code() Code { return CodeHealBegin }

func (*HealBegin) newReply() *HealReply { return new(HealReply) }

// Fields implements Op.
func (o *HealBegin) Fields(c *wire.Codec) {
	wire.Uint(c, &o.Volume)
	wire.Chunk(c, &o.Chunk)
	wire.Uint(c, &o.Store)
}

func (o *HealBegin) eval(tx *Tx) (Reply, error) {
	const op = "meta.HealBegin"
	conflict := func(why string) (Reply, error) {
		return nil, honeyant.E(op, honeyant.Conflict, o.Chunk.String(), errors.New(why))
	}
	var r chunkRecord
	if !tx.load(chunkKey(tabChunk, o.Volume, o.Chunk), r.fields) {
		return conflict("unknown chunk")
	}
	if r.Count == 0 {
		return conflict("the chunk is dead")
	}
	if s, ok := tx.storeOf(o.Store); !ok || s.State != honeyant.StoreActive {
		return conflict("the target takes no new chunks")
	}
	if r.find(func(i ReplicaInfo) bool { return i.Store == o.Store }) >= 0 {
		return conflict("the target holds a replica")
	}
	k := intentKey(o.Volume, o.Chunk, o.Store)
	if _, ok := tx.get(k); ok {
		return conflict("a replica is being made there")
	}
	i := intentRecord{Intent: tx.next(counterIntent)}
	tx.store(k, i.fields)
	return &HealReply{Intent: i.Intent, Chunk: tx.chunkInfo(o.Volume, o.Chunk, &r)}, nil
}

// HealReply is the intent.
type HealReply struct {
	Intent uint64 // number of the intent
	Chunk  ChunkInfo
}

// Fields implements Reply.
func (r *HealReply) Fields(c *wire.Codec) {
	wire.Uint(c, &r.Intent)
	r.Chunk.Fields(c)
}

// ChunkInfo is a chunk as metadata know it.
type ChunkInfo struct {
	ID       honeyant.ChunkID
	Sum      honeyant.ChunkSum
	Count    uint64 // extents that refer to it
	PolicyAt honeyant.Ino
	Policy   honeyant.Policy // resolved at reading, not stored
	Replicas []ReplicaInfo
}

// ReplicaInfo is one replica with what is being done to it.
type ReplicaInfo struct {
	honeyant.Replica
	Dropping bool // a drop is committed and not yet carried out (rule 5)
	Bad      bool // a reader or the scrub found it damaged: not to be read, not yet replaced
}

// Fields encodes or decodes.
func (i *ChunkInfo) Fields(c *wire.Codec) {
	wire.Chunk(c, &i.ID)
	wire.Sum(c, &i.Sum)
	wire.Uint(c, &i.Count)
	wire.Uint(c, &i.PolicyAt)
	wire.Policy(c, &i.Policy)
	wire.Slice(c, &i.Replicas, 64, func(c *wire.Codec, r *ReplicaInfo) {
		wire.Replica(c, &r.Replica)
		c.Bool(&r.Dropping)
		c.Bool(&r.Bad)
	})
}
