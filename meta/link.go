package meta

import (
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
	return nil, honeyant.E("meta.Link", honeyant.Unsupported, "", nil)
}
