package meta

import (
	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/rpc/wire"
)

// Seek finds the next data or hole at or after Offset (lseek(2) SEEK_DATA, SEEK_HOLE).
type Seek struct {
	Volume honeyant.VolumeID
	Ino    honeyant.Ino
	Offset uint64
	Hole   bool
}

// Code implements Op.
func (*Seek) Code() Code { return CodeSeek }

func (*Seek) newReply() *SeekReply { return new(SeekReply) }

// Fields implements Op.
func (o *Seek) Fields(c *wire.Codec) {
	wire.Uint(c, &o.Volume)
	wire.Uint(c, &o.Ino)
	wire.Uint(c, &o.Offset)
	c.Bool(&o.Hole)
}

func (o *Seek) eval(tx *Tx) (Reply, error) {
	const op = "meta.Seek"
	i, err := tx.file(op, o.Volume, o.Ino)
	if err != nil {
		return nil, err
	}
	none := honeyant.E(op, honeyant.NoDevice, inoString(o.Ino), nil)
	if o.Offset >= i.Attr.Size {
		return nil, none
	}
	at, found := o.Offset, o.Hole
	tx.scanVisible(o.Volume, i, o.Offset, i.Attr.Size, func(p placed) bool {
		if o.Hole {
			if p.Offset > at {
				return false
			}
			at = p.end()
			return at < i.Attr.Size
		}
		at, found = max(at, p.Offset), true
		return false
	})
	if !found {
		return nil, none
	}
	return &SeekReply{Offset: min(at, i.Attr.Size)}, nil
}

// SeekReply is an offset.
type SeekReply struct {
	Offset uint64
}

// Fields implements Reply.
func (r *SeekReply) Fields(c *wire.Codec) {
	wire.Uint(c, &r.Offset)
}
