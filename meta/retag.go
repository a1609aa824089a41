package meta

import (
	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/rpc/wire"
)

// Retag is the leader's own: it moves the policy reference of the inodes below a directory, in
// slices. After is the cursor of the slice before, empty at first.
type Retag struct {
	Volume honeyant.VolumeID
	Ino    honeyant.Ino
	After  []byte
	Limit  uint32
}

// Code implements Op.
func (*Retag) Code() Code { return CodeRetag }

func (*Retag) newReply() *RetagReply { return new(RetagReply) }

// Fields implements Op.
func (o *Retag) Fields(c *wire.Codec) {
	wire.Uint(c, &o.Volume)
	wire.Uint(c, &o.Ino)
	c.Bytes(&o.After, 1024)
	wire.Uint(c, &o.Limit)
}

func (o *Retag) eval(tx *Tx) (Reply, error) {
	return nil, honeyant.E("meta.Retag", honeyant.Unsupported, "", nil)
}

// RetagReply tells how far it got.
type RetagReply struct {
	Next    []byte // empty: done
	Changed uint32
}

// Fields implements Reply.
func (r *RetagReply) Fields(c *wire.Codec) {
	c.Bytes(&r.Next, 1024)
	wire.Uint(c, &r.Changed)
}
