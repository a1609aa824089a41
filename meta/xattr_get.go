package meta

import (
	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/rpc/wire"
)

// GetXattr tells one extended attribute; NoAttr if there is none.
type GetXattr struct {
	Volume honeyant.VolumeID
	Ino    honeyant.Ino
	Name   string
}

// Code implements Op.
func (*GetXattr) Code() Code { return CodeGetXattr }

func (*GetXattr) newReply() *XattrReply { return new(XattrReply) }

// Fields implements Op.
func (o *GetXattr) Fields(c *wire.Codec) {
	wire.Uint(c, &o.Volume)
	wire.Uint(c, &o.Ino)
	c.String(&o.Name, honeyant.MaxName+1)
}

func (o *GetXattr) eval(tx *Tx) (Reply, error) {
	const op = "meta.GetXattr"
	if err := checkXattrName(op, o.Name); err != nil {
		return nil, err
	}
	i, err := tx.inode(op, o.Volume, o.Ino)
	if err != nil {
		return nil, err
	}
	if i.Marks&markXattr != 0 {
		if value, ok := tx.get(xattrKey(o.Volume, o.Ino, o.Name)); ok {
			return &XattrReply{Value: value}, nil
		}
	}
	return nil, honeyant.E(op, honeyant.NoAttr, o.Name, tx.err)
}

// XattrReply is a value.
type XattrReply struct {
	Value []byte
}

// Fields implements Reply.
func (r *XattrReply) Fields(c *wire.Codec) {
	c.Bytes(&r.Value, honeyant.MaxXattr)
}
