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
	return nil, honeyant.E("meta.Seek", honeyant.Unsupported, "", nil)
}

// SeekReply is an offset.
type SeekReply struct {
	Offset uint64
}

// Fields implements Reply.
func (r *SeekReply) Fields(c *wire.Codec) {
	wire.Uint(c, &r.Offset)
}
