package rpc_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/url"
	"testing"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/rpc"
	"github.com/honeyant/honeyant/rpc/rpctest"
)

// must fails the test on an error.
func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// network is node's TLS network, closed with the test.
func network(t testing.TB, a *rpctest.Authority, node honeyant.NodeID, o rpc.Options) *rpc.TLS {
	n := must[*rpc.TLS](t)(a.Listen(node, o))
	t.Cleanup(func() { n.Close() })
	return n
}

func shortCtx(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// join connects the two and returns both ends.
func join(t testing.TB, from, to *rpc.TLS, p rpc.Proto) (near, far rpc.Conn) {
	l := to.Listen(p)
	defer l.Close()
	near = must[rpc.Conn](t)(from.Dial(shortCtx(t), to.Addr(), 0, p))
	return near, must[rpc.Conn](t)(l.Accept())
}

func TestTLSConnects(t *testing.T) {
	a := must[*rpctest.Authority](t)(rpctest.NewAuthority())
	one, two := network(t, a, 1, rpc.Options{}), network(t, a, 2, rpc.Options{})
	for _, p := range []rpc.Proto{rpc.ProtoMeta, rpc.ProtoChunk} {
		near, far := join(t, one, two, p)
		if near.Peer() != 2 || far.Peer() != 1 {
			t.Fatalf("%s: peers %v, %v", p, near.Peer(), far.Peer())
		}
		for _, size := range []int{1, 16 << 10, 16<<10 + 1, 64 << 10, 128 << 10, 1 << 20} {
			data := bytes.Repeat([]byte("0123456"), size/7+1)[:size]
			go near.Write(data)
			got := make([]byte, size)
			if _, err := io.ReadFull(far, got); err != nil || !bytes.Equal(got, data) {
				t.Fatalf("%s, %d bytes: %v", p, size, err)
			}
		}
		near.Close()
		if _, err := far.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("after close: %v", err)
		}
	}
}

func TestTLSRefuses(t *testing.T) {
	a, other := must[*rpctest.Authority](t)(rpctest.NewAuthority()), must[*rpctest.Authority](t)(rpctest.NewAuthority())
	two := network(t, a, 2, rpc.Options{})
	l := two.Listen(rpc.ProtoMeta)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Write([]byte("in")) // whoever reads this was let in
		}
	}()
	a.Remove(9)
	as := func(creds rpc.Credentials, err error) *rpc.TLS {
		if err != nil {
			t.Fatal(err)
		}
		n := rpc.NewTLS(must[net.Listener](t)(net.Listen("tcp", "127.0.0.1:0")), creds, rpc.Options{})
		t.Cleanup(func() { n.Close() })
		return n
	}
	noURI := func() (rpc.Credentials, error) { return a.MemberAs(1) }
	twoURIs := func() (rpc.Credentials, error) {
		return a.MemberAs(1, rpc.NodeURI("test", 1), rpc.NodeURI("test", 2))
	}
	badURI := func() (rpc.Credentials, error) {
		return a.MemberAs(1, &url.URL{Scheme: "honeyant", Host: "test", Path: "/node/x"})
	}
	for name, tc := range map[string]struct {
		from *rpc.TLS
		node honeyant.NodeID
		p    rpc.Proto
		want honeyant.Kind
	}{
		"good":              {network(t, a, 1, rpc.Options{}), 2, rpc.ProtoMeta, honeyant.Other},
		"wrong node":        {network(t, a, 1, rpc.Options{}), 3, rpc.ProtoMeta, honeyant.Permission},
		"other CA":          {network(t, other, 1, rpc.Options{}), 2, rpc.ProtoMeta, honeyant.Permission},
		"removed node":      {network(t, a, 9, rpc.Options{}), 2, rpc.ProtoMeta, honeyant.Unavailable},
		"no node in cert":   {as(noURI()), 2, rpc.ProtoMeta, honeyant.Unavailable},
		"two nodes in cert": {as(twoURIs()), 2, rpc.ProtoMeta, honeyant.Unavailable},
		"bad node in cert":  {as(badURI()), 2, rpc.ProtoMeta, honeyant.Unavailable},
		"not served":        {network(t, a, 1, rpc.Options{}), 2, rpc.ProtoRaft, honeyant.Unavailable},
		"http":              {network(t, a, 1, rpc.Options{}), 2, "http/1.1", honeyant.Unavailable},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := tc.from.Dial(shortCtx(t), two.Addr(), tc.node, tc.p)
			if err == nil { // TLS 1.3 tells a client of the server's refusal only when it reads
				defer c.Close()
				if _, err = io.ReadFull(c, make([]byte, 2)); err != nil {
					err = honeyant.E("read", honeyant.Unavailable, "", err)
				}
			}
			if honeyant.KindOf(err) != tc.want {
				t.Errorf("%v, want %v", err, tc.want)
			}
		})
	}
}

// A stranger without certificate gets nowhere but to ProtoJoin.
func TestStranger(t *testing.T) {
	a := must[*rpctest.Authority](t)(rpctest.NewAuthority())
	n := network(t, a, 1, rpc.Options{})
	l, join := n.Listen(rpc.ProtoMeta), n.Listen(rpc.ProtoJoin)
	defer l.Close()
	dial := func(alpn ...string) error {
		c, err := tls.Dial("tcp", n.Addr(), &tls.Config{InsecureSkipVerify: true, NextProtos: alpn})
		if err != nil {
			return err
		}
		defer c.Close()
		c.SetReadDeadline(time.Now().Add(5 * time.Second))
		_, err = c.Read(make([]byte, 1))
		return err
	}
	for _, alpn := range [][]string{nil, {"http/1.1"}, {"h2"}, {string(rpc.ProtoMeta)}, {string(rpc.ProtoMeta), string(rpc.ProtoJoin)}} {
		var timeout net.Error
		if err := dial(alpn...); err == nil || errors.As(err, &timeout) && timeout.Timeout() {
			t.Errorf("ALPN %v: %v", alpn, err)
		}
	}
	go func() {
		if c, err := join.Accept(); err == nil {
			c.Write([]byte{byte(c.Peer())})
		}
	}()
	c, ca, err := rpc.DialJoin(shortCtx(t), n.Addr(), sha256.Sum256(a.Cert.Raw))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	b := []byte{99}
	if _, err := io.ReadFull(c, b); err != nil || b[0] != 0 || c.Peer() != 1 || !ca.Equal(a.Cert) {
		t.Errorf("read %v, %v; peer %v", b, err, c.Peer())
	}
	if _, _, err := rpc.DialJoin(shortCtx(t), n.Addr(), sha256.Sum256([]byte("another"))); !errors.Is(err, honeyant.Permission) {
		t.Errorf("another cluster's token: %v", err)
	}
}

// [R2]
func TestRecheckCutsRemovedNodes(t *testing.T) {
	a := must[*rpctest.Authority](t)(rpctest.NewAuthority())
	one, two, three := network(t, a, 1, rpc.Options{}), network(t, a, 2, rpc.Options{}), network(t, a, 3, rpc.Options{})
	_, from1 := join(t, one, two, rpc.ProtoMeta)
	_, from3 := join(t, three, two, rpc.ProtoMeta)
	to1, _ := join(t, two, one, rpc.ProtoChunk)
	a.Remove(1)
	two.Recheck()
	for name, c := range map[string]rpc.Conn{"incoming": from1, "outgoing": to1} {
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	from3.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
	var timeout net.Error
	if _, err := from3.Read(make([]byte, 1)); !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("a member was cut: %v", err)
	}
}

// [R3] a client that says nothing does not hold its place.
func TestHandshakeDeadline(t *testing.T) {
	a := must[*rpctest.Authority](t)(rpctest.NewAuthority())
	n := network(t, a, 1, rpc.Options{Handshake: 50 * time.Millisecond})
	c := must[net.Conn](t)(net.Dial("tcp", n.Addr()))
	defer c.Close()
	c.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := c.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("silent client: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	mute := must[net.Listener](t)(net.Listen("tcp", "127.0.0.1:0"))
	defer mute.Close()
	if _, err := n.Dial(ctx, mute.Addr().String(), 2, rpc.ProtoMeta); !errors.Is(err, honeyant.Unavailable) {
		t.Errorf("silent server: %v", err)
	}
}

func TestTLSClose(t *testing.T) {
	a := must[*rpctest.Authority](t)(rpctest.NewAuthority())
	one, two := network(t, a, 1, rpc.Options{}), network(t, a, 2, rpc.Options{})
	near, _ := join(t, one, two, rpc.ProtoMeta)
	l := two.Listen(rpc.ProtoMeta)
	two.Close()
	two.Close()
	if _, err := near.Read(make([]byte, 1)); err == nil {
		t.Error("the connection outlived its network")
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("accept: %v", err)
	}
	if _, err := two.Dial(shortCtx(t), one.Addr(), 1, rpc.ProtoMeta); !errors.Is(err, honeyant.Unavailable) {
		t.Errorf("dial: %v", err)
	}
	if l := two.Listen(rpc.ProtoRaft); l == nil {
		t.Error("no listener")
	} else if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("late listener: %v", err)
	}
}

func tlsClient(t testing.TB) *rpc.Client {
	a := must[*rpctest.Authority](t)(rpctest.NewAuthority())
	one, two := network(t, a, 1, rpc.Options{}), network(t, a, 2, rpc.Options{})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	l := two.Listen(rpc.ProtoMeta)
	go func() { done <- rpc.Serve(ctx, l, handler, rpc.Options{}) }()
	c := rpc.NewClient(one, func(honeyant.NodeID) (string, bool) { return two.Addr(), true }, rpc.ProtoMeta, rpc.Options{})
	t.Cleanup(func() {
		c.Close()
		cancel()
		<-done
	})
	return c
}

func TestCallOverTLS(t *testing.T) {
	c := tlsClient(t)
	for _, size := range []int{1, 100_000, 4 << 20} {
		req := bytes.Repeat([]byte("x"), size)
		if resp, err := c.Call(shortCtx(t), 2, methodEcho, req); err != nil || !bytes.Equal(resp, req) {
			t.Fatalf("%d bytes: %d, %v", size, len(resp), err)
		}
	}
}

func BenchmarkCall(b *testing.B) {
	req := bytes.Repeat([]byte("x"), 200)
	b.Run("1", func(b *testing.B) {
		c := tlsClient(b)
		b.ReportAllocs()
		for b.Loop() {
			must[[]byte](b)(c.Call(b.Context(), 2, methodEcho, req))
		}
	})
	b.Run("32", func(b *testing.B) {
		c := tlsClient(b)
		b.ReportAllocs()
		b.SetParallelism(16)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				must[[]byte](b)(c.Call(b.Context(), 2, methodEcho, req))
			}
		})
	})
}
