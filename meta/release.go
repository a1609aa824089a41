package meta

import (
	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/rpc/wire"
)

// Release takes one registration of Open back.
type Release struct {
	Volume honeyant.VolumeID
	Ino    honeyant.Ino
}

// Code implements Op.
func (*Release) Code() Code { return CodeRelease }

func (*Release) newReply() *Done { return new(Done) }

// Fields implements Op.
func (o *Release) Fields(c *wire.Codec) {
	wire.Uint(c, &o.Volume)
	wire.Uint(c, &o.Ino)
}

func (o *Release) eval(tx *Tx) (Reply, error) {
	if tx.Opens != nil {
		tx.Opens.Remove(tx.Session, o.Volume, o.Ino)
	}
	return &Done{}, nil
}
