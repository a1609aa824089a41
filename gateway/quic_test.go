package gateway_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/honeyant/honeyant/gateway/ledger"
)

// certificate makes one for nobody, and answers a line for a Caddyfile.
func certificate(t testing.TB) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}},
		&x509.Certificate{}, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return "tls " + writePEM(t, "CERTIFICATE", cert) + " " + writePEM(t, "PRIVATE KEY", secret)
}

func writePEM(t testing.TB, kind string, der []byte) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "a.pem")
	if err := os.WriteFile(name, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// site3 is a site with HTTP/3.
type site3 struct {
	t           testing.TB
	addr        string
	certificate string
	since       ledger.ID // what the ledger had before
}

// load3 runs a site with HTTP/3, as one writes it for other builds of Caddy. first are the limits of a connection
// before its first request, limits those of its requests, each lines of a Caddyfile.
func load3(t *testing.T, first, limits, routes string) *site3 {
	t.Helper()
	s := &site3{t: t, addr: free(t), certificate: certificate(t), since: book.Last()}
	s.load(first, limits, routes)
	t.Cleanup(func() {
		if err := caddy.Stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func (s *site3) load(first, limits, routes string) {
	s.t.Helper()
	text := []byte(fmt.Sprintf("{\n\tadmin off\n\tlog {\n\t\toutput discard\n\t}\n\tauto_https off\n\tgrace_period 5s\n\tstorage file_system %s\n\tservers {\n\t\ttimeouts {\n\t\t\tidle 1s\n\t\t}\n\t\tpacket_conn_wrappers {\n\t\t\thoneyant {\n%s\n\t\t\t}\n\t\t}\n\t}\n}\nhttps://%s {\n\t%s\n\tledger {\n%s\n\t}\n%s\n}\n",
		s.t.TempDir(), first, s.addr, s.certificate, limits, routes))
	config, _, err := caddyconfig.GetAdapter("caddyfile").Adapt(text, map[string]any{"filename": "Caddyfile"})
	if err != nil {
		s.t.Fatal(err)
	}
	if err := caddy.Load(config, true); err != nil {
		s.t.Fatal(err)
	}
}

// client is a new one, on a connection of its own.
func (s *site3) client() *http.Client {
	tr := &http3.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, QUICConfig: &quic.Config{MaxIdleTimeout: 5 * time.Second}}
	s.t.Cleanup(func() { tr.Close() })
	return &http.Client{Transport: tr}
}

func (s *site3) get(c *http.Client, path string) *http.Response {
	s.t.Helper()
	resp, err := c.Get("https://" + s.addr + path)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { resp.Body.Close() })
	return resp
}

// quics lists the site's QUIC connections.
func (s *site3) quics() (all []ledger.Entry) {
	for _, e := range book.List(ledger.Filter{Kind: ledger.Connection, Side: ledger.Client}) {
		if e.Proto == "QUIC" && e.ID > s.since {
			all = append(all, e)
		}
	}
	return all
}

// until waits until ok, and fails after a while.
func until(t testing.TB, what string, limit time.Duration, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(limit); !ok(); wait(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not in %s: %s; there are %+v", limit, what, book.List(ledger.Filter{}))
		}
	}
}

// one waits for the only QUIC connection to be in a phase.
func (s *site3) one(phase ledger.Phase) (e ledger.Entry) {
	s.t.Helper()
	until(s.t, "one connection is "+string(phase), 5*time.Second, func() bool {
		all := s.quics()
		if len(all) == 1 {
			e = all[0]
		}
		return len(all) == 1 && e.Phase == phase
	})
	return e
}

// stepping serves 3 times 1000 bytes, each but the first after a step.
func stepping(t *testing.T) (origin string, step chan struct{}) {
	step = make(chan struct{})
	o := newOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "3000")
		for i := range 3 {
			if i > 0 {
				select {
				case <-step:
				case <-r.Context().Done():
					return
				}
			}
			w.Write(make([]byte, 1000))
			w.(http.Flusher).Flush()
		}
	})
	return "\treverse_proxy " + o.URL + " {\n\t\tflush_interval -1\n\t}", step
}

// read reads the next 1000 bytes.
func read(t *testing.T, resp *http.Response) {
	t.Helper()
	if _, err := io.ReadFull(resp.Body, make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
}

// A download over HTTP/3 is in the ledger with its connection, whose bytes are counted, and
// which is idle afterwards and ends when nothing is asked for too long.
func TestQUICConnectionsAreInTheLedger(t *testing.T) {
	s := load3(t, "", "client_idle 2s", "\thandle /big {\n\t\troot "+bigFile(t, 1<<20)+"\n\t\tfile_server\n\t}\n\trespond ok")
	c := s.client()
	resp := s.get(c, "/big")
	if resp.ProtoMajor != 3 {
		t.Fatalf("spoke %s", resp.Proto)
	}
	if n, err := io.Copy(io.Discard, resp.Body); n != 1<<20 || err != nil {
		t.Fatal(n, err)
	}
	e := s.one(ledger.Idle)
	if e.OutBytes < 1<<20 || e.OutBytes > 2<<20 || e.InBytes < 1200 || e.InBytes > 1<<19 || e.Requests != 1 || e.TLS.Version != "TLS 1.3" || e.TLS.ALPN != "h3" || e.Deadline == nil || e.Deadline.Name != "client_idle" {
		t.Errorf("%+v", e)
	}
	recent := book.Recent()
	if r := recent[len(recent)-1]; r.Conn != e.ID || r.Client != e.Client || r.Proto != "HTTP/3.0" {
		t.Errorf("the request is %+v, its connection %+v", r, e)
	}
}

// The idle limit ends a connection without requests. What its client sends is dropped, but the farewell that the server
// has for connections that are idle for longer gets through.
func TestQUICConnectionsHaveAnIdleLimit(t *testing.T) {
	s := load3(t, "", "client_idle 200ms\n\t\tclose 100ms", "\trespond ok")
	was := book.Counts().Fired[ledger.LimitClientIdle]
	c := s.client()
	var conn *quic.Conn
	c.Transport.(*http3.Transport).Dial = func(ctx context.Context, addr string, secure *tls.Config, config *quic.Config) (_ *quic.Conn, err error) {
		conn, err = quic.DialAddrEarly(ctx, addr, secure, config)
		return conn, err
	}
	s.get(c, "/")
	if len(s.quics()) == 0 {
		t.Fatalf("no connection in %+v", book.List(ledger.Filter{}))
	}
	until(t, "the connection is gone", 5*time.Second, func() bool { return len(s.quics()) == 0 })
	if fired := book.Counts().Fired[ledger.LimitClientIdle] - was; fired != 1 {
		t.Errorf("the limit fired %d times", fired)
	}
	<-conn.Context().Done()
	var farewell *quic.ApplicationError
	if err := context.Cause(conn.Context()); !errors.As(err, &farewell) || !farewell.Remote || farewell.ErrorCode != quic.ApplicationErrorCode(http3.ErrCodeNoError) {
		t.Errorf("the client was told %v", err)
	}
}

// A killed connection takes its requests along, and its client is told.
func TestKilledQUICConnectionEndsItsRequests(t *testing.T) {
	routes, step := stepping(t)
	s := load3(t, "", "", routes)
	c := s.client()
	resp := s.get(c, "/")
	read(t, resp)
	e := s.one(ledger.Active)
	requests := book.List(ledger.Filter{Kind: ledger.Request})
	if len(requests) != 1 || requests[0].Conn != e.ID || requests[0].Client != e.Client {
		t.Fatalf("the requests of %s: %+v", e.ID, requests)
	}
	begun := time.Now()
	if _, err := book.Kill(e.ID, "test"); err != nil {
		t.Fatal(err)
	}
	until(t, "all is gone", time.Second, func() bool { return len(book.List(ledger.Filter{Kind: ledger.Request}))+len(s.quics()) == 0 })
	if _, err := io.Copy(io.Discard, resp.Body); err == nil {
		t.Error("the client took it for the whole")
	}
	if took := time.Since(begun); took > 2*time.Second {
		t.Errorf("the client was told after %s", took)
	}
	if r := book.Recent(); r[len(r)-1].Done.Code != "GW1202" {
		t.Errorf("the request ended as %+v", r[len(r)-1])
	}
	// Another request on the same connection fails, now or when the client's time is over.
	if resp, err := c.Get("https://" + s.addr + "/"); err == nil {
		resp.Body.Close()
		t.Error("a request went through on a killed connection")
	}
	// A new connection is served.
	resp = s.get(s.client(), "/")
	read(t, resp)
	close(step)
}

// A client that begins a handshake and falls silent is ended by the limit client_tls.
func TestSilentQUICHandshakeHasALimit(t *testing.T) {
	s := load3(t, "client_tls 200ms", "", "\trespond ok")
	was := book.Counts().Fired[ledger.LimitClientTLS]
	c, err := net.Dial("udp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	initial := append([]byte{0xc0, 0, 0, 0, 1, 8, 1, 2, 3, 4, 5, 6, 7, 8, 0}, make([]byte, 1200)...)
	if _, err := c.Write(initial); err != nil {
		t.Fatal(err)
	}
	until(t, "the limit fired", 5*time.Second, func() bool { return book.Counts().Fired[ledger.LimitClientTLS] == was+1 })
	until(t, "the connection is gone", time.Second, func() bool { return len(s.quics()) == 0 })
}

// A flood of first packets, which anybody can send in anybody's name, does not fill the ledger,
// and others are served.
func TestQUICFloodDoesNotFillTheLedger(t *testing.T) {
	s := load3(t, "", "", "\trespond ok")
	c, err := net.Dial("udp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	initial := append([]byte{0xc0, 0, 0, 0, 1, 8, 0, 0, 0, 0, 5, 6, 7, 8, 0}, make([]byte, 1200)...)
	for i := range 5000 {
		initial[6], initial[7] = byte(i), byte(i>>8)
		if _, err := c.Write(initial); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(s.quics()); n < 100 || n > 1100 {
		t.Errorf("%d connections are in the ledger", n)
	}
	client := s.client()
	for range 2 {
		s.get(client, "/")
	}
	if all := slices.DeleteFunc(s.quics(), func(e ledger.Entry) bool { return e.Requests != 2 }); len(all) != 1 {
		t.Errorf("connections with two requests: %+v", all)
	}
	recent := book.Recent()
	for _, r := range recent[len(recent)-2:] {
		e, err := book.Get(r.Conn)
		if err != nil || e.Requests != 2 || e.Client != r.Client {
			t.Errorf("the connection of %+v is %+v, %v", r, e, err)
		}
	}
}

// A download goes on over reloads, on the same connection, and has the newest limits then.
func TestQUICDownloadLivesThroughReloads(t *testing.T) {
	routes, step := stepping(t)
	s := load3(t, "", "", routes)
	c := s.client()
	resp := s.get(c, "/")
	was := s.one(ledger.Active)
	for range 2 {
		read(t, resp)
		s.load("", "client_idle 7s", routes)
		step <- struct{}{}
	}
	read(t, resp)
	if n, err := io.Copy(io.Discard, resp.Body); n != 0 || err != nil {
		t.Errorf("%d bytes too many, %v", n, err)
	}
	if e := s.one(ledger.Idle); e.ID != was.ID || e.OutBytes <= was.OutBytes {
		t.Errorf("was %+v, is %+v", was, e)
	}
	// The client is told to connect anew after a reload. What it asks then has the new limits.
	read(t, s.get(c, "/"))
	close(step)
	until(t, "a connection has the new limit", 5*time.Second, func() bool {
		for _, e := range s.quics() {
			if e.ID != was.ID && e.Phase == ledger.Idle && e.Deadline != nil && e.Deadline.LimitSeconds == 7 {
				return true
			}
		}
		return false
	})
}

// bigFile answers a directory with the file big.
func bigFile(t testing.TB, size int64) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "big"), make([]byte, size), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}
