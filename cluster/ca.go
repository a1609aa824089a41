package cluster

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/url"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/meta"
	"github.com/honeyant/honeyant/rpc"
)

// Lifetimes of certificates. They begin a day before they are made, and are long, because a
// wrong clock must not lock a node out: who may come in is decided by the member list (C3).
const (
	backdate   = 24 * time.Hour
	caLife     = 50 * 365 * 24 * time.Hour
	nodeLife   = 10 * 365 * 24 * time.Hour
	renewUnder = nodeLife / 3 // rest of life below which a node asks for a new certificate
)

// Names of the replicated settings that hold the authority (doc/format/identity.md).
const (
	SettingCACert = "ca.crt"
	SettingCAKey  = meta.SettingSecret + "ca.key"
)

// PEM block types.
const (
	pemCert = "CERTIFICATE"
	pemKey  = "PRIVATE KEY"
)

// CA is the certificate authority of a cluster. Immutable; safe for concurrent use. Whoever
// holds it is the cluster: it lives in the replicated settings, which only voters keep, and
// no call gives it away.
type CA struct {
	cluster string
	cert    *x509.Certificate
	key     crypto.Signer
}

// NewClusterID is a random cluster ID of 32 hexadecimal digits.
func NewClusterID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return hex.EncodeToString(b[:])
}

// CreateCA makes the authority of a new cluster.
func CreateCA(cluster string) (*CA, error) {
	const op = "cluster.CreateCA"
	if raw, err := hex.DecodeString(cluster); err != nil || len(raw) != 16 {
		return nil, honeyant.E(op, honeyant.Invalid, cluster, errors.New("a cluster ID has 32 hexadecimal digits"))
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, honeyant.E(op, honeyant.Internal, cluster, err)
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: serial(),
		Subject:      pkix.Name{CommonName: "honeyant cluster " + cluster},
		URIs:         []*url.URL{{Scheme: "honeyant", Host: cluster}},
		NotBefore:    now.Add(-backdate), NotAfter: now.Add(caLife),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, honeyant.E(op, honeyant.Internal, cluster, err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, honeyant.E(op, honeyant.Internal, cluster, err)
	}
	return &CA{cluster: cluster, cert: cert, key: key}, nil
}

// ParseCA reads certificate and key as MarshalPEM wrote them. Errors: Corrupt.
func ParseCA(certPEM, keyPEM []byte) (*CA, error) {
	const op = "cluster.ParseCA"
	cert, err := parseCert(certPEM)
	if err != nil {
		return nil, honeyant.E(op, honeyant.Corrupt, SettingCACert, err)
	}
	key, err := parseKey(keyPEM)
	if err != nil {
		return nil, honeyant.E(op, honeyant.Corrupt, SettingCAKey, err)
	}
	cluster, err := clusterOf(cert)
	if err != nil {
		return nil, honeyant.E(op, honeyant.Corrupt, SettingCACert, err)
	}
	if !cert.IsCA || !publicEqual(cert.PublicKey, key.Public()) {
		return nil, honeyant.E(op, honeyant.Corrupt, SettingCAKey, errors.New("key and certificate do not belong together"))
	}
	return &CA{cluster: cluster, cert: cert, key: key}, nil
}

// MarshalPEM is the certificate and the key (PKCS #8).
func (c *CA) MarshalPEM() (certPEM, keyPEM []byte, err error) {
	der, err := x509.MarshalPKCS8PrivateKey(c.key)
	if err != nil {
		return nil, nil, honeyant.E("cluster.MarshalPEM", honeyant.Internal, c.cluster, err)
	}
	return encodeCert(c.cert.Raw), pem.EncodeToMemory(&pem.Block{Type: pemKey, Bytes: der}), nil
}

// Cluster is the cluster's ID.
func (c *CA) Cluster() string { return c.cluster }

// Pin is the SHA-256 of the certificate (DER): what a join token carries.
func (c *CA) Pin() [sha256.Size]byte { return sha256.Sum256(c.cert.Raw) }

// Save puts the authority into the replicated settings. Saving the same one again is no
// error; Exist if there is another one. On return it is on a quorum's stable storage.
func (c *CA) Save(ctx context.Context, d meta.Doer) error {
	const op = "cluster.SaveCA"
	cert, key, err := c.MarshalPEM()
	if err != nil {
		return err
	}
	// The key first: a certificate in the settings promises that its key is there too.
	for _, s := range []struct {
		name  string
		value []byte
	}{{SettingCAKey, key}, {SettingCACert, cert}} {
		got, err := meta.Do(ctx, d, &meta.GetSetting{Name: s.name})
		if err != nil {
			return honeyant.E(op, honeyant.Other, s.name, err)
		}
		if string(got.Value) == string(s.value) {
			continue
		}
		if len(got.Value) > 0 {
			return honeyant.E(op, honeyant.Exist, s.name, errors.New("the cluster has another certificate authority"))
		}
		if _, err := meta.Do(ctx, d, &meta.PutSetting{Name: s.name, Value: s.value, Compare: true}); err != nil {
			return honeyant.E(op, honeyant.Other, s.name, err)
		}
	}
	return nil
}

// LoadCA reads the authority from the replicated settings. d must be the local leader: the
// key never crosses the network. NotExist if the cluster was never founded.
func LoadCA(ctx context.Context, d meta.Doer) (*CA, error) {
	const op = "cluster.LoadCA"
	cert, err := meta.Do(ctx, d, &meta.GetSetting{Name: SettingCACert})
	if err != nil {
		return nil, honeyant.E(op, honeyant.Other, SettingCACert, err)
	}
	key, err := meta.Do(ctx, d, &meta.GetSetting{Name: SettingCAKey})
	if err != nil {
		return nil, honeyant.E(op, honeyant.Other, SettingCAKey, err)
	}
	if len(cert.Value) == 0 || len(key.Value) == 0 {
		return nil, honeyant.E(op, honeyant.NotExist, "certificate authority", nil)
	}
	return ParseCA(cert.Value, key.Value)
}

// sign makes a node's certificate (DER) for a public key.
func (c *CA) sign(pub crypto.PublicKey, node honeyant.NodeID) ([]byte, error) {
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: serial(),
		Subject:      pkix.Name{CommonName: node.String() + " of honeyant cluster " + c.cluster},
		URIs:         []*url.URL{rpc.NodeURI(c.cluster, node)},
		NotBefore:    now.Add(-backdate), NotAfter: now.Add(nodeLife),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, c.cert, pub, c.key)
	if err != nil {
		return nil, honeyant.E("cluster.Sign", honeyant.Invalid, node.String(), err)
	}
	return der, nil
}

func serial() *big.Int {
	var b [16]byte
	_, _ = rand.Read(b[:])
	b[0] = b[0]&0x7f | 0x40 // positive and of full length
	return new(big.Int).SetBytes(b[:])
}

// clusterOf reads the cluster out of a certificate's URI, of an authority or a node.
func clusterOf(cert *x509.Certificate) (string, error) {
	for _, u := range cert.URIs {
		if u.Scheme == "honeyant" && u.Host != "" {
			return u.Host, nil
		}
	}
	return "", fmt.Errorf("certificate %q names no cluster", cert.Subject)
}

func encodeCert(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: pemCert, Bytes: der})
}

func parseCert(raw []byte) (*x509.Certificate, error) {
	block, _ := pem.Decode(raw)
	if block == nil || block.Type != pemCert {
		return nil, errors.New("no PEM certificate")
	}
	return x509.ParseCertificate(block.Bytes)
}

func parseKey(raw []byte) (crypto.Signer, error) {
	block, _ := pem.Decode(raw)
	if block == nil || block.Type != pemKey {
		return nil, errors.New("no PEM private key")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	if signer, ok := key.(crypto.Signer); ok && knownKey(signer.Public()) {
		return signer, nil
	}
	return nil, fmt.Errorf("key of type %T", key)
}

// knownKey tells whether a public key is of a kind that nodes may have.
func knownKey(pub crypto.PublicKey) bool {
	switch k := pub.(type) {
	case *ecdsa.PublicKey:
		return k.Curve == elliptic.P256()
	case ed25519.PublicKey:
		return true
	}
	return false
}

func publicEqual(a, b crypto.PublicKey) bool {
	k, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && k.Equal(b)
}
