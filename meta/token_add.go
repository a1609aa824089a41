package meta

import (
	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/rpc/wire"
)

// AddToken stores a join token, by its hash.
type AddToken struct {
	Token Token
}

// Code implements Op.
func (*AddToken) Code() Code { return CodeAddToken }

func (*AddToken) newReply() *Done { return new(Done) }

// Fields implements Op.
func (o *AddToken) Fields(c *wire.Codec) {
	o.Token.Fields(c)
}

func (o *AddToken) eval(tx *Tx) (Reply, error) {
	return nil, honeyant.E("meta.AddToken", honeyant.Unsupported, "", nil)
}

// Token lets machines join. Only its hash is kept.
type Token struct {
	Hash    []byte // SHA-256
	Name    string // first characters, to show
	Expires honeyant.Time
	Left    uint32 // how many machines may still join with it
	Made    honeyant.Time
}

// Fields encodes or decodes.
func (t *Token) Fields(c *wire.Codec) {
	c.Bytes(&t.Hash, 32)
	c.String(&t.Name, 64)
	wire.Time(c, &t.Expires)
	wire.Uint(c, &t.Left)
	wire.Time(c, &t.Made)
}
