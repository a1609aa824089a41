package meta

import (
	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/rpc/wire"
)

// Lookup finds a name in a directory; "." and ".." work.
type Lookup struct {
	Volume honeyant.VolumeID
	Parent honeyant.Ino
	Name   string
}

// Code implements Op.
func (*Lookup) Code() Code { return CodeLookup }

func (*Lookup) newReply() *EntryReply { return new(EntryReply) }

// Fields implements Op.
func (o *Lookup) Fields(c *wire.Codec) {
	wire.Uint(c, &o.Volume)
	wire.Uint(c, &o.Parent)
	c.String(&o.Name, honeyant.MaxName+1)
}

func (o *Lookup) eval(tx *Tx) (Reply, error) {
	return nil, honeyant.E("meta.Lookup", honeyant.Unsupported, "", nil)
}
