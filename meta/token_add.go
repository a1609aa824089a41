package meta

import (
	"errors"

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
	t := o.Token
	if len(t.Hash) != 32 || t.Left == 0 {
		return nil, honeyant.E("meta.AddToken", honeyant.Invalid, t.Name, errors.New("want a SHA-256 and a number of uses"))
	}
	var expired [][]byte
	tx.eachToken(func(old *Token) {
		if old.expired(tx.Now) && len(expired) < 100 {
			expired = append(expired, old.Hash)
		}
	})
	for _, hash := range expired {
		tx.del(nameKey(tabToken, string(hash)))
	}
	if t.Made == (honeyant.Time{}) {
		t.Made = tx.Now
	}
	tx.store(nameKey(tabToken, string(t.Hash)), t.Fields)
	return &Done{}, nil
}

// expired tells whether nobody may join with it any more; a zero Expires never comes.
func (t *Token) expired(now honeyant.Time) bool {
	return t.Expires != (honeyant.Time{}) && !now.Before(t.Expires)
}

// useToken takes one use of a token.
func (t *Tx) useToken(hash []byte) error {
	const op = "meta.useToken"
	var k Token
	if len(hash) != 32 || !t.load(nameKey(tabToken, string(hash)), k.Fields) {
		return honeyant.E(op, honeyant.NotPermitted, "", errors.New("unknown, used up or revoked token"))
	}
	if k.expired(t.Now) {
		return honeyant.E(op, honeyant.NotPermitted, k.Name, errors.New("the token has expired"))
	}
	if k.Left == UnlimitedUses {
		return nil
	}
	if k.Left--; k.Left == 0 {
		t.del(nameKey(tabToken, string(hash)))
	} else {
		t.store(nameKey(tabToken, string(hash)), k.Fields)
	}
	return nil
}

// UnlimitedUses as Token.Left sets no limit.
const UnlimitedUses = 1<<32 - 1

// Token lets machines join. Only its hash is kept.
type Token struct {
	Hash    []byte // SHA-256
	Name    string // first characters, to show
	Expires honeyant.Time
	Left    uint32 // how many machines may still join with it, or UnlimitedUses
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
