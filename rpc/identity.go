package rpc

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/honeyant/honeyant"
)

// Credentials say who this node is and whom it believes. Safe for concurrent use; every
// handshake asks anew, so that renewed certificates and changed members count at once.
type Credentials interface {
	// TLSCertificate is this node's certificate with its key; the chain ends with the CA's
	// own certificate, so that a joining machine can compare it with its token.
	TLSCertificate() (*tls.Certificate, error)
	// Roots are the certificate authorities of the cluster.
	Roots() *x509.CertPool
	// Authorize tells whether the node is a member (rule 33); its error is told to nobody else.
	Authorize(node honeyant.NodeID) error
	// Self is this node.
	Self() honeyant.NodeID
}

// nodeScheme is the scheme of the URI that names a node in its certificate.
const nodeScheme = "honeyant"

// NodeURI is what a node's certificate carries as its URI SAN: honeyant://<cluster>/node/<id>.
func NodeURI(cluster string, node honeyant.NodeID) *url.URL {
	return &url.URL{Scheme: nodeScheme, Host: cluster, Path: "/node/" + node.String()}
}

// NodeOf reads the node from a certificate's URI SAN. Errors: Permission if the certificate
// names no node or several.
func NodeOf(cert *x509.Certificate) (honeyant.NodeID, error) {
	const op = "rpc.NodeOf"
	var found honeyant.NodeID
	for _, u := range cert.URIs {
		rest, ok := strings.CutPrefix(u.Path, "/node/")
		if u.Scheme != nodeScheme || !ok {
			continue
		}
		id, err := honeyant.ParseNodeID(rest)
		if err != nil {
			return 0, honeyant.E(op, honeyant.Permission, u.String(), err)
		}
		if found != 0 {
			return 0, honeyant.E(op, honeyant.Permission, u.String(), fmt.Errorf("the certificate names several nodes"))
		}
		found = id
	}
	if found == 0 {
		return 0, honeyant.E(op, honeyant.Permission, cert.Subject.String(), fmt.Errorf("the certificate names no node"))
	}
	return found, nil
}

// verifyPeer checks a chain against the cluster's authorities and returns its node.
func verifyPeer(roots *x509.CertPool, chain []*x509.Certificate) (honeyant.NodeID, error) {
	const op = "rpc.Verify"
	if len(chain) == 0 {
		return 0, honeyant.E(op, honeyant.Permission, "", fmt.Errorf("the peer showed no certificate"))
	}
	// A wrong clock, behind (a machine just booted, without a battery) or years ahead, here or
	// where the certificate was made, must not lock a node out: who may come in is decided by
	// the member list (rule 33). So no date of a node's certificate is judged, and the chain
	// is looked at as of the moment at which the authority's own certificate began.
	at := time.Now()
	between := x509.NewCertPool()
	for _, c := range chain[1:] {
		between.AddCert(c)
		if c.IsCA {
			at = c.NotBefore
		}
	}
	leaf := *chain[0]
	leaf.NotBefore, leaf.NotAfter = at, at
	_, err := leaf.Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: between, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	if err != nil {
		return 0, honeyant.E(op, honeyant.Permission, chain[0].Subject.String(), err)
	}
	return NodeOf(chain[0])
}
