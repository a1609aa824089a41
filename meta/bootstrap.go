package meta

import (
	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/rpc/wire"
)

// Bootstrap gives an empty cluster its identity, its first volume and that volume's root. Exist if done before.
type Bootstrap struct {
	Cluster string
	UID     uint32 // owner of the root directory
	GID     uint32
}

// Code implements Op.
func (*Bootstrap) Code() Code { return CodeBootstrap }

func (*Bootstrap) newReply() *Done { return new(Done) }

// Fields implements Op.
func (o *Bootstrap) Fields(c *wire.Codec) {
	c.String(&o.Cluster, 64)
	wire.Uint(c, &o.UID)
	wire.Uint(c, &o.GID)
}

func (o *Bootstrap) eval(tx *Tx) (Reply, error) {
	return nil, honeyant.E("meta.Bootstrap", honeyant.Unsupported, "", nil)
}
