package meta

import (
	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/rpc/wire"
)

// Counts tells the state of a volume's chunks.
type Counts struct {
	Volume honeyant.VolumeID
}

// Code implements Op.
func (*Counts) Code() Code { return CodeCounts }

func (*Counts) newReply() *CountsReply { return new(CountsReply) }

// Fields implements Op.
func (o *Counts) Fields(c *wire.Codec) {
	wire.Uint(c, &o.Volume)
}

func (o *Counts) eval(tx *Tx) (Reply, error) {
	record := tx.usageOf(o.Volume).record
	reply := record.Counts
	reply.Chunks = record.StatFS.Chunks
	return &reply, nil
}

// CountsReply counts.
type CountsReply struct {
	Chunks  uint64 // alive
	Short   uint64 // alive with fewer copies than their policy wants (marked at commit, heal or drop)
	Dead    uint64 // waiting to be reclaimed
	Orphans uint64
	Queued  uint64 // data IDs waiting to be freed
}

// Fields implements Reply.
func (r *CountsReply) Fields(c *wire.Codec) {
	wire.Uint(c, &r.Chunks)
	wire.Uint(c, &r.Short)
	wire.Uint(c, &r.Dead)
	wire.Uint(c, &r.Orphans)
	wire.Uint(c, &r.Queued)
}
