package meta

import (
	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/rpc/wire"
)

// Clone lets a range of one file share the extents of another (copy_file_range). The same file
// may be both if the ranges do not overlap. At most MaxTouched extents a call: Copied may be less than Length.
type Clone struct {
	Volume    honeyant.VolumeID
	Src       honeyant.Ino
	SrcOffset uint64
	Dst       honeyant.Ino
	DstOffset uint64
	Length    uint64
}

// Code implements Op.
func (*Clone) Code() Code { return CodeClone }

func (*Clone) newReply() *CloneReply { return new(CloneReply) }

// Fields implements Op.
func (o *Clone) Fields(c *wire.Codec) {
	wire.Uint(c, &o.Volume)
	wire.Uint(c, &o.Src)
	wire.Uint(c, &o.SrcOffset)
	wire.Uint(c, &o.Dst)
	wire.Uint(c, &o.DstOffset)
	wire.Uint(c, &o.Length)
}

func (o *Clone) eval(tx *Tx) (Reply, error) {
	return nil, honeyant.E("meta.Clone", honeyant.Unsupported, "", nil)
}

// CloneReply tells how far it got.
type CloneReply struct {
	Attr   honeyant.Attr // of the destination
	Copied uint64        // bytes
}

// Fields implements Reply.
func (r *CloneReply) Fields(c *wire.Codec) {
	wire.Attr(c, &r.Attr)
	wire.Uint(c, &r.Copied)
}
