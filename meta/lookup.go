package meta

import (
	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/rpc/wire"
)

// Lookup finds a name in a directory; "." and ".." work.
type Lookup struct {
	Volume honeyant.VolumeID
	Parent honeyant.Ino
	Name   string
}

// Code implements Op.
func (*Lookup) Code() Code { return CodeLookup }

func (*Lookup) newReply() *EntryReply { return new(EntryReply) }

// Fields implements Op.
func (o *Lookup) Fields(c *wire.Codec) {
	wire.Uint(c, &o.Volume)
	wire.Uint(c, &o.Parent)
	c.String(&o.Name, honeyant.MaxName+1)
}

func (o *Lookup) eval(tx *Tx) (Reply, error) {
	const op = "meta.Lookup"
	if len(o.Name) > honeyant.MaxName {
		return nil, honeyant.E(op, honeyant.NameTooLong, o.Name[:32]+"...", nil)
	}
	dir, err := tx.directory(op, o.Volume, o.Parent)
	if err != nil {
		return nil, err
	}
	switch o.Name {
	case ".":
		return &EntryReply{Attr: dir.Attr}, nil
	case "..":
		if dir, err = tx.directory(op, o.Volume, dir.Parent); err != nil {
			return nil, err
		}
		return &EntryReply{Attr: dir.Attr}, nil
	}
	i, err := tx.child(op, o.Volume, o.Parent, o.Name)
	if err != nil {
		return nil, err
	}
	return &EntryReply{Attr: i.Attr}, nil
}
