package meta

import (
	"fmt"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/rpc/wire"
)

// ReadLink tells a symlink's target.
type ReadLink struct {
	Volume honeyant.VolumeID
	Ino    honeyant.Ino
}

// Code implements Op.
func (*ReadLink) Code() Code { return CodeReadLink }

func (*ReadLink) newReply() *ReadLinkReply { return new(ReadLinkReply) }

// Fields implements Op.
func (o *ReadLink) Fields(c *wire.Codec) {
	wire.Uint(c, &o.Volume)
	wire.Uint(c, &o.Ino)
}

func (o *ReadLink) eval(tx *Tx) (Reply, error) {
	const op = "meta.ReadLink"
	i, err := tx.inode(op, o.Volume, o.Ino)
	if err != nil {
		return nil, err
	}
	if !i.Attr.IsSymlink() {
		return nil, honeyant.E(op, honeyant.Invalid, inoString(o.Ino), fmt.Errorf("not a symbolic link"))
	}
	return &ReadLinkReply{Target: i.Target}, nil
}

// ReadLinkReply is a target.
type ReadLinkReply struct {
	Target string
}

// Fields implements Reply.
func (r *ReadLinkReply) Fields(c *wire.Codec) {
	c.String(&r.Target, honeyant.MaxSymlink)
}
