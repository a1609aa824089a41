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
	return nil, honeyant.E("meta.RemoveXattr", honeyant.Unsupported, "", nil)
}
