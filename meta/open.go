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
	i, err := tx.inode("meta.Open", o.Volume, o.Ino)
	if err != nil {
		return nil, err
	}
	limit := int(o.Limit)
	if limit == 0 {
		limit = 64
	}
	reply := &ExtentsReply{Attr: i.Attr}
	if i.Attr.IsFile() {
		reply = tx.extents(o.Volume, i, 0, ^uint64(0), min(limit, maxExtents))
	}
	tx.opened(o.Volume, o.Ino)
	return reply, nil
}
