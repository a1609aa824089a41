package meta

import (
	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/rpc/wire"
)

// Extents tells what covers [Offset, Offset+Length) of a file, and where the chunks are.
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
	return nil, honeyant.E("meta.Extents", honeyant.Unsupported, "", nil)
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
