package meta

import (
	"github.com/honeyant/honeyant/rpc/wire"
)

// ListTokens lists the join tokens that are left.
type ListTokens struct {
}

// Code implements Op.
func (*ListTokens) Code() Code { return CodeListTokens }

func (*ListTokens) newReply() *TokensReply { return new(TokensReply) }

// Fields implements Op.
func (o *ListTokens) Fields(c *wire.Codec) {
}

func (o *ListTokens) eval(tx *Tx) (Reply, error) {
	r := &TokensReply{}
	tx.eachToken(func(t *Token) {
		if !t.expired(tx.Now) {
			r.Tokens = append(r.Tokens, *t)
		}
	})
	return r, nil
}

// TokensReply is a list of tokens.
type TokensReply struct{ Tokens []Token }

// Fields implements Reply.
func (r *TokensReply) Fields(c *wire.Codec) {
	wire.Slice(c, &r.Tokens, 1<<16, func(c *wire.Codec, t *Token) { t.Fields(c) })
}
