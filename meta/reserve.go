package meta

import (
	"fmt"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/rpc/wire"
)

// ReserveInodes sets inode numbers aside for the asking session, of which it may give each to one inode that it
// makes under an exclusive lease. Numbers that are not used are lost.
type ReserveInodes struct {
	Count uint32 // at most MaxReserve
}

// MaxReserve bounds the inode numbers of one ReserveInodes.
const MaxReserve = 1 << 16

// Code implements Op.
func (*ReserveInodes) Code() Code { return CodeReserveInodes }

func (*ReserveInodes) newReply() *ReservedReply { return new(ReservedReply) }

// Fields implements Op.
func (o *ReserveInodes) Fields(c *wire.Codec) { wire.Uint(c, &o.Count) }

func (o *ReserveInodes) eval(tx *Tx) (Reply, error) {
	if o.Count == 0 || o.Count > MaxReserve {
		return nil, honeyant.E("meta.ReserveInodes", honeyant.Invalid, "", fmt.Errorf("%d numbers", o.Count))
	}
	last := tx.count(counterInode)
	tx.setCount(counterInode, last+uint64(o.Count))
	return &ReservedReply{First: honeyant.Ino(last + 1)}, nil
}

// ReservedReply is the first of the numbers, which follow each other.
type ReservedReply struct {
	First honeyant.Ino
}

// Fields implements Reply.
func (r *ReservedReply) Fields(c *wire.Codec) { wire.Uint(c, &r.First) }
