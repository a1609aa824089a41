package meta

import (
	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/rpc/wire"
)

// RevokeToken removes a token, by hash or by the Name shown.
type RevokeToken struct {
	Hash []byte
	Name string
}

// Code implements Op.
func (*RevokeToken) Code() Code { return CodeRevokeToken }

func (*RevokeToken) newReply() *Done { return new(Done) }

// Fields implements Op.
func (o *RevokeToken) Fields(c *wire.Codec) {
	c.Bytes(&o.Hash, 32)
	c.String(&o.Name, 64)
}

func (o *RevokeToken) eval(tx *Tx) (Reply, error) {
	return nil, honeyant.E("meta.RevokeToken", honeyant.Unsupported, "", nil)
}
