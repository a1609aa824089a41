package cluster

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/honeyant/honeyant"
)

// SettingSealed names the replicated setting that holds the authority's key for one voter or learner alone: it goes into
// backups of the metadata, where the key itself must not be (rule 33; doc/format/identity.md).
func SettingSealed(node honeyant.NodeID) string { return "sealed." + node.String() + ".ca.key" }

const (
	sealVersion = 1
	sealPoint   = 65 // an uncompressed point of P-256
	sealInfo    = "honeyant sealed authority key 1"
)

// Seal encrypts the authority's key so that only the owner of the public key, in the form of Identity.PublicKey, can read
// it: ECDH with a key made for it, HKDF-SHA256, AES-256-GCM. Unsupported: the node's key is not of P-256.
func (c *CA) Seal(publicKey []byte) ([]byte, error) {
	const op = "cluster.Seal"
	fail := func(kind honeyant.Kind, err error) ([]byte, error) { return nil, honeyant.E(op, kind, c.cluster, err) }
	parsed, err := x509.ParsePKIXPublicKey(publicKey)
	if err != nil {
		return fail(honeyant.Invalid, err)
	}
	pub, ok := parsed.(*ecdsa.PublicKey)
	if !ok {
		return fail(honeyant.Unsupported, fmt.Errorf("a key of type %T", parsed))
	}
	to, err := pub.ECDH()
	if err != nil || to.Curve() != ecdh.P256() {
		return fail(honeyant.Unsupported, errors.Join(errors.New("the node's key is not of P-256"), err))
	}
	once, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		return fail(honeyant.Internal, err)
	}
	_, keyPEM, err := c.MarshalPEM()
	if err != nil {
		return nil, err
	}
	box, err := sealBox(once, to, once.PublicKey(), to)
	if err != nil {
		return fail(honeyant.Internal, err)
	}
	out := append([]byte{sealVersion}, once.PublicKey().Bytes()...)
	return box.Seal(out, make([]byte, box.NonceSize()), keyPEM, []byte(c.cluster)), nil // the key is used once, so its nonce may be zero
}

// Unseal reads what Seal made for this node: the authority's key as MarshalPEM has it. Corrupt: it is damaged, or for another.
func (i *Identity) Unseal(sealed []byte) ([]byte, error) {
	const op = "cluster.Unseal"
	fail := func(err error) ([]byte, error) { return nil, honeyant.E(op, honeyant.Corrupt, i.self.String(), err) }
	own, ok := i.key.(*ecdsa.PrivateKey)
	if !ok || len(sealed) < 1+sealPoint || sealed[0] != sealVersion {
		return fail(fmt.Errorf("%d bytes for a key of type %T", len(sealed), i.key))
	}
	mine, err := own.ECDH()
	if err != nil {
		return fail(err)
	}
	once, err := ecdh.P256().NewPublicKey(sealed[1 : 1+sealPoint])
	if err != nil {
		return fail(err)
	}
	box, err := sealBox(mine, once, once, mine.PublicKey())
	if err != nil {
		return fail(err)
	}
	keyPEM, err := box.Open(nil, make([]byte, box.NonceSize()), sealed[1+sealPoint:], []byte(i.cluster))
	if err != nil {
		return fail(err)
	}
	return keyPEM, nil
}

// sealBox is the cipher between a key made for one box and its reader.
func sealBox(private *ecdh.PrivateKey, public, once, reader *ecdh.PublicKey) (cipher.AEAD, error) {
	shared, err := private.ECDH(public)
	if err != nil {
		return nil, err
	}
	salt := append(once.Bytes(), reader.Bytes()...)
	key, err := hkdf.Key(sha256.New, shared, salt, sealInfo, 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}
