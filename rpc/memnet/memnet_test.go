package memnet_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/rpc"
	"github.com/honeyant/honeyant/rpc/memnet"
)

// two makes nodes 1 and 2 and a connection from 1 to 2.
func two(t *testing.T) (w *memnet.World, near, far rpc.Conn) {
	t.Helper()
	w = memnet.New()
	a, b := w.Node(1, "one:1"), w.Node(2, "two:1")
	l := b.Listen(rpc.ProtoMeta)
	near, err := a.Dial(t.Context(), b.Addr(), 2, rpc.ProtoMeta)
	if err != nil {
		t.Fatal(err)
	}
	far, err = l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if near.Peer() != 2 || far.Peer() != 1 {
		t.Fatalf("peers %v, %v", near.Peer(), far.Peer())
	}
	return w, near, far
}

func mustWrite(t *testing.T, c rpc.Conn, s string) {
	t.Helper()
	if _, err := io.WriteString(c, s); err != nil {
		t.Fatal(err)
	}
}

func mustRead(t *testing.T, c rpc.Conn, want string) {
	t.Helper()
	b := make([]byte, len(want))
	if _, err := io.ReadFull(c, b); err != nil || string(b) != want {
		t.Fatalf("read %q, %v; want %q", b, err, want)
	}
}

func TestCutHoldsAndHealDelivers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, near, far := two(t)
		w.Cut(1, 2)
		mustWrite(t, near, "held")
		far.SetReadDeadline(time.Now().Add(time.Minute))
		start := time.Now()
		if _, err := far.Read(make([]byte, 4)); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != time.Minute {
			t.Fatalf("a cut link let %v after %v", err, time.Since(start))
		}
		far.SetReadDeadline(time.Time{})
		time.AfterFunc(time.Hour, func() { w.Heal(1, 2) })
		mustRead(t, far, "held")
		if d := time.Since(start); d != time.Minute+time.Hour {
			t.Errorf("arrived after %v", d)
		}
	})
}

func TestFullWindowBlocksUntilDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, near, _ := two(t)
		w.Cut(1, 2)
		near.SetWriteDeadline(time.Now().Add(3 * time.Second))
		start := time.Now()
		n, err := near.Write(make([]byte, 1<<20))
		if !errors.Is(err, os.ErrDeadlineExceeded) || n == 0 || n >= 1<<20 || time.Since(start) != 3*time.Second {
			t.Fatalf("wrote %d, %v after %v", n, err, time.Since(start))
		}
	})
}

func TestDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, near, far := two(t)
		w.Delay(1, 2, 30*time.Millisecond)
		start := time.Now()
		mustWrite(t, near, "late")
		mustRead(t, far, "late")
		mustWrite(t, far, "back") // the other way is not slow
		mustRead(t, near, "back")
		if d := time.Since(start); d != 30*time.Millisecond {
			t.Errorf("took %v", d)
		}
	})
}

func TestOneWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, near, far := two(t)
		w.CutOneWay(1, 2)
		mustWrite(t, far, "hear me")
		mustRead(t, near, "hear me")
		mustWrite(t, near, "x")
		far.SetReadDeadline(time.Now().Add(time.Second))
		if _, err := far.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal(err)
		}
	})
}

func TestEnds(t *testing.T) {
	for name, tc := range map[string]struct {
		end  func(*memnet.World, rpc.Conn)
		want func(error) bool
	}{
		"close":     {func(_ *memnet.World, far rpc.Conn) { far.Close() }, func(err error) bool { return err == io.EOF }},
		"kill":      {func(w *memnet.World, _ rpc.Conn) { w.Kill(2) }, isReset},
		"break":     {func(w *memnet.World, _ rpc.Conn) { w.Break(1, 2) }, isReset},
		"reset":     {func(w *memnet.World, _ rpc.Conn) { w.Reset(1, 2) }, isReset},
		"power off": {func(w *memnet.World, _ rpc.Conn) { w.PowerOff(2) }, func(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }},
		"own kill":  {func(w *memnet.World, _ rpc.Conn) { w.Kill(1) }, func(err error) bool { return errors.Is(err, net.ErrClosed) }},
		"killed behind a cut": {func(w *memnet.World, _ rpc.Conn) { w.Cut(1, 2); w.Kill(2) },
			func(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }},
		"reborn after power off": {func(w *memnet.World, _ rpc.Conn) { w.PowerOff(2); w.Node(2, "two:1") }, isReset},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, near, far := two(t)
				near.SetReadDeadline(time.Now().Add(time.Minute))
				time.AfterFunc(time.Second, func() { tc.end(w, far) })
				if _, err := near.Read(make([]byte, 1)); !tc.want(err) {
					t.Errorf("read ended with %v", err)
				}
			})
		})
	}
}

func isReset(err error) bool {
	return err != nil && err != io.EOF && !errors.Is(err, os.ErrDeadlineExceeded)
}

func TestDial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := memnet.New()
		a, b := w.Node(1, "one:1"), w.Node(2, "two:1")
		l := b.Listen(rpc.ProtoMeta)
		dial := func(addr string, node honeyant.NodeID, p rpc.Proto) error {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			c, err := a.Dial(ctx, addr, node, p)
			if err == nil {
				c.Close()
			}
			return err
		}
		check := func(name string, err error, want honeyant.Kind) {
			t.Helper()
			if honeyant.KindOf(err) != want {
				t.Errorf("%s: %v, want %v", name, err, want)
			}
		}
		check("good", dial("two:1", 2, rpc.ProtoMeta), honeyant.Other)
		check("any", dial("two:1", 0, rpc.ProtoMeta), honeyant.Other)
		check("wrong node", dial("two:1", 3, rpc.ProtoMeta), honeyant.Permission)
		check("no such address", dial("x:1", 2, rpc.ProtoMeta), honeyant.Unavailable)
		check("not served", dial("two:1", 2, rpc.ProtoRaft), honeyant.Unavailable)
		w.CutOneWay(2, 1)
		start := time.Now()
		check("cut", dial("two:1", 2, rpc.ProtoMeta), honeyant.Unavailable)
		if time.Since(start) != time.Second {
			t.Errorf("a cut dial took %v", time.Since(start))
		}
		w.Heal(1, 2)
		check("healed", dial("two:1", 2, rpc.ProtoMeta), honeyant.Other)
		w.Reset(1, 2)
		check("reset", dial("two:1", 2, rpc.ProtoMeta), honeyant.Unavailable)
		w.HealAll()
		l.Close()
		if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("accept on a closed listener: %v", err)
		}
		check("closed listener", dial("two:1", 2, rpc.ProtoMeta), honeyant.Unavailable)
	})
}
