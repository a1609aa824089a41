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
	return nil, honeyant.E("meta.Rmdir", honeyant.Unsupported, "", nil)
}
