package cluster

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"strings"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/meta"
)

// Token lets a machine join and tells it which cluster it joins: the secret is for the
// cluster, the pin (SHA-256 of the authority's certificate) for the machine.
type Token struct {
	Secret [20]byte
	Pin    [sha256.Size]byte
}

// Parts of a token's text: tokenPrefix, then base32 of secret, pin and a checksum of both,
// which catches a token that was not copied whole.
const (
	tokenPrefix = "hat1-"
	tokenCheck  = 3
	tokenBytes  = 20 + sha256.Size + tokenCheck
	tokenShown  = len(tokenPrefix) + 6 // of the text, kept as the token's name
)

// DefaultTokenLife is how long a token is good unless it is told otherwise.
const DefaultTokenLife = 24 * time.Hour

// Unlimited as a token's number of uses sets no limit.
const Unlimited = meta.UnlimitedUses

var tokenText = base32.StdEncoding.WithPadding(base32.NoPadding)

// NewToken makes a token for the cluster of a pin.
func NewToken(pin [sha256.Size]byte) Token {
	t := Token{Pin: pin}
	_, _ = rand.Read(t.Secret[:]) // never fails (crypto/rand)
	return t
}

// String is the whole token, secret included.
func (t Token) String() string {
	raw := append(t.Secret[:], t.Pin[:]...)
	sum := sha256.Sum256(raw)
	return tokenPrefix + strings.ToLower(tokenText.EncodeToString(append(raw, sum[:tokenCheck]...)))
}

// Name is the beginning of the text: enough to tell tokens apart, too little to guess one.
func (t Token) Name() string { return t.String()[:tokenShown] }

// Hash is what the cluster keeps of the secret: SHA-256.
func (t Token) Hash() []byte {
	sum := sha256.Sum256(t.Secret[:])
	return sum[:]
}

// ParseToken reads what String wrote; case and white space do not matter. Errors: Invalid.
func ParseToken(s string) (Token, error) {
	const op = "cluster.ParseToken"
	var t Token
	s = strings.ToLower(strings.Join(strings.Fields(s), "")) // a terminal may have broken the line
	rest, ok := strings.CutPrefix(s, tokenPrefix)
	if !ok {
		return t, honeyant.E(op, honeyant.Invalid, "", errors.New("a join token begins with "+tokenPrefix))
	}
	raw, err := tokenText.DecodeString(strings.ToUpper(rest))
	if err != nil || len(raw) != tokenBytes {
		return t, honeyant.E(op, honeyant.Invalid, "", errors.New("the join token is not whole: copy all of it"))
	}
	body := raw[:tokenBytes-tokenCheck]
	if sum := sha256.Sum256(body); !bytes.Equal(sum[:tokenCheck], raw[len(body):]) {
		return t, honeyant.E(op, honeyant.Invalid, "", errors.New("the join token has a typing error"))
	}
	copy(t.Secret[:], body)
	copy(t.Pin[:], body[len(t.Secret):])
	return t, nil
}

// TokenOptions limit a token. Zero values: DefaultTokenLife and Unlimited.
type TokenOptions struct {
	Life time.Duration
	Uses uint32
}

// CreateToken makes a token and stores its hash; the token itself is nowhere but in the
// answer. pin is Identity.Pin or CA.Pin.
func CreateToken(ctx context.Context, d meta.Doer, pin [sha256.Size]byte, o TokenOptions) (Token, meta.Token, error) {
	t := NewToken(pin)
	if o.Life <= 0 {
		o.Life = DefaultTokenLife
	}
	if o.Uses == 0 {
		o.Uses = Unlimited
	}
	now := time.Now()
	kept := meta.Token{
		Hash: t.Hash(), Name: t.Name(), Left: o.Uses,
		Made: honeyant.TimeOf(now), Expires: honeyant.TimeOf(now.Add(o.Life)),
	}
	if _, err := meta.Do(ctx, d, &meta.AddToken{Token: kept}); err != nil {
		return Token{}, meta.Token{}, honeyant.E("cluster.CreateToken", honeyant.Other, kept.Name, err)
	}
	return t, kept, nil
}
