package meta

import (
	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/rpc/wire"
)

// Open registers that the session has the inode open, and answers its attributes and first extents,
// so that a small file needs no further request.
type Open struct {
	Volume honeyant.VolumeID
	Ino    honeyant.Ino
	Limit  uint32 // extents; 0: 64
}

// Code implements Op.
func (*Open) Code() Code { return CodeOpen }

func (*Open) newReply() *ExtentsReply { return new(ExtentsReply) }

// Fields implements Op.
func (o *Open) Fields(c *wire.Codec) {
	wire.Uint(c, &o.Volume)
	wire.Uint(c, &o.Ino)
	wire.Uint(c, &o.Limit)
}

func (o *Open) eval(tx *Tx) (Reply, error) {
	return nil, honeyant.E("meta.Open", honeyant.Unsupported, "", nil)
}
