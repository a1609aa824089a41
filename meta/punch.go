package meta

import (
	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/rpc/wire"
)

// Punch makes a byte range read as zero and frees what covered it (FALLOC_FL_PUNCH_HOLE,
// FALLOC_FL_ZERO_RANGE). It never shrinks; without KeepSize it may extend the file.
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
	return nil, honeyant.E("meta.Punch", honeyant.Unsupported, "", nil)
}
