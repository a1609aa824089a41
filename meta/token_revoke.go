package meta

import (
	"bytes"

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
	var found [][]byte
	tx.eachToken(func(t *Token) {
		if len(o.Hash) > 0 && bytes.Equal(t.Hash, o.Hash) || o.Name != "" && t.Name == o.Name {
			found = append(found, t.Hash)
		}
	})
	if len(found) == 0 {
		return nil, honeyant.E("meta.RevokeToken", honeyant.NotExist, o.Name, nil)
	}
	for _, hash := range found {
		tx.del(nameKey(tabToken, string(hash)))
	}
	return &Done{}, nil
}
