package rpc_test

import (
	"net"
	"testing"
	"time"

	"github.com/honeyant/honeyant/rpc"
	"github.com/honeyant/honeyant/rpc/rpctest"
)

// A stranger who opens connections and says nothing used to hold every handshake's place,
// for as long as a handshake may take, and no member came in.
func TestOneStrangerCanNotKeepMembersOut(t *testing.T) {
	a := must[*rpctest.Authority](t)(rpctest.NewAuthority())
	one := network(t, a, 1, rpc.Options{Handshake: time.Minute})
	two := network(t, a, 2, rpc.Options{})
	stranger := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 9)}}
	for range 200 {
		c, err := stranger.DialContext(shortCtx(t), "tcp", one.Addr())
		if err != nil {
			t.Skip("no second address on this machine:", err)
		}
		defer c.Close()
	}
	// connections are accepted in the order in which they came: the member's is last
	near, far := meet(t, two, one, rpc.ProtoMeta)
	near.Close()
	far.Close()
}

// Rule 33: a wrong clock, here or where the certificate was made, locks no member out: the
// member list decides. A removed node stays out, whatever its dates.
func TestAWrongClockLocksNobodyOut(t *testing.T) {
	const year = 365 * 24 * time.Hour
	a := must[*rpctest.Authority](t)(rpctest.NewAuthority())
	two := network(t, a, 2, rpc.Options{})
	for name, begin := range map[string]time.Duration{"11 years ahead": -11 * year, "11 years behind": 11 * year} {
		t.Run(name, func(t *testing.T) {
			from := time.Now().Add(begin)
			m := must[*rpctest.Member](t)(a.MemberDated(1, from, from.Add(10*year)))
			one := rpc.NewTLS(must[net.Listener](t)(net.Listen("tcp", "127.0.0.1:0")), m, rpc.Options{})
			defer one.Close()
			for _, way := range [][2]*rpc.TLS{{one, two}, {two, one}} {
				near, far := meet(t, way[0], way[1], rpc.ProtoMeta)
				near.Close()
				far.Close()
			}
		})
	}
	from := time.Now().Add(-11 * year)
	m := must[*rpctest.Member](t)(a.MemberDated(3, from, from.Add(10*year)))
	gone := rpc.NewTLS(must[net.Listener](t)(net.Listen("tcp", "127.0.0.1:0")), m, rpc.Options{})
	defer gone.Close()
	a.Remove(3)
	l := two.Listen(rpc.ProtoMeta)
	defer l.Close()
	if c, err := gone.Dial(shortCtx(t), two.Addr(), 2, rpc.ProtoMeta); err == nil {
		c.SetReadDeadline(time.Now().Add(5 * time.Second))
		if _, err := c.Read(make([]byte, 1)); err == nil {
			t.Error("a removed node came in")
		}
		c.Close()
	}
}

// meet is join that gives up if the far end refuses what the near end took for done.
func meet(t *testing.T, from, to *rpc.TLS, p rpc.Proto) (near, far rpc.Conn) {
	t.Helper()
	l := to.Listen(p)
	defer l.Close()
	near = must[rpc.Conn](t)(from.Dial(shortCtx(t), to.Addr(), 0, p))
	late := time.AfterFunc(5*time.Second, func() { l.Close() })
	defer late.Stop()
	return near, must[rpc.Conn](t)(l.Accept())
}
