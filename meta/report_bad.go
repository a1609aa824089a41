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
	Good    bool // the other way round: it was read back whole since, the mark goes
}

// Code implements Op.
func (*ReportBad) Code() Code { return CodeReportBad }

func (*ReportBad) newReply() *Done { return new(Done) }

// Fields implements Op.
func (o *ReportBad) Fields(c *wire.Codec) {
	wire.Uint(c, &o.Volume)
	wire.Chunk(c, &o.Chunk)
	wire.Replica(c, &o.Replica)
	c.Bool(&o.Good)
}

func (o *ReportBad) eval(tx *Tx) (Reply, error) {
	k := chunkKey(tabChunk, o.Volume, o.Chunk)
	var r chunkRecord
	if !tx.load(k, r.fields) {
		return &Done{}, nil
	}
	at := r.find(func(i ReplicaInfo) bool { return i.Replica == o.Replica })
	if at < 0 || r.Replicas[at].Bad == !o.Good {
		return &Done{}, nil // it is gone, or said before
	}
	r.Replicas[at].Bad = !o.Good
	tx.store(k, r.fields)
	if r.Count > 0 {
		tx.judgeShort(o.Volume, o.Chunk, &r)
	}
	return &Done{}, nil
}
