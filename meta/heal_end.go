package meta

import (
	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/rpc/wire"
)

// HealEnd adds the replica that was made, if the chunk is alive and the intent current; else Stale, and
// the copy is reclaimed like any unknown one. Generation 0 gives the intent up.
type HealEnd struct {
	Volume     honeyant.VolumeID
	Chunk      honeyant.ChunkID
	Store      honeyant.StoreID
	Intent     uint64
	Generation honeyant.Generation
	Sum        honeyant.ChunkSum // read back at the target; must equal the committed one
}

// Code implements Op.
func (*HealEnd) Code() Code { return CodeHealEnd }

func (*HealEnd) newReply() *Done { return new(Done) }

// Fields implements Op.
func (o *HealEnd) Fields(c *wire.Codec) {
	wire.Uint(c, &o.Volume)
	wire.Chunk(c, &o.Chunk)
	wire.Uint(c, &o.Store)
	wire.Uint(c, &o.Intent)
	wire.Uint(c, &o.Generation)
	wire.Sum(c, &o.Sum)
}

func (o *HealEnd) eval(tx *Tx) (Reply, error) {
	return nil, honeyant.E("meta.HealEnd", honeyant.Unsupported, "", nil)
}
