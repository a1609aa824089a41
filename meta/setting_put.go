package meta

import (
	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/rpc/wire"
)

// PutSetting sets a small named value of the cluster (at most 64 KiB); with Expect only if it is
// unchanged, else Conflict.
type PutSetting struct {
	Name    string
	Value   []byte // empty removes it
	Compare bool
	Expect  []byte
}

// Code implements Op.
func (*PutSetting) Code() Code { return CodePutSetting }

func (*PutSetting) newReply() *Done { return new(Done) }

// Fields implements Op.
func (o *PutSetting) Fields(c *wire.Codec) {
	c.String(&o.Name, 255)
	c.Bytes(&o.Value, 1<<16)
	c.Bool(&o.Compare)
	c.Bytes(&o.Expect, 1<<16)
}

func (o *PutSetting) eval(tx *Tx) (Reply, error) {
	return nil, honeyant.E("meta.PutSetting", honeyant.Unsupported, "", nil)
}
