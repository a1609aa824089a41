package pair

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/bench"
	"github.com/honeyant/honeyant/rpc"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// plainListener stands in for the colony's port: its connections need no certificate.
type plainListener struct{ net.Listener }

type plainConn struct{ net.Conn }

func (plainConn) Peer() honeyant.NodeID { return 7 }

func (l plainListener) Accept() (rpc.Conn, error) {
	c, err := l.Listener.Accept()
	return plainConn{c}, err
}

// serve runs a Server until the test ends and returns its address.
func serve(t *testing.T, o ServerOptions) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- NewServer(o).Serve(ctx, plainListener{ln}) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return ln.Addr().String()
}

func dialer(addr string) func(context.Context) (net.Conn, error) {
	return func(ctx context.Context) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "tcp", addr)
	}
}

func way(addr string) *measuring {
	return &measuring{Way: Way{Peer: bench.Peer{From: "a", To: "b"}, Address: addr, Dial: dialer(addr)},
		length: 5 * time.Millisecond, warm: time.Millisecond, tell: func(Step) {}, source: bench.NewSource()}
}

func TestMeasureAWay(t *testing.T) {
	addr := serve(t, ServerOptions{Listen: func() (net.Listener, error) { return net.Listen("tcp", "127.0.0.1:0") }})
	results, skipped, err := way(addr).run(t.Context())
	if err != nil || len(skipped) != 0 {
		t.Fatalf("%v, skipped %+v", err, skipped)
	}
	want := []string{"net.connect", "net.handshake", "net.rtt", "net.clock", "net.tls.1", "net.tls.8", "net.tcp.1", "net.tcp.8"}
	if len(results) != len(want) {
		t.Fatalf("%d results", len(results))
	}
	for i, r := range results {
		if r.Name != want[i] || r.Median <= 0 || len(r.Samples) != 5 || r.Peer == nil || r.Key() != want[i]+" a→b" {
			t.Errorf("%s: %+v", want[i], r)
		}
	}
}

func TestUnreachableNodeIsLeftOut(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	ln.Close()
	results, skipped, err := way(addr).run(t.Context())
	if err != nil || len(results) != 0 || len(skipped) != 8 {
		t.Errorf("%d results, skipped %+v, %v", len(results), skipped, err)
	}
}

func TestPortWithoutTLSWantsTheToken(t *testing.T) {
	addr := serve(t, ServerOptions{Listen: func() (net.Listener, error) { return net.Listen("tcp", "127.0.0.1:0") }})
	control, err := dialer(addr)(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	a, err := ask(control, request{Op: opRaw, Streams: 1})
	if err != nil {
		t.Fatal(err)
	}
	try := func(token []byte, op string) error {
		conn, err := dialer(a.Address)(t.Context())
		if err != nil {
			return err
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(10 * time.Second))
		if _, err := conn.Write(token); err != nil {
			return err
		}
		_, err = ask(conn, request{Op: op})
		return err
	}
	if try(make([]byte, tokenSize), opEcho) == nil {
		t.Error("a wrong token was taken")
	}
	for _, op := range []string{opEcho, opRaw, opGroups, "nonsense"} {
		if try(a.Token, op) == nil {
			t.Errorf("%s was done without TLS", op)
		}
	}
	control.Close()
	for ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second); ; {
		conn, err := dialer(a.Address)(ctx)
		if err != nil {
			if ctx.Err() != nil {
				t.Error("the port is open although nobody asks for it")
			}
			cancel()
			break
		}
		conn.Close()
	}
}

func TestWorkIsToldAndOneAtATime(t *testing.T) {
	began, goOn := make(chan struct{}), make(chan struct{})
	addr := serve(t, ServerOptions{
		Groups: func(ctx context.Context, w Work, tell func(Step)) (*bench.Run, error) {
			tell(Step{Node: "b", Text: "measuring " + w.Profile})
			close(began)
			<-goOn
			return &bench.Run{Schema: bench.Schema, ID: "x"}, nil
		},
		Pairs: func(context.Context, []honeyant.NodeID, Work, func(Step)) (*bench.Run, error) {
			return nil, honeyant.E("test", honeyant.NotExist, "n9", nil)
		},
	})
	node := Node{ID: 2, Name: "b", Dial: dialer(addr)}
	type outcome struct {
		run *bench.Run
		err error
	}
	first := make(chan outcome, 1)
	var steps []string
	go func() {
		run, err := Groups(t.Context(), node, Work{Profile: "quick"}, func(s Step) { steps = append(steps, s.Text) })
		first <- outcome{run, err}
	}()
	<-began
	if _, err := Groups(t.Context(), node, Work{}, func(Step) {}); !errors.Is(err, honeyant.Conflict) {
		t.Errorf("a second measurement: %v", err)
	}
	close(goOn)
	if got := <-first; got.err != nil || got.run.ID != "x" || strings.Join(steps, ",") != "measuring quick" {
		t.Errorf("%+v, steps %q", got, steps)
	}
	var err error
	for range 100 { // the turn is given back a moment after the answer
		if _, err = Pairs(t.Context(), node, []honeyant.NodeID{9}, Work{}, func(Step) {}); !errors.Is(err, honeyant.Conflict) {
			break
		}
	}
	if !errors.Is(err, honeyant.NotExist) {
		t.Errorf("an error of the node: %v", err)
	}
}

func TestCallerGoneEndsTheWork(t *testing.T) {
	began, ended := make(chan struct{}), make(chan struct{})
	addr := serve(t, ServerOptions{Groups: func(ctx context.Context, _ Work, _ func(Step)) (*bench.Run, error) {
		close(began)
		<-ctx.Done()
		close(ended)
		return nil, ctx.Err()
	}})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-began
		cancel()
	}()
	if _, err := Groups(ctx, Node{Name: "b", Dial: dialer(addr)}, Work{}, func(Step) {}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	<-ended
}

func TestOtherOperationIsRefused(t *testing.T) {
	conn, err := dialer(serve(t, ServerOptions{}))(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := ask(conn, request{Op: "teleport"}); !errors.Is(err, honeyant.Unsupported) {
		t.Error(err)
	}
}

func FuzzReadMessage(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x0d{\"op\":\"echo\"}"))
	f.Add([]byte("\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, text []byte) {
		var q request
		if err := readMessage(strings.NewReader(string(text)), maxRequest, &q); err == nil && len(text) < 6 {
			t.Error("less than a message was read as one")
		}
	})
}
