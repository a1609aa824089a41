package meta

import (
	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/rpc/wire"
)

// Allocate makes sure that the size reaches Offset+Length, unless KeepSize (posix_fallocate).
// Space is not set aside: the answer to a later write may still be ENOSPC (doc/semantics.md).
type Allocate struct {
	Volume   honeyant.VolumeID
	Ino      honeyant.Ino
	Offset   uint64
	Length   uint64
	KeepSize bool
}

// Code implements Op.
func (*Allocate) Code() Code { return CodeAllocate }

func (*Allocate) newReply() *AttrReply { return new(AttrReply) }

// Fields implements Op.
func (o *Allocate) Fields(c *wire.Codec) {
	wire.Uint(c, &o.Volume)
	wire.Uint(c, &o.Ino)
	wire.Uint(c, &o.Offset)
	wire.Uint(c, &o.Length)
	c.Bool(&o.KeepSize)
}

func (o *Allocate) eval(tx *Tx) (Reply, error) {
	const op = "meta.Allocate"
	i, err := tx.file(op, o.Volume, o.Ino)
	if err != nil {
		return nil, err
	}
	end, err := rangeEnd(op, o.Ino, o.Offset, o.Length)
	if err != nil {
		return nil, err
	}
	tx.killPriv(o.Volume, i)
	if !o.KeepSize && end > i.Attr.Size {
		i.Attr.Size = end
		tx.written(i)
	} else {
		tx.changed(i)
	}
	tx.putInode(o.Volume, i)
	return &AttrReply{Attr: i.Attr}, nil
}
