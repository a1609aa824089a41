package origin_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/honeyant/honeyant/gateway/code"
	"github.com/honeyant/honeyant/gateway/ledger"
	"github.com/honeyant/honeyant/gateway/origin"
	"github.com/honeyant/honeyant/gateway/serve"
)

// pipes is a listener of connections in memory, so that time can be virtual.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), done: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.done) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }

func (p *pipes) dial(ctx context.Context) (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case p.conns <- far:
		return near, nil
	case <-p.done:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// stack is a gateway between a client and an origin that the test plays.
type stack struct {
	t      *testing.T
	ledger *ledger.Ledger
	front  *pipes
	back   *pipes
	server *http.Server
	mu     sync.Mutex
	fired  []ledger.Name
	done   []serve.Done
}

// newStack starts a gateway; playing is run for each connection to the origin, and may be nil:
// then nobody accepts.
func newStack(t *testing.T, quirks origin.Quirks, playing func(net.Conn)) *stack {
	s := &stack{t: t, ledger: ledger.New(0), front: newPipes(), back: newPipes()}
	s.ledger.Observe(ledger.Observer{Fired: func(_ ledger.Entry, why *ledger.Ending) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.fired = append(s.fired, why.Name)
	}})
	limits := ledger.Defaults()
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) { return s.back.dial(ctx) }
	base := &http.Transport{DialContext: dial, DisableCompression: true, IdleConnTimeout: limits.OriginIdle}
	quirks.Configure(base, nil)
	base.DialContext = origin.Dialer(s.ledger, limits, base.DialContext)
	transport := &origin.Transport{Base: base, Quirks: quirks, Log: slog.New(slog.DiscardHandler)}
	proxy := &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.Out.URL.Scheme, r.Out.URL.Host = "http", "origin" },
		Transport: transport,
		ErrorHandler: func(_ http.ResponseWriter, r *http.Request, err error) {
			r.Context().Value(errorKey{}).(func(error))(err)
		},
	}
	entrance := &serve.Entrance{Ledger: s.ledger, Limits: limits}
	note := func(d serve.Done) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.done = append(s.done, d)
	}
	s.server = &http.Server{ConnState: serve.ConnState, ConnContext: serve.WithConn, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
	s.server.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := entrance.Serve(w, r, func(w http.ResponseWriter, r *http.Request) error {
			var failed error
			proxy.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), errorKey{}, func(err error) { failed = err })))
			return failed
		}, note)
		if err != nil {
			status := http.StatusInternalServerError
			var f *serve.Failure
			if errors.As(err, &f) {
				status = f.Status
			}
			w.WriteHeader(status)
		}
	})
	var wg sync.WaitGroup
	wg.Go(func() { s.server.Serve(s.ledger.WrapListener(s.front, limits)) })
	if playing != nil {
		wg.Go(func() {
			for {
				c, err := s.back.Accept()
				if err != nil {
					return
				}
				wg.Go(func() { defer c.Close(); playing(c) })
			}
		})
	}
	t.Cleanup(func() {
		s.front.Close()
		s.back.Close()
		s.server.Close()
		base.CloseIdleConnections()
		wg.Wait()
	})
	return s
}

type errorKey struct{}

// get sends a request and answers the status, the body, and how the body ended.
func (s *stack) get(path string) (int, string, error) {
	resp, err := s.client().Get("http://gateway" + path)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body), err
}

func (s *stack) client() *http.Client {
	return &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DisableCompression: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return s.front.dial(ctx) }}}
}

// last is how the last request ended.
func (s *stack) last() serve.Done {
	s.t.Helper()
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.done) == 0 {
		s.t.Fatal("no request ended")
	}
	return s.done[len(s.done)-1]
}

func (s *stack) wantFired(want ...ledger.Name) {
	s.t.Helper()
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	if fmt.Sprint(s.fired) != fmt.Sprint(want) {
		s.t.Errorf("fired %v, want %v", s.fired, want)
	}
}

// wantEmpty checks that nothing is left of any request.
func (s *stack) wantEmpty() {
	s.t.Helper()
	synctest.Wait()
	for _, e := range s.ledger.List(ledger.Filter{}) {
		if e.Kind == ledger.Request || e.Phase != ledger.Idle {
			s.t.Errorf("left: %s %s %s %s", e.Kind, e.Side, e.ID, e.Phase)
		}
	}
}

// answering reads one request and sends text.
func answering(text string, then func(net.Conn)) func(net.Conn) {
	return func(c net.Conn) {
		if readRequest(c) != nil {
			return
		}
		io.WriteString(c, text)
		if then != nil {
			then(c)
		}
	}
}

func readRequest(c net.Conn) error {
	r, err := http.ReadRequest(bufio.NewReader(c))
	if err == nil {
		io.Copy(io.Discard, r.Body)
	}
	return err
}

// stall keeps the connection open until the gateway closes it.
func stall(c net.Conn) { io.Copy(io.Discard, c) }

func TestFaultsOfTheOrigin(t *testing.T) {
	const head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
	tests := []struct {
		name     string
		play     func(net.Conn)
		status   int
		cut      bool // the body must end with an error at the client
		took     time.Duration
		code     code.ID
		fired    []ledger.Name
		original func(*testing.T, serve.Done)
	}{
		{name: "never accepts", play: nil, status: 504, took: 3 * time.Second, code: code.OriginConnect, fired: []ledger.Name{ledger.LimitOriginConnect}},
		{name: "never answers", play: func(c net.Conn) { stall(c) }, status: 504, took: 60 * time.Second, code: code.OriginHeader, fired: []ledger.Name{ledger.LimitOriginHeader}},
		{name: "never reads", play: func(net.Conn) { time.Sleep(time.Hour) }, status: 504, took: 60 * time.Second, code: code.OriginHeader, fired: []ledger.Name{ledger.LimitOriginHeader}},
		{name: "closes without an answer", play: func(c net.Conn) { readRequest(c) }, status: 502, code: code.OriginTruncated},
		{name: "no such version", play: answering("HELLO\r\n\r\n", stall), status: 502, code: code.OriginMalformed},
		{name: "content-length too big then stall", play: answering(head+"Content-Length: 100\r\n\r\n0123456789", stall), status: 200, cut: true,
			took: 60 * time.Second, code: code.OriginBodyIdle, fired: []ledger.Name{ledger.LimitOriginBodyIdle}},
		{name: "content-length too big then close", play: answering(head+"Content-Length: 100\r\n\r\n0123456789", nil), status: 200, cut: true, code: code.OriginTruncated},
		{name: "body by close never closes", play: answering("HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\n0123456789", stall), status: 200, cut: true,
			took: 60 * time.Second, code: code.OriginBodyIdle, fired: []ledger.Name{ledger.LimitOriginBodyIdle}},
		{name: "end in the middle of a chunk", play: answering(head+"Transfer-Encoding: chunked\r\n\r\n64\r\n0123456789", nil), status: 200, cut: true, code: code.OriginTruncated},
		{name: "bad chunk size", play: answering(head+"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nxyz\r\n", stall), status: 200, cut: true, code: code.OriginMalformed},
		{name: "drip", play: answering(head+"Content-Length: 10000\r\n\r\n", func(c net.Conn) {
			for {
				if _, err := c.Write([]byte("x")); err != nil {
					return
				}
				time.Sleep(time.Second)
			}
		}), status: 200, cut: true, took: 30 * time.Second, code: code.OriginBodyRate, fired: []ledger.Name{ledger.LimitOriginBodyRate}},
		{name: "header drip", play: func(c net.Conn) {
			readRequest(c)
			io.WriteString(c, "HTTP/1.1 200 OK\r\n")
			for i := 0; ; i++ {
				if _, err := fmt.Fprintf(c, "X-%d: 1\r\n", i); err != nil {
					return
				}
				time.Sleep(time.Second)
			}
		}, status: 504, took: 60 * time.Second, code: code.OriginHeader, fired: []ledger.Name{ledger.LimitOriginHeader}},
		{name: "endless interim responses", play: func(c net.Conn) {
			readRequest(c)
			for {
				if _, err := io.WriteString(c, "HTTP/1.1 103 Early Hints\r\n\r\n"); err != nil {
					return
				}
			}
		}, status: 502, code: code.OriginInterim},
		{name: "good by length", play: answering(head+"Content-Length: 10\r\n\r\n0123456789", stall), status: 200},
		{name: "good by chunks", play: answering(head+"Transfer-Encoding: chunked\r\n\r\na\r\n0123456789\r\n0\r\n\r\n", stall), status: 200},
		{name: "good by close", play: answering("HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\n0123456789", nil), status: 200},
		{name: "204 with a body", play: answering("HTTP/1.1 204 No Content\r\nContent-Length: 4\r\n\r\nabcd", stall), status: 204},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStack(t, origin.Quirks{}, test.play)
				begun := time.Now()
				status, _, err := s.get("/file")
				took := time.Since(begun)
				if status != test.status && !test.cut || (err != nil) != test.cut {
					t.Errorf("the client saw status %d and %v, want %d, cut off %v", status, err, test.status, test.cut)
				}
				if took < test.took || took > test.took+2*time.Second {
					t.Errorf("took %s, want %s", took, test.took)
				}
				done := s.last()
				if done.Outcome.Code != string(test.code) || done.Outcome.Status != test.status {
					t.Errorf("ended as %+v, want code %s", done.Outcome, test.code)
				}
				s.wantFired(test.fired...)
				time.Sleep(time.Second)
				s.wantEmpty()
			})
		})
	}
}

// The client goes away in the middle of a download: the origin's connection is closed within a
// second, and 499 is logged.
func TestClientGoneCancelsTheOrigin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		closed := make(chan time.Time, 1)
		s := newStack(t, origin.Quirks{}, answering("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", func(c net.Conn) {
			io.Copy(c, io.LimitReader(strings.NewReader(strings.Repeat("x", 100_000)), 100_000))
			io.Copy(io.Discard, c)
			closed <- time.Now()
		}))
		ctx, cancel := context.WithCancel(t.Context())
		r, _ := http.NewRequestWithContext(ctx, "GET", "http://gateway/big", nil)
		resp, err := s.client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		io.ReadFull(resp.Body, make([]byte, 50_000))
		gone := time.Now()
		cancel()
		if took := (<-closed).Sub(gone); took > time.Second {
			t.Errorf("the origin was cancelled after %s", took)
		}
		if done := s.last(); done.Outcome.Status != serve.StatusClientGone || done.Outcome.Code != string(code.ClientGone) || done.Outcome.By != "client" {
			t.Errorf("ended as %+v", done.Outcome)
		}
		time.Sleep(2 * time.Second)
		s.wantEmpty()
	})
}

func TestKillEndsBothSides(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStack(t, origin.Quirks{}, answering("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc", stall))
		ended := make(chan error)
		go func() {
			_, _, err := s.get("/")
			ended <- err
		}()
		time.Sleep(10 * time.Second)
		list := s.ledger.List(ledger.Filter{Kind: ledger.Request})
		if len(list) != 1 || list[0].Phase != ledger.OriginRead || list[0].IdleSeconds != 10 {
			t.Fatalf("the ledger has %+v", list)
		}
		s.ledger.Kill(list[0].ID, "")
		if err := <-ended; err == nil {
			t.Error("the client saw a complete response")
		}
		if done := s.last(); done.Outcome.Code != string(code.ClientKilled) || done.Outcome.By != "operator" {
			t.Errorf("ended as %+v", done.Outcome)
		}
		time.Sleep(2 * time.Second)
		s.wantEmpty()
	})
}

// The faults of clients, by raw bytes.
func TestFaultsOfTheClient(t *testing.T) {
	good := answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", stall)
	big := answering("HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\n", func(c net.Conn) {
		for {
			if _, err := c.Write(make([]byte, 32<<10)); err != nil {
				return
			}
		}
	})
	tests := []struct {
		name  string
		play  func(net.Conn)
		do    func(net.Conn)
		took  time.Duration
		fired []ledger.Name
		code  code.ID
	}{
		{"sends nothing", good, func(net.Conn) {}, 10 * time.Second, []ledger.Name{ledger.LimitClientHeader}, ""},
		{"header drip", good, func(c net.Conn) {
			for _, err := c.Write([]byte("GET / HTTP/1.1\r\n")); err == nil; _, err = c.Write([]byte("A")) {
				time.Sleep(time.Second)
			}
		}, 10 * time.Second, []ledger.Name{ledger.LimitClientHeader}, ""},
		{"stops in the middle of its body", good, func(c net.Conn) {
			io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc")
			io.Copy(io.Discard, c)
		}, 60 * time.Second, []ledger.Name{ledger.LimitClientBodyIdle}, code.ClientBodyIdle},
		{"drips its body", good, func(c net.Conn) {
			io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10000\r\n\r\n")
			go io.Copy(io.Discard, c)
			for _, err := c.Write([]byte("A")); err == nil; _, err = c.Write([]byte("A")) {
				time.Sleep(time.Second)
			}
		}, 30 * time.Second, []ledger.Name{ledger.LimitClientBodyRate}, code.ClientBodyRate},
		{"never reads", big, func(c net.Conn) { io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n") },
			60 * time.Second, []ledger.Name{ledger.LimitClientSendIdle}, code.ClientSendIdle},
		{"keeps an idle connection", good, func(c net.Conn) {
			io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
			go io.Copy(io.Discard, c)
		}, 60 * time.Second, []ledger.Name{ledger.LimitClientIdle}, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStack(t, origin.Quirks{}, test.play)
				c, err := s.front.dial(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				begun := time.Now()
				var playing sync.WaitGroup
				playing.Go(func() { test.do(c) })
				defer playing.Wait()
				defer c.Close()
				var last time.Time
				for {
					time.Sleep(500 * time.Millisecond)
					synctest.Wait()
					if len(s.ledger.List(ledger.Filter{Side: ledger.Client})) == 0 {
						last = time.Now()
						break
					}
					if time.Since(begun) > time.Hour {
						t.Fatalf("it hangs: %+v", s.ledger.List(ledger.Filter{}))
					}
				}
				if took := last.Sub(begun); took < test.took || took > test.took+3*time.Second {
					t.Errorf("ended after %s, want %s", took, test.took)
				}
				s.wantFired(test.fired...)
				if test.code != "" {
					if done := s.last(); done.Outcome.Code != string(test.code) {
						t.Errorf("ended as %+v, want code %s", done.Outcome, test.code)
					}
				}
			})
		})
	}
}
