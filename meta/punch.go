package meta

import (
	"fmt"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/rpc/wire"
)

// Punch makes a byte range read as zero and frees what covered it (FALLOC_FL_PUNCH_HOLE,
// FALLOC_FL_ZERO_RANGE). It never shrinks; without KeepSize it may extend the file. OutOfRange and nothing done:
// too many extents in the range, ask for less at a time. Conflict: an earlier cut is still being freed, try again.
type Punch struct {
	Volume   honeyant.VolumeID
	Ino      honeyant.Ino
	Offset   uint64
	Length   uint64
	KeepSize bool
}

// Code implements Op.
func (*Punch) Code() Code { return CodePunch }

func (*Punch) newReply() *AttrReply { return new(AttrReply) }

// Fields implements Op.
func (o *Punch) Fields(c *wire.Codec) {
	wire.Uint(c, &o.Volume)
	wire.Uint(c, &o.Ino)
	wire.Uint(c, &o.Offset)
	wire.Uint(c, &o.Length)
	c.Bool(&o.KeepSize)
}

func (o *Punch) eval(tx *Tx) (Reply, error) {
	const op = "meta.Punch"
	i, err := tx.file(op, o.Volume, o.Ino)
	if err != nil {
		return nil, err
	}
	end, err := rangeEnd(op, o.Ino, o.Offset, o.Length)
	if err != nil {
		return nil, err
	}
	if end >= i.Attr.Size {
		if o.Offset < i.Attr.Size {
			err = tx.cutTail(op, o.Volume, i, o.Offset)
		}
	} else {
		m := tx.fileMap(o.Volume, i)
		if err = m.cut(op, o.Offset, end, 2*cutDirectly); err == nil {
			err = m.close()
		}
	}
	if err != nil {
		return nil, err
	}
	if !o.KeepSize {
		i.Attr.Size = max(i.Attr.Size, end)
	}
	tx.killPriv(o.Volume, i)
	tx.written(i)
	tx.putInode(o.Volume, i)
	return &AttrReply{Attr: i.Attr}, tx.bounded(op, i)
}

// rangeEnd checks a range of fallocate(2).
func rangeEnd(op string, ino honeyant.Ino, offset, length uint64) (uint64, error) {
	switch {
	case length == 0:
		return 0, honeyant.E(op, honeyant.Invalid, inoString(ino), fmt.Errorf("empty range"))
	case offset > honeyant.MaxFileSize || length > honeyant.MaxFileSize-offset:
		return 0, honeyant.E(op, honeyant.TooLarge, inoString(ino), nil)
	}
	return offset + length, nil
}
