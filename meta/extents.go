package meta

import (
	"fmt"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/rpc/wire"
)

// Extents tells what covers [Offset, Offset+Length) of a file, and where the chunks are. The extents
// are whole: the first and last may reach out of the range.
type Extents struct {
	Volume honeyant.VolumeID
	Ino    honeyant.Ino
	Offset uint64
	Length uint64
	Limit  uint32 // extents; 0: 1024
}

// Code implements Op.
func (*Extents) Code() Code { return CodeExtents }

func (*Extents) newReply() *ExtentsReply { return new(ExtentsReply) }

// Fields implements Op.
func (o *Extents) Fields(c *wire.Codec) {
	wire.Uint(c, &o.Volume)
	wire.Uint(c, &o.Ino)
	wire.Uint(c, &o.Offset)
	wire.Uint(c, &o.Length)
	wire.Uint(c, &o.Limit)
}

func (o *Extents) eval(tx *Tx) (Reply, error) {
	i, err := tx.file("meta.Extents", o.Volume, o.Ino)
	if err != nil {
		return nil, err
	}
	limit := int(o.Limit)
	if limit == 0 || limit > maxExtents {
		limit = maxExtents
	}
	return tx.extents(o.Volume, i, o.Offset, o.Length, limit), nil
}

// maxExtents bounds the extents of one answer.
const maxExtents = 1024

// extents answers what covers a range: whole extents that reach into it.
func (t *Tx) extents(v honeyant.VolumeID, i *Inode, offset, length uint64, limit int) *ExtentsReply {
	end := offset + min(length, ^uint64(0)-offset)
	r := &ExtentsReply{Attr: i.Attr, Until: end}
	seen := map[honeyant.ChunkID]bool{}
	t.scanVisible(v, i, offset, end, func(p placed) bool {
		if len(r.Extents) == limit {
			r.Until = r.Extents[limit-1].End()
			return false
		}
		r.Extents = append(r.Extents, honeyant.Extent{
			Offset: p.Offset, Length: p.Length, Chunk: p.Chunk, ChunkOffset: p.ChunkOffset, Inline: p.Inline})
		return true
	})
	for n := range r.Extents {
		e := &r.Extents[n]
		if e.Inline != nil || seen[e.Chunk] {
			continue
		}
		seen[e.Chunk] = true
		ref, ok := t.chunkRef(v, e.Chunk)
		if !ok {
			t.fail(honeyant.E("meta.extents", honeyant.Corrupt, e.Chunk.String(), fmt.Errorf("%s uses a chunk that is not known", inoString(i.Attr.Ino))))
			return nil
		}
		r.Chunks = append(r.Chunks, ref)
	}
	return r
}

// ExtentsReply maps a range of a file as of one Version.
type ExtentsReply struct {
	Attr    honeyant.Attr
	Extents []honeyant.Extent   // ascending, clipped to the size; gaps are zero
	Chunks  []honeyant.ChunkRef // each chunk that Extents name, once
	Until   uint64              // the answer holds for bytes from Offset up to here
}

// Fields implements Reply.
func (r *ExtentsReply) Fields(c *wire.Codec) {
	wire.Attr(c, &r.Attr)
	wire.Slice(c, &r.Extents, 1<<16, wire.Extent)
	wire.Slice(c, &r.Chunks, 1<<16, wire.ChunkRef)
	wire.Uint(c, &r.Until)
}
