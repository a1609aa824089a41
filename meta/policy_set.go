package meta

import (
	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/rpc/wire"
)

// SetPolicy sets or removes the policy of a directory tree. What exists below is moved over by
// Retag in slices; what is made below from now on has it at once.
type SetPolicy struct {
	Volume honeyant.VolumeID
	Ino    honeyant.Ino
	Remove bool
	Policy honeyant.Policy
}

// Code implements Op.
func (*SetPolicy) Code() Code { return CodeSetPolicy }

func (*SetPolicy) newReply() *Done { return new(Done) }

// Fields implements Op.
func (o *SetPolicy) Fields(c *wire.Codec) {
	wire.Uint(c, &o.Volume)
	wire.Uint(c, &o.Ino)
	c.Bool(&o.Remove)
	wire.Policy(c, &o.Policy)
}

func (o *SetPolicy) eval(tx *Tx) (Reply, error) {
	return nil, honeyant.E("meta.SetPolicy", honeyant.Unsupported, "", nil)
}
