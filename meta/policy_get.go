package meta

import (
	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/rpc/wire"
)

// GetPolicy tells which policy holds at an inode and where it was set.
type GetPolicy struct {
	Volume honeyant.VolumeID
	Ino    honeyant.Ino
}

// Code implements Op.
func (*GetPolicy) Code() Code { return CodeGetPolicy }

func (*GetPolicy) newReply() *PolicyReply { return new(PolicyReply) }

// Fields implements Op.
func (o *GetPolicy) Fields(c *wire.Codec) {
	wire.Uint(c, &o.Volume)
	wire.Uint(c, &o.Ino)
}

func (o *GetPolicy) eval(tx *Tx) (Reply, error) {
	return nil, honeyant.E("meta.GetPolicy", honeyant.Unsupported, "", nil)
}

// PolicyReply is a policy and the directory that carries it.
type PolicyReply struct {
	Policy honeyant.Policy
	At     honeyant.Ino // 0: the default of the volume
}

// Fields implements Reply.
func (r *PolicyReply) Fields(c *wire.Codec) {
	wire.Policy(c, &r.Policy)
	wire.Uint(c, &r.At)
}
