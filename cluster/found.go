package cluster

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/config"
	"github.com/honeyant/honeyant/meta"
)

// Init gives a machine the identity of the first node of a new cluster. The authority's key
// stays in dir until Found has put it into the replicated settings. Interrupted at any step
// it can be repeated. Exist if dir holds a complete identity already.
func Init(dir string) (*Identity, error) {
	const op = "cluster.Init"
	if _, err := os.Stat(filepath.Join(dir, fileCert)); err == nil {
		return nil, honeyant.E(op, honeyant.Exist, dir, errors.New("this machine is in a cluster already"))
	}
	key, keyPEM, err := ensureKey(dir)
	if err != nil {
		return nil, err
	}
	ca, err := CreateCA(NewClusterID())
	if err != nil {
		return nil, err
	}
	caPEM, caKeyPEM, err := ca.MarshalPEM()
	if err != nil {
		return nil, err
	}
	der, err := ca.sign(key.Public(), firstNode)
	if err != nil {
		return nil, err
	}
	certPEM := encodeCert(der)
	for _, f := range []struct {
		name string
		data []byte
		perm fs.FileMode
	}{{fileCAKey, caKeyPEM, 0o600}, {fileCACert, caPEM, 0o644}, {fileCert, certPEM, 0o644}} {
		if err := config.WriteFile(filepath.Join(dir, f.name), f.data, f.perm); err != nil {
			return nil, err
		}
	}
	id, err := assemble(certPEM, caPEM, keyPEM)
	if err != nil {
		return nil, honeyant.E(op, honeyant.Internal, dir, err)
	}
	id.dir = dir
	return id, nil
}

// Founding tells whether this node made the cluster and Found has not been done yet.
func (i *Identity) Founding() bool {
	_, err := os.Stat(filepath.Join(i.dir, fileCAKey))
	return err == nil
}

// Member is how a node presents itself.
type Member struct {
	Name    string
	Address string // host:port where others reach it; from Join, an empty host means the one they see
	Zone    string
}

// Found writes the cluster's birth into the metadata through d, the local leader: its ID
// and first volume, the first node, the authority. Then it removes the authority's key from
// the disk. Each step may be repeated; without an error all of it is durable.
func (i *Identity) Found(ctx context.Context, d meta.Doer, self Member) error {
	const op = "cluster.Found"
	path := filepath.Join(i.dir, fileCAKey)
	keyPEM, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return honeyant.E(op, honeyant.Permission, path, err)
	}
	ca, err := ParseCA(encodeCert(i.ca.Raw), keyPEM)
	if err != nil {
		return err
	}
	boot := &meta.Bootstrap{Cluster: i.cluster}
	if _, err := meta.Do(ctx, d, boot); err != nil && !errors.Is(err, honeyant.Exist) {
		return honeyant.E(op, honeyant.Other, i.cluster, err)
	}
	pub, err := i.PublicKey()
	if err != nil {
		return honeyant.E(op, honeyant.Internal, i.self.String(), err)
	}
	reply, err := meta.Do(ctx, d, &meta.AddNode{Name: self.Name, Address: self.Address, Zone: self.Zone, PublicKey: pub})
	if err != nil {
		return honeyant.E(op, honeyant.Other, self.Name, err)
	}
	if reply.Node.ID != i.self {
		return honeyant.E(op, honeyant.Internal, self.Name, fmt.Errorf("the first node became %s, not %s", reply.Node.ID, i.self))
	}
	if err := ca.Save(ctx, d); err != nil {
		return err
	}
	if err := os.Remove(path); err != nil {
		return honeyant.E(op, honeyant.Internal, path, err)
	}
	return config.SyncDir(i.dir)
}

// Issue makes an identity in memory for a node that is, or will be, in the member list
// under that ID: for tests and for clusters in one process.
func (c *CA) Issue(node honeyant.NodeID) (*Identity, error) {
	const op = "cluster.Issue"
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, honeyant.E(op, honeyant.Internal, node.String(), err)
	}
	der, err := c.sign(key.Public(), node)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, honeyant.E(op, honeyant.Internal, node.String(), err)
	}
	id := &Identity{cluster: c.cluster, self: node, key: key, ca: c.cert, roots: x509.NewCertPool()}
	id.roots.AddCert(c.cert)
	if err := id.install(cert); err != nil {
		return nil, honeyant.E(op, honeyant.Internal, node.String(), err)
	}
	return id, nil
}
