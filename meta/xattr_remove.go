package meta

import (
	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/rpc/wire"
)

// RemoveXattr removes an extended attribute.
type RemoveXattr struct {
	Volume honeyant.VolumeID
	Ino    honeyant.Ino
	Name   string
}

// Code implements Op.
func (*RemoveXattr) Code() Code { return CodeRemoveXattr }

func (*RemoveXattr) newReply() *AttrReply { return new(AttrReply) }

// Fields implements Op.
func (o *RemoveXattr) Fields(c *wire.Codec) {
	wire.Uint(c, &o.Volume)
	wire.Uint(c, &o.Ino)
	c.String(&o.Name, honeyant.MaxName+1)
}

func (o *RemoveXattr) eval(tx *Tx) (Reply, error) {
	const op = "meta.RemoveXattr"
	if err := checkXattrName(op, o.Name); err != nil {
		return nil, err
	}
	i, err := tx.inode(op, o.Volume, o.Ino)
	if err != nil {
		return nil, err
	}
	if err := xattrWritable(op, o.Name, i); err != nil {
		return nil, err
	}
	if !tx.removeXattr(o.Volume, i, o.Name) {
		return nil, honeyant.E(op, honeyant.NoAttr, o.Name, tx.err)
	}
	tx.changed(i)
	tx.putInode(o.Volume, i)
	return &AttrReply{Attr: i.Attr}, nil
}
