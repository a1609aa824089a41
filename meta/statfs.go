package meta

import (
	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/rpc/wire"
)

// StatFS counts a volume's inodes and bytes.
type StatFS struct {
	Volume honeyant.VolumeID
}

// Code implements Op.
func (*StatFS) Code() Code { return CodeStatFS }

func (*StatFS) newReply() *StatFSReply { return new(StatFSReply) }

// Fields implements Op.
func (o *StatFS) Fields(c *wire.Codec) {
	wire.Uint(c, &o.Volume)
}

func (o *StatFS) eval(tx *Tx) (Reply, error) {
	reply := tx.usageOf(o.Volume).record.StatFS
	return &reply, nil
}

// StatFSReply counts.
type StatFSReply struct {
	Inodes      uint64
	Bytes       uint64 // logical bytes of files, holes left out
	InlineBytes uint64 // of these, kept with the metadata
	Chunks      uint64
	ChunkBytes  uint64 // bytes of chunks, one copy counted
}

// Fields implements Reply.
func (r *StatFSReply) Fields(c *wire.Codec) {
	wire.Uint(c, &r.Inodes)
	wire.Uint(c, &r.Bytes)
	wire.Uint(c, &r.InlineBytes)
	wire.Uint(c, &r.Chunks)
	wire.Uint(c, &r.ChunkBytes)
}
