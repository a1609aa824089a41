package meta

import (
	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/kv"
	"github.com/honeyant/honeyant/rpc/wire"
)

// ListIntents lists the replicas that are being made, by chunk: a new leader gives up those that nobody works
// on any more (HealEnd with generation 0).
type ListIntents struct {
	Volume honeyant.VolumeID
	After  honeyant.ChunkID // chunks up to this one are left out
	Limit  uint32           // 0: 1024
}

// Code implements Op.
func (*ListIntents) Code() Code { return CodeListIntents }

func (*ListIntents) newReply() *IntentsReply { return new(IntentsReply) }

// Fields implements Op.
func (o *ListIntents) Fields(c *wire.Codec) {
	wire.Uint(c, &o.Volume)
	wire.Chunk(c, &o.After)
	wire.Uint(c, &o.Limit)
}

func (o *ListIntents) eval(tx *Tx) (Reply, error) {
	limit := min(int(o.Limit), maxListed)
	if limit == 0 {
		limit = 1024
	}
	lower := volumeKey(tabIntent, o.Volume, 0)
	if !o.After.IsZero() {
		lower = kv.PrefixEnd(chunkKey(tabIntent, o.Volume, o.After))
	}
	r := &IntentsReply{EOF: true}
	tx.scanIntents(lower, kv.PrefixEnd(volumeKey(tabIntent, o.Volume, 0)), func(i Intent) bool {
		// All intents of one chunk come in one answer.
		if n := len(r.Intents); n >= limit && r.Intents[n-1].Chunk != i.Chunk {
			r.EOF = false
			return false
		}
		r.Intents = append(r.Intents, i)
		return true
	})
	return r, nil
}

// IntentsReply is a run of intents.
type IntentsReply struct {
	Intents []Intent
	EOF     bool
}

// Fields implements Reply.
func (r *IntentsReply) Fields(c *wire.Codec) {
	c.Bool(&r.EOF)
	wire.Slice(c, &r.Intents, 1<<16, func(c *wire.Codec, i *Intent) { i.Fields(c) })
}
