package meta

import (
	"fmt"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/rpc/wire"
)

// Repack is the leader's own: it makes extents of sparse chunks refer to a new chunk, which stores hold already and
// which has the same bytes (rule 13). Each extent is compared and swapped by itself: one that is not as Moves say any more,
// since its file was written, cut, deleted or given another policy meanwhile, stays as it is. Files do not change by
// it: neither their versions nor what they read, and no lease stands against it. What somebody remembers of the old
// chunk stays right until that is deleted, and is asked for again then (rule 25).
//
// The old chunk dies when its last extent has gone. If no extent could be moved, the new one is dead from the start.
type Repack struct {
	Volume   honeyant.VolumeID
	Chunk    honeyant.ChunkRef // the new one
	PolicyAt honeyant.Ino      // as all the old chunks have it
	Moves    []Move            // at most MaxMoves
}

// Move is one extent of a Repack, as it was found, and where its bytes begin in the new chunk.
type Move struct {
	PlacedExtent
	To uint32
}

// MaxMoves bounds the extents of one Repack: each changes one key, and perhaps one of its old chunk.
const MaxMoves = 1024

// Code implements Op.
func (*Repack) Code() Code { return CodeRepack }

func (*Repack) newReply() *RepackReply { return new(RepackReply) }

// Fields implements Op.
func (o *Repack) Fields(c *wire.Codec) {
	wire.Uint(c, &o.Volume)
	wire.ChunkRef(c, &o.Chunk)
	wire.Uint(c, &o.PolicyAt)
	wire.Slice(c, &o.Moves, MaxMoves, func(c *wire.Codec, m *Move) {
		m.fields(c)
		wire.Uint(c, &m.To)
	})
}

func (o *Repack) eval(tx *Tx) (Reply, error) {
	const op = "meta.Repack"
	if len(o.Moves) > MaxMoves {
		return nil, honeyant.E(op, honeyant.TooLarge, o.Chunk.ID.String(), fmt.Errorf("%d extents", len(o.Moves)))
	}
	if err := tx.addChunk(o.Volume, o.Chunk, o.PolicyAt); err != nil {
		return nil, err
	}
	r := &RepackReply{}
	moved := map[honeyant.ChunkID]chunkUse{}
	var order []honeyant.ChunkID // of moved, so that batches do not depend on the map
	for n := range o.Moves {
		m := &o.Moves[n]
		if m.Chunk == o.Chunk.ID || uint64(m.To)+uint64(m.Length) > uint64(o.Chunk.Sum.Length) {
			return nil, honeyant.E(op, honeyant.Invalid, o.Chunk.ID.String(), fmt.Errorf("%d bytes at %d of a chunk of %d", m.Length, m.To, o.Chunk.Sum.Length))
		}
		use, seen := moved[m.Chunk]
		if !seen {
			if !tx.samePolicy(o.Volume, m.Chunk, o.PolicyAt) {
				continue
			}
			order = append(order, m.Chunk)
		}
		if !o.swap(tx, m) {
			moved[m.Chunk] = use
			continue
		}
		r.Moved++
		use.extents--
		use.bytes -= int64(m.Length)
		moved[m.Chunk] = use
		to := moved[o.Chunk.ID]
		to.extents++
		to.bytes += int64(m.Length)
		moved[o.Chunk.ID] = to
	}
	for _, id := range append(order, o.Chunk.ID) {
		if err := tx.refChunk(o.Volume, id, moved[id]); err != nil {
			return nil, err
		}
	}
	return r, tx.err
}

// samePolicy tells whether a chunk's policy is still that of a directory.
func (t *Tx) samePolicy(v honeyant.VolumeID, id honeyant.ChunkID, policyAt honeyant.Ino) bool {
	var r chunkRecord
	return t.load(chunkKey(tabChunk, v, id), r.fields) && r.Count > 0 && r.PolicyAt == policyAt
}

// swap lets one extent refer to the new chunk, if it is as it was found. Its commit version stays: a pending cut
// counts by it.
func (o *Repack) swap(tx *Tx, m *Move) bool {
	k := extentKey(o.Volume, m.Data, m.Offset)
	var e extentRecord
	if !tx.load(k, e.fields) || e.Inline != nil || e.Chunk != m.Chunk || e.ChunkOffset != m.ChunkOffset || e.Length != m.Length {
		return false
	}
	e.Chunk, e.ChunkOffset = o.Chunk.ID, m.To
	tx.store(k, e.fields)
	return true
}

// RepackReply tells how much was done.
type RepackReply struct {
	Moved uint32 // extents
}

// Fields implements Reply.
func (r *RepackReply) Fields(c *wire.Codec) { wire.Uint(c, &r.Moved) }
