package meta

import (
	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/rpc/wire"
)

// GetAttr tells an inode's attributes.
type GetAttr struct {
	Volume honeyant.VolumeID
	Ino    honeyant.Ino
}

// Code implements Op.
func (*GetAttr) Code() Code { return CodeGetAttr }

func (*GetAttr) newReply() *AttrReply { return new(AttrReply) }

// Fields implements Op.
func (o *GetAttr) Fields(c *wire.Codec) {
	wire.Uint(c, &o.Volume)
	wire.Uint(c, &o.Ino)
}

func (o *GetAttr) eval(tx *Tx) (Reply, error) {
	i, err := tx.inode("meta.GetAttr", o.Volume, o.Ino)
	if err != nil {
		return nil, err
	}
	return &AttrReply{Attr: i.Attr}, nil
}
