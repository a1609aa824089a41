package gateway_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"golang.org/x/net/http2"

	"github.com/honeyant/honeyant/gateway/ledger"
	"github.com/honeyant/honeyant/gateway/selftest"
)

// loadFront runs one site, and answers how clients connect to it, without HTTP/2.
func loadFront(t *testing.T, secure bool, site string) func(t *testing.T) net.Conn {
	t.Helper()
	addr := free(t)
	reload(t, addr, frontFile(t, addr, "", secure, site))
	t.Cleanup(func() { stopCaddy(t) })
	return dialer(addr, secure)
}

func dialer(addr string, secure bool) func(t *testing.T) net.Conn {
	return func(t *testing.T) net.Conn {
		t.Helper()
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		c.SetDeadline(time.Now().Add(10 * time.Second))
		if secure {
			return tls.Client(c, &tls.Config{InsecureSkipVerify: true, ServerName: "127.0.0.1"})
		}
		return c
	}
}

// frontFile is the Caddyfile of one site for a host, or for all, over TLS if it is to be secure.
func frontFile(t *testing.T, addr, host string, secure bool, site string) string {
	t.Helper()
	_, port, _ := net.SplitHostPort(addr)
	if !secure {
		return fmt.Sprintf("http://%s:%s {\n%s}\n", host, port, site)
	}
	cert, key, err := selftest.SelfSigned("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, block := range map[string]*pem.Block{"cert": {Type: "CERTIFICATE", Bytes: cert}, "key": {Type: "PRIVATE KEY", Bytes: key}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return fmt.Sprintf("https://%s:%s {\n\ttls %s/cert %s/key\n%s}\n", host, port, dir, dir, site)
}

// bothFronts runs a test over plain connections and over TLS.
func bothFronts(t *testing.T, test func(t *testing.T, secure bool)) {
	t.Helper()
	for name, secure := range map[string]bool{"plain": false, "over TLS": true} {
		t.Run(name, func(t *testing.T) { test(t, secure) })
	}
}

const contradictory = "POST /both HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"

// Requests on one connection are judged one by one, however their bytes come: what stands in bodies never counts, and one
// that has two lengths is refused wherever it stands.
func TestEachRequestOfAConnectionIsJudged(t *testing.T) {
	const text = "POST /hidden HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"
	sized := fmt.Sprintf("POST /sized HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", len(text), text)
	chunked := fmt.Sprintf("POST /chunked HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n%x;x=\"y\"\r\n%s\r\n3\r\nabc\r\n0\r\nTrailer: Content-Length\r\n\r\n", len(text), text)
	const bare = "GET /bare HTTP/1.1\r\nHost: a\r\n\r\n"
	whole := []string{sized, chunked, bare, chunked, sized, bare, contradictory}
	bothFronts(t, func(t *testing.T, secure bool) {
		o := newOrigin(t, func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) })
		dial := loadFront(t, secure, "\treverse_proxy "+o.Listener.Addr().String()+"\n")
		for name, send := range map[string]func(c net.Conn){
			"at once":         func(c net.Conn) { io.WriteString(c, strings.Join(whole, "")) },
			"in single bytes": func(c net.Conn) { inPieces(c, strings.Join(whole, ""), 1) },
			"in threes":       func(c net.Conn) { inPieces(c, strings.Join(whole, ""), 3) },
		} {
			t.Run(name, func(t *testing.T) {
				c := dial(t)
				go send(c)
				r := bufio.NewReader(c)
				for i, request := range whole {
					resp, err := http.ReadResponse(r, nil)
					if err != nil {
						t.Fatalf("request %d: %v", i, err)
					}
					body, err := io.ReadAll(resp.Body)
					if err != nil {
						t.Fatal(err)
					}
					bad := i == len(whole)-1
					want := map[string]string{sized: text, chunked: text + "abc"}[request]
					if !bad && (resp.StatusCode != http.StatusOK || resp.Close || string(body) != want) {
						t.Fatalf("request %d: %s, close %v: %q", i, resp.Status, resp.Close, body)
					}
					if bad && (resp.StatusCode != http.StatusBadRequest || !resp.Close) {
						t.Errorf("two lengths: %s, close %v", resp.Status, resp.Close)
					}
				}
				if _, err := r.ReadByte(); err == nil {
					t.Error("the connection goes on")
				}
			})
		}
		for _, line := range o.seen() {
			if strings.Contains(line, "both") || strings.Contains(line, "hidden") {
				t.Errorf("the origin saw %s", line)
			}
		}
	})
}

func inPieces(c net.Conn, text string, size int) {
	for len(text) > 0 {
		n := min(size, len(text))
		if _, err := io.WriteString(c, text[:n]); err != nil {
			return
		}
		text = text[n:]
	}
}

// A refused request is in the ledger and in the log under its code, with the TLS that was agreed.
func TestARefusedFramingIsLogged(t *testing.T) {
	bothFronts(t, func(t *testing.T, secure bool) {
		file := filepath.Join(t.TempDir(), "access.log")
		dial := loadFront(t, secure, "\tlog {\n\t\toutput file "+file+"\n\t}\n\trespond 200\n")
		c := dial(t)
		io.WriteString(c, contradictory)
		if _, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil {
			t.Fatal(err)
		}
		entry := logged(t, file)
		if entry["code"] != "GW1203" || entry["status"] != 400.0 || entry["ended_by"] != "client" || entry["client_close"] != "gateway" {
			t.Errorf("the log says %v", entry)
		}
		request, _ := entry["request"].(map[string]any)
		if (request["tls"] != nil) != secure {
			t.Errorf("request.tls is %v", request["tls"])
		}
	})
}

// The connections of HTTP/1 are in the ledger with what TLS agreed on, idle when they are, and gone when they are closed.
func TestConnectionsThatAreReadAlongAreInTheLedger(t *testing.T) {
	bothFronts(t, func(t *testing.T, secure bool) {
		dial := loadFront(t, secure, "\trespond 200\n")
		c := dial(t)
		own := func() *ledger.Entry {
			for _, e := range book.List(ledger.Filter{Kind: ledger.Connection}) {
				if e.Client == c.LocalAddr().String() {
					return &e
				}
			}
			return nil
		}
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		if _, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil {
			t.Fatal(err)
		}
		until(t, "idle", 5*time.Second, func() bool { e := own(); return e != nil && e.Phase == ledger.Idle && e.Requests == 1 })
		if e := own(); (e.TLS.Version == "TLS 1.3") != secure {
			t.Errorf("the ledger has %+v", e.TLS)
		}
		c.Close()
		until(t, "gone", 5*time.Second, func() bool { return own() == nil })
	})
}

// With TLS HTTP/2 comes by ALPN only, not by its preface on a connection that agreed on HTTP/1. Without TLS Caddy speaks it
// to those who begin with it, which reading along does not change. Handlers know of TLS with either.
func TestHTTP2OnlyWhereItWasAgreed(t *testing.T) {
	bothFronts(t, func(t *testing.T, secure bool) {
		c := loadFront(t, secure, "\trespond 200\n")(t)
		io.WriteString(c, http2.ClientPreface)
		f := http2.NewFramer(c, c)
		f.WriteSettings()
		frame, err := f.ReadFrame()
		if speaks := err == nil && frame.Header().Type == http2.FrameSettings; speaks == secure {
			t.Errorf("the gateway speaks HTTP/2: %v", speaks)
		}
	})
	addr := free(t)
	reload(t, addr, frontFile(t, addr, "", true, "\trespond {http.request.proto}.{http.request.tls.proto}.{http.request.tls.version}\n"))
	t.Cleanup(func() { stopCaddy(t) })
	for _, want := range []string{"HTTP/1.1.http/1.1.tls1.3", "HTTP/2.0.h2.tls1.3"} {
		tr := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true}
		if strings.HasPrefix(want, "HTTP/1") {
			tr.TLSClientConfig.NextProtos, tr.ForceAttemptHTTP2 = []string{"http/1.1"}, false
		}
		resp, err := (&http.Client{Transport: tr}).Get("https://" + addr + "/")
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		tr.CloseIdleConnections()
		if string(body) != want {
			t.Errorf("got %q, want %q", body, want)
		}
	}
}

// A handshake that is made before net/http has the connection is bounded like one that net/http makes, and so is the header
// after it.
func TestHandshakesThatAreReadAlongAreBounded(t *testing.T) {
	addr := free(t)
	config, err := adapt("{\n\tadmin off\n\tpersist_config off\n\tauto_https off\n\tlog {\n\t\toutput discard\n\t}\n\tstorage file_system " + t.TempDir() + "\n\tservers {\n\t\tlistener_wrappers {\n\t\t\thoneyant {\n\t\t\t\tclient_tls 50ms\n\t\t\t\tclient_header 60ms\n\t\t\t}\n\t\t\ttls\n\t\t}\n\t}\n}\n" +
		frontFile(t, addr, "127.0.0.1", true, "\trespond 200\n"))
	if err != nil {
		t.Fatal(err)
	}
	if err := caddy.Load(config, true); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stopCaddy(t) })
	for name, begin := range map[ledger.Name]func(c *tls.Conn) error{
		ledger.LimitClientTLS:    func(c *tls.Conn) error { _, err := c.NetConn().Write([]byte{22, 3, 1}); return err },
		ledger.LimitClientHeader: func(c *tls.Conn) error { _, err := io.WriteString(c, "GET / HTTP/1.1\r\n"); return err },
	} {
		before := book.Counts().Fired
		c := dialer(addr, true)(t).(*tls.Conn)
		if err := begin(c); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(c.NetConn()); err != nil && !errors.Is(err, syscall.ECONNRESET) {
			t.Fatalf("%s: %v", name, err)
		}
		for fired, n := range book.Counts().Fired {
			if (n != before[fired]) != (fired == name) {
				t.Errorf("%s: %s fired %d times", name, fired, n-before[fired])
			}
		}
	}
}

// A client of HTTP at a port of HTTPS is told so, as net/http does.
func TestPlainRequestsAtATLSPortAreAnswered(t *testing.T) {
	c := loadFront(t, true, "\trespond 200\n")(t).(*tls.Conn).NetConn()
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	answer, _ := io.ReadAll(c)
	if !bytes.HasPrefix(answer, []byte("HTTP/1.0 400 ")) {
		t.Errorf("answered %q", answer)
	}
}

// A tunnel passes the end of one side on while the other still sends, also over TLS. Where an access log counts the bytes,
// Caddy's counter passes on the end of the client's side only.
func TestATunnelCanBeHalfClosed(t *testing.T) {
	bothFronts(t, func(t *testing.T, secure bool) {
		got := make(chan string, 1)
		o := newOrigin(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Connection", "Upgrade")
			w.Header().Set("Upgrade", "half")
			w.WriteHeader(http.StatusSwitchingProtocols)
			c, rw, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			if r.URL.Path == "/origin" {
				c.(*net.TCPConn).CloseWrite()
			}
			text, _ := io.ReadAll(rw)
			io.WriteString(c, "bye")
			got <- string(text)
		})
		addr := free(t)
		// That another host has a log is Caddy's way to have none for this.
		reload(t, addr, frontFile(t, addr, "other", secure, "\tlog {\n\t\toutput discard\n\t}\n")+frontFile(t, addr, "", secure, "\treverse_proxy "+o.Listener.Addr().String()+"\n"))
		t.Cleanup(func() { stopCaddy(t) })
		dial := dialer(addr, secure)
		for path, want := range map[string]string{"/client": "bye", "/origin": ""} {
			c := dial(t)
			io.WriteString(c, "GET "+path+" HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: half\r\n\r\n")
			r := bufio.NewReader(c)
			if resp, err := http.ReadResponse(r, nil); err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
				t.Fatal(resp, err)
			}
			if want == "" {
				if b, err := r.ReadByte(); err != io.EOF {
					t.Fatalf("read %v, %v", b, err)
				}
			}
			io.WriteString(c, contradictory)
			c.(interface{ CloseWrite() error }).CloseWrite()
			if text := <-got; text != contradictory {
				t.Errorf("%s: the origin got %q", path, text)
			}
			if answer, err := io.ReadAll(r); string(answer) != want || err != nil {
				t.Errorf("%s: the client got %q, %v", path, answer, err)
			}
		}
	})
}
