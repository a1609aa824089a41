package bench

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"
	"sync"
	"time"
)

// tls measures TLS 1.3 handshakes and a reverse proxy, all on this machine.
func (s *session) tls(ctx context.Context) error {
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	for _, h := range []struct {
		name   string
		key    crypto.Signer
		resume bool
	}{{"tls.full.p256", p256, false}, {"tls.full.rsa2048", rsaKey, false}, {"tls.resumed", p256, true}} {
		server, client, err := tlsConfigs(h.key)
		if err != nil {
			return err
		}
		if h.resume {
			client.ClientSessionCache = tls.NewLRUClientSessionCache(1)
		}
		if err := s.handshakes(ctx, h.name, server, client, h.resume); err != nil {
			return err
		}
	}
	server, client, err := tlsConfigs(p256)
	if err != nil {
		return err
	}
	return s.proxy(ctx, server, client)
}

// tlsConfigs makes a certificate for 127.0.0.1 and the two ends that use and trust it.
func tlsConfigs(key crypto.Signer) (server, client *tls.Config, err error) {
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "honeyant bench"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, nil, err
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	server = &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}}}
	client = &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: roots, ServerName: "127.0.0.1"}
	return server, client, nil
}

// handshakes measures one after the other: each sends a byte after the handshake and reads
// one back, so that tickets arrive.
func (s *session) handshakes(ctx context.Context, name string, server, client *tls.Config, resumed bool) error {
	ln, err := tls.Listen("tcp", "127.0.0.1:0", server)
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	wg.Add(1)
	go func() {
		defer wg.Done()
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			conn.SetDeadline(time.Now().Add(10 * time.Second))
			b := make([]byte, 1)
			if _, err := io.ReadFull(conn, b); err == nil {
				conn.Write(b)
			}
			conn.Close()
		}
	}()
	defer wg.Wait()
	defer ln.Close()
	var fault error
	h := &histogram{}
	once := func(int) float64 {
		at := time.Now()
		if err := handshake(ctx, ln.Addr().String(), client, resumed); err != nil {
			fault = err
			return 0
		}
		h.add(time.Since(at))
		return 1
	}
	if resumed { // the first one brings the ticket
		if err := handshake(ctx, ln.Addr().String(), client, false); err != nil {
			return err
		}
	}
	_, err = s.measure(ctx, name, probe{lat: h, unit: "ms", sample: func(ctx context.Context, d time.Duration) (float64, error) {
		v := rate(ctx, d, 1, once)
		return v, fault
	}})
	return err
}

func handshake(ctx context.Context, addr string, config *tls.Config, resumed bool) error {
	d := tls.Dialer{Config: config}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	raw, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer raw.Close()
	conn := raw.(*tls.Conn)
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	b := []byte{1}
	if _, err := conn.Write(b); err != nil {
		return err
	}
	if _, err := io.ReadFull(conn, b); err != nil {
		return err
	}
	if resumed && !conn.ConnectionState().DidResume {
		return errors.New("the session was not resumed")
	}
	return nil
}

// proxyConns is how many connections ask the proxy at once.
const proxyConns = 50

// proxy measures requests through a reverse proxy with TLS in front and plain HTTP behind.
func (s *session) proxy(ctx context.Context, server, client *tls.Config) error {
	body := noise(1000, 5)
	origin, err := serveHTTP(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		w.Write(body)
	}), nil)
	if err != nil {
		return err
	}
	defer origin.stop()
	behind, err := url.Parse("http://" + origin.addr)
	if err != nil {
		return err
	}
	toOrigin := &http.Transport{MaxIdleConnsPerHost: proxyConns}
	defer toOrigin.CloseIdleConnections()
	front, err := serveHTTP(&httputil.ReverseProxy{Transport: toOrigin, ErrorLog: log.New(io.Discard, "", 0),
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(behind) }}, server)
	if err != nil {
		return err
	}
	defer front.stop()
	toFront := &http.Transport{TLSClientConfig: client, MaxIdleConnsPerHost: proxyConns}
	defer toFront.CloseIdleConnections()
	asker := &http.Client{Transport: toFront, Timeout: 10 * time.Second}
	hs := make([]histogram, proxyConns)
	faults := make([]error, proxyConns)
	all := &histogram{}
	_, err = s.measure(ctx, "tls.proxy", probe{lat: all, unit: "ms", length: 2 * s.pace.sample, warm: 4 * s.pace.warm, params: map[string]string{"connections": strconv.Itoa(proxyConns), "answer": "1 KB"},
		sample: func(ctx context.Context, d time.Duration) (float64, error) {
			v := rate(ctx, d, proxyConns, func(i int) float64 {
				at := time.Now()
				if err := get(ctx, asker, "https://"+front.addr+"/"); err != nil {
					faults[i] = err
					return 0
				}
				hs[i].add(time.Since(at))
				return 1
			})
			for i := range hs {
				all.merge(&hs[i])
				hs[i] = histogram{}
			}
			return v, errors.Join(faults...)
		},
		finish: func(r *Result) {
			r.Also = append(r.Also, Also{"p99", r.Latency.P99, "ms"})
			r.Notes = append(r.Notes, "the load is made on the same processors, so a gateway of its own does more")
		}})
	return err
}

func get(ctx context.Context, c *http.Client, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := c.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the proxy answered %s", resp.Status)
	}
	return nil
}

// webServer is an HTTP server on 127.0.0.1 for a measurement.
type webServer struct {
	addr string
	http *http.Server
	done chan struct{}
}

func serveHTTP(h http.Handler, config *tls.Config) (*webServer, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	w := &webServer{addr: ln.Addr().String(), done: make(chan struct{}),
		http: &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, ErrorLog: log.New(io.Discard, "", 0)}}
	if config != nil {
		ln = tls.NewListener(ln, config)
	}
	go func() {
		defer close(w.done)
		w.http.Serve(ln) // ends with stop
	}()
	return w, nil
}

func (w *webServer) stop() {
	w.http.Close()
	<-w.done
}
