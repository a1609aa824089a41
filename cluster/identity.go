package cluster

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/config"
	"github.com/honeyant/honeyant/rpc"
)

// Files of an identity directory (doc/format/identity.md). fileCert is written last: with
// it the identity is complete.
const (
	fileKey    = "node.key"
	fileCert   = "node.crt"
	fileCACert = "ca.crt"
	fileCAKey  = "ca.key"    // only between init and the founding of the cluster
	fileFirst  = "first.map" // what the join answered
)

// firstNode is the node that founds a cluster: IDs are handed out from 1 on.
const firstNode honeyant.NodeID = 1

// Identity is who this node is: its key, its certificate, its cluster's authority, and
// whom it believes. It implements rpc.Credentials. Safe for concurrent use.
type Identity struct {
	dir     string
	cluster string
	self    honeyant.NodeID
	key     crypto.Signer
	ca      *x509.Certificate
	roots   *x509.CertPool

	cert    atomic.Pointer[tls.Certificate]
	members atomic.Pointer[honeyant.Map]
	// stranger is told of nodes that the map does not know: it may be old.
	stranger atomic.Pointer[func(honeyant.NodeID)]
}

var _ rpc.Credentials = (*Identity)(nil)

// LoadIdentity reads the identity of a node from its directory. Errors: NotExist if the
// node never joined nor founded a cluster; Corrupt.
func LoadIdentity(dir string) (*Identity, error) {
	const op = "cluster.LoadIdentity"
	var parts [3][]byte
	for i, name := range []string{fileCert, fileCACert, fileKey} {
		raw, err := os.ReadFile(filepath.Join(dir, name))
		if errors.Is(err, fs.ErrNotExist) && name == fileCert {
			return nil, honeyant.E(op, honeyant.NotExist, dir, errors.New("this machine is in no cluster yet: honeyant init or honeyant join"))
		}
		if errors.Is(err, fs.ErrPermission) {
			return nil, honeyant.E(op, honeyant.Permission, name, err)
		}
		if err != nil {
			return nil, honeyant.E(op, honeyant.Corrupt, name, err)
		}
		parts[i] = raw
	}
	id, err := assemble(parts[0], parts[1], parts[2])
	if err != nil {
		return nil, honeyant.E(op, honeyant.Corrupt, dir, err)
	}
	id.dir = dir
	return id, nil
}

// assemble checks that certificate, authority and key belong together.
func assemble(certPEM, caPEM, keyPEM []byte) (*Identity, error) {
	ca, err := parseCert(caPEM)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", fileCACert, err)
	}
	key, err := parseKey(keyPEM)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", fileKey, err)
	}
	cert, err := parseCert(certPEM)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", fileCert, err)
	}
	id := &Identity{key: key, ca: ca, roots: x509.NewCertPool()}
	id.roots.AddCert(ca)
	if id.cluster, err = clusterOf(ca); err != nil {
		return nil, err
	}
	if id.self, err = rpc.NodeOf(cert); err != nil {
		return nil, err
	}
	if err := id.install(cert); err != nil {
		return nil, err
	}
	return id, nil
}

// install checks a certificate and uses it from now on.
func (i *Identity) install(cert *x509.Certificate) error {
	if err := i.fits(cert); err != nil {
		return err
	}
	i.cert.Store(&tls.Certificate{Certificate: [][]byte{cert.Raw, i.ca.Raw}, PrivateKey: i.key, Leaf: cert})
	return nil
}

// fits tells whether a certificate is this node's, from its cluster's authority.
func (i *Identity) fits(cert *x509.Certificate) error {
	cluster, err := clusterOf(cert)
	if err != nil {
		return err
	}
	node, err := rpc.NodeOf(cert)
	if err != nil {
		return err
	}
	switch {
	case cluster != i.cluster:
		return fmt.Errorf("the certificate is of cluster %s, not %s", cluster, i.cluster)
	case node != i.self:
		return fmt.Errorf("the certificate is of %s, not %s", node, i.self)
	case !publicEqual(cert.PublicKey, i.key.Public()):
		return errors.New("the certificate is for another key")
	}
	if err := cert.CheckSignatureFrom(i.ca); err != nil {
		return fmt.Errorf("the certificate is not from the cluster's authority: %w", err)
	}
	return nil
}

// Self is this node.
func (i *Identity) Self() honeyant.NodeID { return i.self }

// Cluster is the cluster's ID.
func (i *Identity) Cluster() string { return i.cluster }

// Pin is the SHA-256 of the authority's certificate, as tokens carry it.
func (i *Identity) Pin() [sha256.Size]byte { return sha256.Sum256(i.ca.Raw) }

// PublicKey is the node's key as AddNode takes it: DER (PKIX).
func (i *Identity) PublicKey() ([]byte, error) { return x509.MarshalPKIXPublicKey(i.key.Public()) }

// TLSCertificate is the present certificate with its key, followed by the authority's.
func (i *Identity) TLSCertificate() (*tls.Certificate, error) { return i.cert.Load(), nil }

// Roots is the cluster's authority.
func (i *Identity) Roots() *x509.CertPool { return i.roots }

// Authorize tells whether a node is a member: by the newest map, or, before the first one is
// known, by its certificate alone (C3). Errors: Permission.
func (i *Identity) Authorize(node honeyant.NodeID) error {
	const op = "cluster.Authorize"
	m := i.members.Load()
	if m == nil || node == i.self {
		return nil
	}
	n, ok := m.Node(node)
	if !ok {
		if tell := i.stranger.Load(); tell != nil {
			(*tell)(node)
		}
		return honeyant.E(op, honeyant.Permission, node.String(), fmt.Errorf("no member as of map %d", m.Version))
	}
	if n.State == honeyant.NodeRemoved {
		return honeyant.E(op, honeyant.Permission, node.String(), errors.New("the node was removed from the cluster"))
	}
	return nil
}

// NotAfter is when the present certificate ends.
func (i *Identity) NotAfter() time.Time { return i.cert.Load().Leaf.NotAfter }

// needsRenewal tells whether less than a third of the certificate's life is left.
func (i *Identity) needsRenewal(now time.Time) bool { return i.NotAfter().Sub(now) < renewUnder }

// renewed takes a new certificate (DER) into use, first on disk.
func (i *Identity) renewed(der []byte) error {
	cert, err := x509.ParseCertificate(der)
	if err == nil {
		err = i.fits(cert) // before it takes the place of a good one
	}
	if err != nil {
		return honeyant.E("cluster.Renew", honeyant.Corrupt, i.self.String(), err)
	}
	if i.dir != "" {
		if err := config.WriteFile(filepath.Join(i.dir, fileCert), encodeCert(der), 0o644); err != nil {
			return err
		}
	}
	if err := i.install(cert); err != nil {
		return honeyant.E("cluster.Renew", honeyant.Corrupt, i.self.String(), err)
	}
	return nil
}

// request is a certificate signing request (DER): it proves that this node has the key.
func request(key crypto.Signer) ([]byte, error) {
	return x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
}

// parseRequest checks a signing request. Errors: Invalid.
func parseRequest(der []byte) (*x509.CertificateRequest, error) {
	csr, err := x509.ParseCertificateRequest(der)
	if err == nil {
		err = csr.CheckSignature()
	}
	if err == nil && !knownKey(csr.PublicKey) {
		err = fmt.Errorf("key of type %T", csr.PublicKey)
	}
	if err != nil {
		return nil, honeyant.E("cluster.Sign", honeyant.Invalid, "certificate request", err)
	}
	return csr, nil
}

// ensureKey reads the node's key, or makes one and puts it on stable storage: it must be
// there before anybody else hears of it, so that a retry is known by it.
func ensureKey(dir string) (crypto.Signer, []byte, error) {
	const op = "cluster.Key"
	path := filepath.Join(dir, fileKey)
	raw, err := os.ReadFile(path)
	if err == nil {
		key, err := parseKey(raw)
		if err != nil {
			return nil, nil, honeyant.E(op, honeyant.Corrupt, path, err)
		}
		return key, raw, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, honeyant.E(op, honeyant.Permission, path, err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, honeyant.E(op, honeyant.Internal, path, err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, honeyant.E(op, honeyant.Internal, path, err)
	}
	raw = pem.EncodeToMemory(&pem.Block{Type: pemKey, Bytes: der})
	if err := makeDir(dir); err != nil {
		return nil, nil, err
	}
	return key, raw, config.WriteFile(path, raw, 0o600)
}

// makeDir makes a directory for secrets, durably.
func makeDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return honeyant.E("cluster.MakeDir", honeyant.Permission, dir, err)
	}
	return config.SyncDir(filepath.Dir(dir))
}
