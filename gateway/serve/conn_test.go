package serve_test

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/honeyant/honeyant/gateway/ledger"
	"github.com/honeyant/honeyant/gateway/serve"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fixture is a server over real sockets.
type fixture struct {
	*httptest.Server
	ledger *ledger.Ledger
	mu     sync.Mutex
	fired  []ledger.Name
	closed chan ledger.Entry // connections
}

// start starts one with the limits of Defaults, but those that are named are short.
func start(t *testing.T, secure bool, h serve.Handler, short ...ledger.Name) *fixture {
	t.Helper()
	f := &fixture{ledger: ledger.New(0), closed: make(chan ledger.Entry, 16)}
	f.ledger.Observe(ledger.Observer{
		Fired: func(_ ledger.Entry, why *ledger.Ending) {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.fired = append(f.fired, why.Name)
		},
		Ended: func(e ledger.Entry) {
			if e.Kind == ledger.Connection {
				f.closed <- e
			}
		},
	})
	limits := ledger.Defaults()
	for _, name := range short {
		limits.Set(name, 100*time.Millisecond)
	}
	entrance := &serve.Entrance{Ledger: f.ledger, Limits: limits}
	f.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := entrance.Serve(w, r, h, nil); err != nil {
			status := http.StatusInternalServerError
			var failure *serve.Failure
			if errors.As(err, &failure) {
				status = failure.Status
			}
			w.WriteHeader(status)
		}
	}))
	f.Listener = f.ledger.WrapListener(f.Listener, limits)
	f.Config.ConnState, f.Config.ConnContext = serve.ConnState, serve.WithConn
	f.EnableHTTP2 = true
	if secure {
		f.StartTLS()
	} else {
		f.Start()
	}
	t.Cleanup(f.Close)
	return f
}

func (f *fixture) dial(t *testing.T) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", f.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(10 * time.Second))
	return c
}

// gone waits until the server has closed.
func gone(t *testing.T, c net.Conn) {
	t.Helper()
	if _, err := io.Copy(io.Discard, c); err != nil {
		var timeout net.Error
		if errors.As(err, &timeout) && timeout.Timeout() {
			t.Fatal("the connection was not closed")
		}
	}
}

// end waits for the end of a connection.
func (f *fixture) end(t *testing.T) ledger.Entry {
	t.Helper()
	select {
	case e := <-f.closed:
		return e
	case <-time.After(10 * time.Second):
		t.Fatal("the connection was not closed")
		return ledger.Entry{}
	}
}

func (f *fixture) want(t *testing.T, want ledger.Name) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.fired) != 1 || f.fired[0] != want {
		t.Errorf("fired %v, want %s", f.fired, want)
	}
}

func ok(w http.ResponseWriter, _ *http.Request) error {
	_, err := io.WriteString(w, "ok")
	return err
}

func TestHandshakeHasALimit(t *testing.T) {
	f := start(t, true, ok, ledger.LimitClientTLS)
	c := f.dial(t)
	c.Write([]byte{22, 3, 1}) // the beginning of a hello
	gone(t, c)
	f.want(t, ledger.LimitClientTLS)
}

func TestSilenceOnATLSPortIsTheHandshakesLimit(t *testing.T) {
	f := start(t, true, ok, ledger.LimitClientTLS)
	gone(t, f.dial(t))
	f.want(t, ledger.LimitClientTLS)
}

func TestHeaderAfterTheHandshakeHasALimit(t *testing.T) {
	f := start(t, true, ok, ledger.LimitClientHeader)
	c := tls.Client(f.dial(t), &tls.Config{InsecureSkipVerify: true})
	if err := c.Handshake(); err != nil {
		t.Fatal(err)
	}
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: a")
	gone(t, c)
	f.want(t, ledger.LimitClientHeader)
}

func TestKeptConnectionHasALimit(t *testing.T) {
	for _, proto := range []string{"http/1.1", "h2"} {
		f := start(t, true, ok, ledger.LimitClientIdle)
		c := f.Client()
		transport := c.Transport.(*http.Transport)
		transport.ForceAttemptHTTP2 = proto == "h2"
		if proto != "h2" {
			transport.TLSClientConfig.NextProtos = []string{"http/1.1"}
		}
		resp, err := c.Get(f.URL)
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if proto == "h2" != (resp.ProtoMajor == 2) {
			t.Fatalf("%s: spoke %s", proto, resp.Proto)
		}
		e := f.end(t)
		f.want(t, ledger.LimitClientIdle)
		if e.TLS.Version == "" || (e.TLS.ALPN == "h2") != (proto == "h2") || e.Requests != 1 || e.Done == nil {
			t.Errorf("%s: the connection is known as %+v", proto, e)
		}
	}
}

// A client that never closes its side does not keep a connection that is not kept alive.
func TestCloseDoesNotWaitForTheClient(t *testing.T) {
	f := start(t, true, ok)
	raw := f.dial(t)
	c := tls.Client(raw, &tls.Config{InsecureSkipVerify: true})
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	if body, err := io.ReadAll(resp.Body); string(body) != "ok" || err != nil {
		t.Fatalf("%q, %v", body, err)
	}
	f.end(t)
	if left := f.ledger.List(ledger.Filter{}); len(left) != 0 {
		t.Errorf("left: %+v", left)
	}
}

// A handler that fails in the middle, or whose source does, never makes a complete response.
func TestIncompleteIsNeverComplete(t *testing.T) {
	for name, h := range map[string]serve.Handler{
		"source": func(w http.ResponseWriter, _ *http.Request) error {
			io.Copy(w, io.MultiReader(strings.NewReader(strings.Repeat("x", 100_000)), failing{}))
			return nil
		},
		"panic": func(w http.ResponseWriter, _ *http.Request) error {
			io.WriteString(w, "some")
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		},
	} {
		for _, secure := range []bool{false, true} {
			f := start(t, secure, h)
			resp, err := f.Client().Get(f.URL)
			if err != nil {
				t.Fatal(err)
			}
			if n, err := io.Copy(io.Discard, resp.Body); err == nil {
				t.Errorf("%s, tls %v: %d bytes look complete (S2)", name, secure, n)
			}
			resp.Body.Close()
			if recent := f.ledger.Recent(); len(recent) != 1 {
				t.Errorf("%s: %d requests have ended (S1)", name, len(recent))
			}
		}
	}
}

// Without package framing nobody knows whether a request with chunks had a Content-Length besides: its connection is closed.
func TestChunksCloseTheConnectionWhereNobodyReadsAlong(t *testing.T) {
	f := start(t, false, ok)
	for framing, closed := range map[string]bool{"Content-Length: 0\r\n\r\n": false, "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n": true} {
		c := f.dial(t)
		io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\n"+framing)
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		if resp.Close != closed {
			t.Errorf("%q: close %v", framing, resp.Close)
		}
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("the disk is broken") }
