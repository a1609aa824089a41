package selftest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"time"
)

// certificates are the origin's: made at the start, forgotten at the end.
type certificates struct {
	authority     []byte // PEM
	sound, ranOut tls.Certificate
}

func newCertificates(host string) (*certificates, error) {
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	ca := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Honeyant self-test"}, NotBefore: now.Add(-time.Hour),
		NotAfter: now.Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, &caKey.PublicKey, caKey)
	if err != nil {
		return nil, err
	}
	c := &certificates{authority: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: caDER})}
	leaf := func(serial int64, name string, until time.Time) (tls.Certificate, error) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return tls.Certificate{}, err
		}
		t := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name}, NotBefore: now.Add(-2 * time.Hour), NotAfter: until,
			KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
		if ip := net.ParseIP(name); ip != nil {
			t.IPAddresses = []net.IP{ip}
		} else {
			t.DNSNames = []string{name}
		}
		der, err := x509.CreateCertificate(rand.Reader, t, ca, &key.PublicKey, caKey)
		return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
	}
	if c.sound, err = leaf(2, host, now.Add(24*time.Hour)); err != nil {
		return nil, err
	}
	c.ranOut, err = leaf(3, "another.example", now.Add(-time.Hour))
	return c, err
}

func (c *certificates) good() *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{c.sound}, NextProtos: []string{"http/1.1"}, MinVersion: tls.VersionTLS12}
}

func (c *certificates) bad() *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{c.ranOut}, NextProtos: []string{"http/1.1"}, MinVersion: tls.VersionTLS12}
}

func (c *certificates) h2() *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{c.sound}, NextProtos: []string{"h2", "http/1.1"}, MinVersion: tls.VersionTLS12}
}
