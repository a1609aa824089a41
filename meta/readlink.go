package meta

import (
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
	return nil, honeyant.E("meta.ReadLink", honeyant.Unsupported, "", nil)
}

// ReadLinkReply is a target.
type ReadLinkReply struct {
	Target string
}

// Fields implements Reply.
func (r *ReadLinkReply) Fields(c *wire.Codec) {
	c.String(&r.Target, honeyant.MaxSymlink)
}
