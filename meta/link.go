package meta

import (
	"fmt"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/rpc/wire"
)

// Link gives an inode (never a directory) one more name.
type Link struct {
	Volume honeyant.VolumeID
	Ino    honeyant.Ino
	Parent honeyant.Ino
	Name   string
}

// Code implements Op.
func (*Link) Code() Code { return CodeLink }

func (*Link) newReply() *EntryReply { return new(EntryReply) }

// Fields implements Op.
func (o *Link) Fields(c *wire.Codec) {
	wire.Uint(c, &o.Volume)
	wire.Uint(c, &o.Ino)
	wire.Uint(c, &o.Parent)
	c.String(&o.Name, honeyant.MaxName+1)
}

func (o *Link) eval(tx *Tx) (Reply, error) {
	const op = "meta.Link"
	if err := checkName(op, o.Name); err != nil {
		return nil, err
	}
	dir, err := tx.liveDirectory(op, o.Volume, o.Parent)
	if err != nil {
		return nil, err
	}
	i, err := tx.inode(op, o.Volume, o.Ino)
	if err != nil {
		return nil, err
	}
	if _, ok := tx.entry(o.Volume, o.Parent, o.Name); ok {
		return nil, honeyant.E(op, honeyant.Exist, o.Name, nil)
	}
	switch {
	case i.Attr.IsDir():
		return nil, honeyant.E(op, honeyant.NotPermitted, o.Name, fmt.Errorf("a directory has one name"))
	case i.Attr.Nlink == 0:
		return nil, honeyant.E(op, honeyant.NotExist, inoString(o.Ino), fmt.Errorf("it has no name any more"))
	case i.Attr.Nlink >= MaxLinks:
		return nil, honeyant.E(op, honeyant.TooManyLinks, o.Name, nil)
	}
	i.Attr.Nlink++
	tx.changed(i)
	tx.putInode(o.Volume, i)
	tx.putEntry(o.Volume, o.Parent, o.Name, &i.Attr)
	tx.dirChanged(dir)
	tx.putInode(o.Volume, dir)
	return &EntryReply{Attr: i.Attr, Dir: dir.Attr}, nil
}
