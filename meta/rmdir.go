package meta

import (
	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/rpc/wire"
)

// Rmdir removes an empty directory.
type Rmdir struct {
	Volume honeyant.VolumeID
	Parent honeyant.Ino
	Name   string
}

// Code implements Op.
func (*Rmdir) Code() Code { return CodeRmdir }

func (*Rmdir) newReply() *RemovedReply { return new(RemovedReply) }

// Fields implements Op.
func (o *Rmdir) Fields(c *wire.Codec) {
	wire.Uint(c, &o.Volume)
	wire.Uint(c, &o.Parent)
	c.String(&o.Name, honeyant.MaxName+1)
}

func (o *Rmdir) eval(tx *Tx) (Reply, error) {
	const op = "meta.Rmdir"
	dir, i, err := tx.named(op, o.Volume, o.Parent, o.Name)
	if err != nil {
		return nil, err
	}
	if !i.Attr.IsDir() {
		return nil, honeyant.E(op, honeyant.NotDir, o.Name, nil)
	}
	if !tx.empty(o.Volume, i.Attr.Ino) {
		return nil, honeyant.E(op, honeyant.NotEmpty, o.Name, nil)
	}
	tx.del(dentryKey(o.Volume, o.Parent, o.Name))
	tx.unlinked(o.Volume, i)
	dir.Attr.Nlink--
	tx.dirChanged(dir)
	tx.putInode(o.Volume, dir)
	return &RemovedReply{Attr: i.Attr, Dir: dir.Attr}, nil
}
