package meta

import (
	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/rpc/wire"
)

// Unlink removes a name of something that is not a directory. When it was the last one the
// inode becomes an orphan, which lives until nobody has it open (rule 22).
type Unlink struct {
	Volume honeyant.VolumeID
	Parent honeyant.Ino
	Name   string
}

// Code implements Op.
func (*Unlink) Code() Code { return CodeUnlink }

func (*Unlink) newReply() *RemovedReply { return new(RemovedReply) }

// Fields implements Op.
func (o *Unlink) Fields(c *wire.Codec) {
	wire.Uint(c, &o.Volume)
	wire.Uint(c, &o.Parent)
	c.String(&o.Name, honeyant.MaxName+1)
}

func (o *Unlink) eval(tx *Tx) (Reply, error) {
	const op = "meta.Unlink"
	dir, i, err := tx.named(op, o.Volume, o.Parent, o.Name)
	if err != nil {
		return nil, err
	}
	if i.Attr.IsDir() {
		return nil, honeyant.E(op, honeyant.IsDir, o.Name, nil)
	}
	tx.del(dentryKey(o.Volume, o.Parent, o.Name))
	tx.unlinked(o.Volume, i)
	tx.dirChanged(dir)
	tx.putInode(o.Volume, dir)
	return &RemovedReply{Attr: i.Attr, Dir: dir.Attr}, nil
}

// RemovedReply is the inode that lost a name.
type RemovedReply struct {
	Attr honeyant.Attr // after the change; Nlink 0: it is an orphan now
	Dir  honeyant.Attr // the directory after the change
}

// Fields implements Reply.
func (r *RemovedReply) Fields(c *wire.Codec) {
	wire.Attr(c, &r.Attr)
	optionalAttr(c, &r.Dir)
}
