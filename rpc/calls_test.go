package rpc_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/rpc"
	"github.com/honeyant/honeyant/rpc/memnet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	methodEcho rpc.Method = iota + 1
	methodFail
	methodWait
	methodDeadline
)

// handler serves the test's methods.
func handler(ctx context.Context, peer honeyant.NodeID, m rpc.Method, req []byte) ([]byte, error) {
	switch m {
	case methodEcho:
		return bytes.Clone(req), nil
	case methodFail:
		return nil, honeyant.E("meta.Lookup", honeyant.NotExist, string(req), fmt.Errorf("asked by %v", peer))
	case methodWait:
		<-ctx.Done()
		return nil, ctx.Err()
	case methodDeadline:
		d, ok := ctx.Deadline()
		return []byte(fmt.Sprint(ok, time.Until(d).Round(time.Second))), nil
	}
	return nil, honeyant.E("test", honeyant.Unsupported, "", nil)
}

// colony is a world with a client on node 1 and a server on node 2.
type colony struct {
	world  *memnet.World
	client *rpc.Client
	stop   func()
}

func newColony(t *testing.T, h rpc.Handler, o rpc.Options) *colony {
	w := memnet.New()
	one := w.Node(1, "one:1")
	c := &colony{world: w}
	stopServer := c.serve(t, h, o)
	c.client = rpc.NewClient(one, func(id honeyant.NodeID) (string, bool) { return "two:1", id == 2 }, rpc.ProtoMeta, o)
	c.stop = func() {
		c.client.Close()
		stopServer()
	}
	return c
}

// serve makes node 2 (anew) and serves it.
func (c *colony) serve(t *testing.T, h rpc.Handler, o rpc.Options) (stop func()) {
	l := c.world.Node(2, "two:1").Listen(rpc.ProtoMeta)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := rpc.Serve(ctx, l, h, o); err != nil {
			t.Error(err)
		}
	}()
	return func() {
		cancel()
		<-done
	}
}

func TestCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newColony(t, handler, rpc.Options{})
		defer c.stop()
		ctx, cancel := context.WithTimeout(t.Context(), 7*time.Second)
		defer cancel()
		for _, size := range []int{0, 1, 100, 70_000, 4 << 20} {
			req := bytes.Repeat([]byte("x"), size)
			resp, err := c.client.Call(ctx, 2, methodEcho, req)
			if err != nil || !bytes.Equal(resp, req) {
				t.Fatalf("%d bytes: %d, %v", size, len(resp), err)
			}
		}
		if _, err := c.client.Call(ctx, 2, methodEcho, make([]byte, 4<<20+1)); !errors.Is(err, honeyant.Invalid) {
			t.Errorf("too large: %v", err)
		}
		resp, err := c.client.Call(ctx, 2, methodDeadline, nil)
		if err != nil || string(resp) != "true 7s" {
			t.Errorf("deadline at the handler: %s, %v", resp, err)
		}
		if resp, err = c.client.Call(t.Context(), 2, methodDeadline, nil); err != nil || !bytes.HasPrefix(resp, []byte("false")) {
			t.Errorf("no deadline at the handler: %s, %v", resp, err)
		}
	})
}

func TestErrorsCross(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newColony(t, handler, rpc.Options{})
		defer c.stop()
		_, err := c.client.Call(t.Context(), 2, methodFail, []byte("a.txt"))
		var e *honeyant.Error
		if !errors.As(err, &e) || e.Kind != honeyant.NotExist || e.Node != 2 || e.Op != "meta.Lookup" || e.Object != "a.txt" {
			t.Fatalf("%#v", err)
		}
		if want := "meta.Lookup: a.txt: on n2: does not exist: asked by n1"; err.Error() != want {
			t.Errorf("text %q, want %q", err, want)
		}
		for _, k := range honeyant.Kinds() {
			if got := rpc.DecodeError(rpc.EncodeError(honeyant.E("x", k, "", nil)), 3); honeyant.KindOf(got) != k {
				t.Errorf("%v came as %v", k, got)
			}
		}
	})
}

func TestLocalCallsStayLocal(t *testing.T) {
	w := memnet.New()
	c := rpc.NewClient(w.Node(1, "one:1"), func(honeyant.NodeID) (string, bool) { return "", false }, rpc.ProtoMeta,
		rpc.Options{Self: 1, Local: handler})
	defer c.Close()
	if resp, err := c.Call(t.Context(), 1, methodEcho, []byte("me")); err != nil || string(resp) != "me" {
		t.Fatal(resp, err)
	}
	if _, err := c.Call(t.Context(), 2, methodEcho, nil); !errors.Is(err, honeyant.Unavailable) {
		t.Errorf("unknown node: %v", err)
	}
}

func TestManyCallsShareOneConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var most, now atomic.Int32
		h := func(ctx context.Context, peer honeyant.NodeID, m rpc.Method, req []byte) ([]byte, error) {
			n := now.Add(1)
			defer now.Add(-1)
			for o := most.Load(); n > o && !most.CompareAndSwap(o, n); o = most.Load() {
			}
			time.Sleep(time.Duration(req[0]%7) * time.Millisecond)
			return bytes.Clone(req), nil
		}
		c := newColony(t, h, rpc.Options{Concurrency: 10})
		defer c.stop()
		var wg sync.WaitGroup
		for i := range 500 {
			wg.Go(func() {
				req := []byte(fmt.Sprintf("%c%d", i, i))
				if resp, err := c.client.Call(t.Context(), 2, methodEcho, req); err != nil || !bytes.Equal(resp, req) {
					t.Errorf("%d: %q, %v", i, resp, err)
				}
			})
		}
		wg.Wait()
		if most.Load() > 10 || most.Load() < 2 {
			t.Errorf("%d calls at once", most.Load())
		}
	})
}

func TestContextEndReachesHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan error, 1)
		h := func(ctx context.Context, _ honeyant.NodeID, _ rpc.Method, _ []byte) ([]byte, error) {
			<-ctx.Done()
			ended <- ctx.Err()
			return nil, ctx.Err()
		}
		c := newColony(t, h, rpc.Options{})
		defer c.stop()
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Minute, cancel) // pings keep the connection alive meanwhile
		_, err := c.client.Call(ctx, 2, methodWait, nil)
		if !errors.Is(err, honeyant.Unavailable) || !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Error("handler:", err)
		}
	})
}

// [R3] a black-holed peer is given up after Silence, and found again once it is back.
func TestBlackHole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newColony(t, handler, rpc.Options{})
		defer c.stop()
		call := func() (time.Duration, error) {
			start := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			_, err := c.client.Call(ctx, 2, methodEcho, []byte("hi"))
			return time.Since(start), err
		}
		if _, err := call(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour) // idle for long: no pings needed, nothing ends
		for name, cut := range map[string]func(){
			"both ways": func() { c.world.Cut(1, 2) }, "there": func() { c.world.CutOneWay(1, 2) }, "back": func() { c.world.CutOneWay(2, 1) },
		} {
			cut()
			if d, err := call(); !errors.Is(err, honeyant.Unavailable) || d < time.Second || d > 2600*time.Millisecond {
				t.Errorf("%s: %v after %v", name, err, d)
			}
			c.world.Heal(1, 2)
			time.Sleep(4 * time.Second)
			if _, err := call(); err != nil {
				t.Errorf("%s, healed: %v", name, err)
			}
		}
	})
}

func TestReconnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newColony(t, handler, rpc.Options{})
		defer c.stop()
		call := func() error {
			_, err := c.client.Call(t.Context(), 2, methodEcho, []byte("hi"))
			return err
		}
		if err := call(); err != nil {
			t.Fatal(err)
		}
		c.world.Kill(2)
		synctest.Wait()
		for range 5 {
			if err := call(); !errors.Is(err, honeyant.Unavailable) {
				t.Fatal("dead:", err)
			}
		}
		defer c.serve(t, handler, rpc.Options{})()
		time.Sleep(time.Second)
		if err := call(); err != nil {
			t.Fatal("reborn:", err)
		}
		c.world.Break(1, 2)
		synctest.Wait()
		if err := call(); err != nil {
			t.Fatal("after a break:", err)
		}
	})
}

func TestKillDuringCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newColony(t, handler, rpc.Options{})
		defer c.stop()
		time.AfterFunc(time.Minute, func() { c.world.Kill(2) })
		start := time.Now()
		_, err := c.client.Call(t.Context(), 2, methodWait, nil)
		if !errors.Is(err, honeyant.Unavailable) || time.Since(start) != time.Minute {
			t.Error(err, time.Since(start))
		}
	})
}

func TestCloseEndsCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newColony(t, handler, rpc.Options{})
		time.AfterFunc(time.Second, func() { c.client.Close() })
		if _, err := c.client.Call(t.Context(), 2, methodWait, nil); !errors.Is(err, honeyant.Unavailable) {
			t.Error(err)
		}
		c.stop()
		if _, err := c.client.Call(t.Context(), 2, methodEcho, nil); !errors.Is(err, honeyant.Unavailable) {
			t.Error(err)
		}
	})
}

// A peer that floods calls is told so, and goes on being served.
func TestOverload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := memnet.New()
		c := &colony{world: w}
		stop := c.serve(t, handler, rpc.Options{Concurrency: 1})
		defer stop()
		client := rpc.NewClient(w.Node(1, "one:1"), func(honeyant.NodeID) (string, bool) { return "two:1", true }, rpc.ProtoMeta, rpc.Options{})
		defer client.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() { client.Call(ctx, 2, methodWait, nil) })
		}
		synctest.Wait()
		if _, err := client.Call(ctx, 2, methodEcho, nil); !errors.Is(err, honeyant.Unavailable) || ctx.Err() != nil {
			t.Error("overload:", err)
		}
		wg.Wait()
		if _, err := client.Call(t.Context(), 2, methodEcho, nil); err != nil {
			t.Error("afterwards:", err)
		}
	})
}
