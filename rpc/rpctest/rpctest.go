// Package rpctest makes certificates and TLS networks on the loopback interface for tests
// of whatever speaks through package rpc.
package rpctest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"sync"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/rpc"
)

// Authority is a cluster's CA with its member list. Safe for concurrent use.
type Authority struct {
	Cert *x509.Certificate
	key  *ecdsa.PrivateKey

	mu      sync.Mutex
	removed map[honeyant.NodeID]bool
}

// NewAuthority makes a CA.
func NewAuthority() (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	t := template("test CA")
	t.IsCA, t.BasicConstraintsValid, t.KeyUsage = true, true, x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &Authority{Cert: cert, key: key, removed: map[honeyant.NodeID]bool{}}, nil
}

func template(name string) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: time.Now().Add(240 * time.Hour),
	}
}

// Remove takes a node off the member list.
func (a *Authority) Remove(node honeyant.NodeID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.removed[node] = true
}

// Member is a node's rpc.Credentials.
func (a *Authority) Member(node honeyant.NodeID) (*Member, error) {
	return a.MemberAs(node, rpc.NodeURI("test", node))
}

// MemberAs makes credentials whose certificate carries the given URIs.
func (a *Authority) MemberAs(node honeyant.NodeID, uris ...*url.URL) (*Member, error) {
	return a.member(node, template(node.String()), uris)
}

// MemberDated makes credentials whose certificate is valid at other times.
func (a *Authority) MemberDated(node honeyant.NodeID, from, to time.Time) (*Member, error) {
	t := template(node.String())
	t.NotBefore, t.NotAfter = from, to
	return a.member(node, t, []*url.URL{rpc.NodeURI("test", node)})
}

func (a *Authority) member(node honeyant.NodeID, t *x509.Certificate, uris []*url.URL) (*Member, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	t.URIs, t.KeyUsage = uris, x509.KeyUsageDigitalSignature
	t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	der, err := x509.CreateCertificate(rand.Reader, t, a.Cert, key.Public(), a.key)
	if err != nil {
		return nil, err
	}
	chain := &tls.Certificate{Certificate: [][]byte{der, a.Cert.Raw}, PrivateKey: key}
	return &Member{authority: a, node: node, cert: chain}, nil
}

// Member implements rpc.Credentials.
type Member struct {
	authority *Authority
	node      honeyant.NodeID
	cert      *tls.Certificate
}

var _ rpc.Credentials = (*Member)(nil)

// TLSCertificate is the node's certificate, chain ending with the CA's.
func (m *Member) TLSCertificate() (*tls.Certificate, error) {
	if m.cert == nil {
		return nil, errors.New("no certificate")
	}
	return m.cert, nil
}

// Roots is the CA.
func (m *Member) Roots() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(m.authority.Cert)
	return p
}

// Authorize refuses removed nodes.
func (m *Member) Authorize(node honeyant.NodeID) error {
	m.authority.mu.Lock()
	defer m.authority.mu.Unlock()
	if m.authority.removed[node] {
		return fmt.Errorf("%s was removed", node)
	}
	return nil
}

// Self is the node.
func (m *Member) Self() honeyant.NodeID { return m.node }

// Listen makes a node's TLS network on a free port of 127.0.0.1.
func (a *Authority) Listen(node honeyant.NodeID, o rpc.Options) (*rpc.TLS, error) {
	m, err := a.Member(node)
	if err != nil {
		return nil, err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	return rpc.NewTLS(ln, m, o), nil
}
