package meta

import (
	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/rpc/wire"
)

// ReportBad marks a replica as damaged. Never the last good one is deleted for it: heal replaces it first.
type ReportBad struct {
	Volume  honeyant.VolumeID
	Chunk   honeyant.ChunkID
	Replica honeyant.Replica
}

// Code implements Op.
func (*ReportBad) Code() Code { return CodeReportBad }

func (*ReportBad) newReply() *Done { return new(Done) }

// Fields implements Op.
func (o *ReportBad) Fields(c *wire.Codec) {
	wire.Uint(c, &o.Volume)
	wire.Chunk(c, &o.Chunk)
	wire.Replica(c, &o.Replica)
}

func (o *ReportBad) eval(tx *Tx) (Reply, error) {
	return nil, honeyant.E("meta.ReportBad", honeyant.Unsupported, "", nil)
}
