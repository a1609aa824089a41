package meta

import (
	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/rpc/wire"
)

// Reap is the leader's own: it deletes orphans that nobody has open and frees the extents of
// queued data, at most Limit steps. Held lists orphans that must stay for now.
type Reap struct {
	Volume honeyant.VolumeID
	Limit  uint32
}

// Code implements Op.
func (*Reap) Code() Code { return CodeReap }

func (*Reap) newReply() *ReapReply { return new(ReapReply) }

// Fields implements Op.
func (o *Reap) Fields(c *wire.Codec) {
	wire.Uint(c, &o.Volume)
	wire.Uint(c, &o.Limit)
}

func (o *Reap) eval(tx *Tx) (Reply, error) {
	return nil, honeyant.E("meta.Reap", honeyant.Unsupported, "", nil)
}

// ReapReply tells how much was done.
type ReapReply struct {
	Orphans uint32 // inodes deleted
	Extents uint32 // extents freed
	Left    bool   // there is more to do now
}

// Fields implements Reply.
func (r *ReapReply) Fields(c *wire.Codec) {
	wire.Uint(c, &r.Orphans)
	wire.Uint(c, &r.Extents)
	c.Bool(&r.Left)
}
