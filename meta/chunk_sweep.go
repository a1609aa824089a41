package meta

import (
	"slices"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/kv"
	"github.com/honeyant/honeyant/rpc/wire"
)

// SweepChunks goes through a slice of the chunks in ID order after nodes, stores or policies changed: it takes
// replicas of removed stores off (but not the last ones, which say where the data were), drops intents for such
// stores, and sets or takes away the marks of chunks short of copies.
type SweepChunks struct {
	Volume honeyant.VolumeID
	After  honeyant.ChunkID
	Limit  uint32 // chunks looked at; 0: 1024
}

// Code implements Op.
func (*SweepChunks) Code() Code { return CodeSweepChunks }

func (*SweepChunks) newReply() *SweepReply { return new(SweepReply) }

// Fields implements Op.
func (o *SweepChunks) Fields(c *wire.Codec) {
	wire.Uint(c, &o.Volume)
	wire.Chunk(c, &o.After)
	wire.Uint(c, &o.Limit)
}

// maxSwept bounds the chunks of one slice, each of which may change three keys.
const maxSwept = MaxTouched / 4

func (o *SweepChunks) eval(tx *Tx) (Reply, error) {
	limit := min(int(o.Limit), maxSwept)
	if limit == 0 {
		limit = maxSwept
	}
	r := &SweepReply{EOF: true}
	var ids []honeyant.ChunkID
	tx.eachChunk(tabChunk, o.Volume, o.After, func(id honeyant.ChunkID) bool {
		if len(ids) == limit {
			r.EOF = false
			return false
		}
		ids = append(ids, id)
		return true
	})
	gone := func(i ReplicaInfo) bool {
		_, there := tx.storeOf(i.Store)
		return !there
	}
	for _, id := range ids {
		k := chunkKey(tabChunk, o.Volume, id)
		var rec chunkRecord
		if !tx.load(k, rec.fields) {
			break
		}
		before := len(rec.Replicas)
		if left := slices.DeleteFunc(slices.Clone(rec.Replicas), gone); len(left) < before && (len(left) > 0 || rec.Count == 0) {
			rec.Replicas = left
			tx.store(k, rec.fields)
			r.Removed += uint32(before - len(left))
		}
		if rec.Count > 0 {
			tx.judgeShort(o.Volume, id, &rec)
		}
		r.Last = id
	}
	r.Seen = uint32(len(ids))
	o.intents(tx, ids, r.EOF)
	return r, tx.err
}

// intents drops those for removed stores in the range that was swept.
func (o *SweepChunks) intents(tx *Tx, ids []honeyant.ChunkID, eof bool) {
	upper := kv.PrefixEnd(volumeKey(tabIntent, o.Volume, 0))
	if !eof {
		upper = kv.PrefixEnd(chunkKey(tabIntent, o.Volume, ids[len(ids)-1]))
	}
	var over []Intent
	tx.scanIntents(chunkKey(tabIntent, o.Volume, o.After), upper, func(i Intent) bool {
		if _, there := tx.storeOf(i.Store); !there {
			over = append(over, i)
		}
		return len(over) < maxSwept
	})
	for _, i := range over {
		tx.del(intentKey(o.Volume, i.Chunk, i.Store))
	}
}

// SweepReply tells how far it got.
type SweepReply struct {
	Last    honeyant.ChunkID // After of the next slice
	EOF     bool
	Seen    uint32 // chunks looked at
	Removed uint32 // replicas taken off
}

// Fields implements Reply.
func (r *SweepReply) Fields(c *wire.Codec) {
	wire.Chunk(c, &r.Last)
	c.Bool(&r.EOF)
	wire.Uint(c, &r.Seen)
	wire.Uint(c, &r.Removed)
}
