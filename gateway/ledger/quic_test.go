package ledger_test

import (
	"context"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/honeyant/honeyant/gateway/code"
	"github.com/honeyant/honeyant/gateway/ledger"
)

// quicSocket plays a UDP socket on port 443 and its clients.
type quicSocket struct {
	*ledger.QUIC
	t      *testing.T
	ledger *ledger.Ledger
	mu     sync.Mutex     // guards the rest; what reads it has waited for all that writes
	ended  []ledger.Entry // connections
	fired  []ledger.Name
}

func newQUICSocket(t *testing.T) *quicSocket {
	s := &quicSocket{t: t, ledger: ledger.New(0)}
	s.ledger.Observe(ledger.Observer{
		Ended: func(e ledger.Entry) {
			s.mu.Lock()
			defer s.mu.Unlock()
			if e.Kind == ledger.Connection {
				s.ended = append(s.ended, e)
			}
		},
		Fired: func(_ ledger.Entry, why *ledger.Ending) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.fired = append(s.fired, why.Name)
		},
	})
	s.QUIC = s.ledger.FollowQUIC(&net.UDPAddr{IP: net.IPv6unspecified, Port: 443}, ledger.Limits{}.Or(ledger.Defaults()))
	t.Cleanup(s.Close)
	return s
}

func client(port int) *net.UDPAddr {
	return &net.UDPAddr{IP: net.IPv4(192, 0, 2, byte(1+port>>16)), Port: port & 0xffff}
}

// long is a datagram of version 1 that begins with a packet of the kind given.
func long(kind byte, dst, src string) []byte {
	p := append([]byte{0xc0 | kind<<4, 0, 0, 0, 1, byte(len(dst))}, dst...)
	p = append(append(p, byte(len(src))), src...)
	return append(p, make([]byte, 1200-len(p))...)
}

func short(dst string) []byte { return append(append([]byte{0x40}, dst...), make([]byte, 95)...) }

// live lists the connections.
func (s *quicSocket) live() []ledger.Entry {
	return s.ledger.List(ledger.Filter{Kind: ledger.Connection})
}

// one is the only connection.
func (s *quicSocket) one() ledger.Entry {
	s.t.Helper()
	all := s.live()
	if len(all) != 1 {
		s.t.Fatalf("%d connections: %+v", len(all), all)
	}
	return all[0]
}

// connect shakes hands: the client's ID in its first packet is "first"+id, the server's is id.
func (s *quicSocket) connect(from *net.UDPAddr, id string) (known *net.UDPAddr) {
	s.t.Helper()
	known = s.Received(long(0, "first"+id, ""), from)
	s.Sent(long(0, "", id), known)
	s.Received(long(2, id, ""), from)
	s.Received(short(id), from)
	return known
}

// request begins a request over HTTP/3.
func (s *quicSocket) request(known *net.UDPAddr) (*ledger.Conn, *ledger.Req, context.Context) {
	conn := s.ledger.QUICConn(&net.UDPAddr{IP: net.IPv4(192, 0, 2, 200), Port: 443}, known, true)
	req, ctx := s.ledger.Begin(context.Background(), ledger.About{Client: known.String(), Conn: conn, Limits: ledger.Defaults()})
	conn.Begin(ledger.Defaults(), nil, true)
	return conn, req, ctx
}

func TestQUICConnectionsGoThroughTheirPhases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newQUICSocket(t)
		known := s.Received(long(0, "firstAAAA", ""), client(1))
		if e := s.one(); e.Phase != ledger.ClientTLS || e.Deadline == nil || e.Deadline.Name != "client_tls" || e.Client != "192.0.2.1:1" || e.Proto != "QUIC" {
			t.Errorf("shaking hands: %+v", e)
		}
		s.Sent(long(0, "", "AAAA"), known)
		s.Received(short("BBBB"), client(1))
		if e := s.one(); e.Phase != ledger.ClientTLS {
			t.Errorf("who has shown none of our IDs is in phase %s", e.Phase)
		}
		if again := s.Received(long(2, "AAAA", ""), client(1)); again != known {
			t.Errorf("known as %p, then as %p", known, again)
		}
		s.Received(short("BBBB"), client(1)) // an ID that was given out encrypted
		e := s.one()
		if e.Phase != ledger.Idle || e.Deadline == nil || e.Deadline.Name != "client_idle" {
			t.Errorf("the handshake is over: %+v", e)
		}
		if e.InBytes != 2*1200+2*100 || e.OutBytes != 1200 {
			t.Errorf("%d bytes in, %d out", e.InBytes, e.OutBytes)
		}
		conn, req, _ := s.request(known)
		other, second, _ := s.request(known)
		if e := s.one(); e.Phase != ledger.Active || e.Requests != 2 || other != conn || conn.ID() != e.ID {
			t.Errorf("with requests: %+v", e)
		}
		for _, r := range s.ledger.List(ledger.Filter{Kind: ledger.Request}) {
			if r.Conn != e.ID {
				t.Errorf("a request is of connection %s, want %s", r.Conn, e.ID)
			}
		}
		req.End(ledger.Outcome{})
		conn.Done()
		if e := s.one(); e.Phase != ledger.Active {
			t.Errorf("with one request left: %s", e.Phase)
		}
		second.End(ledger.Outcome{})
		conn.Done()
		for range 5 { // a client that keeps the connection alive, but asks nothing
			time.Sleep(11 * time.Second)
			s.Received(short("BBBB"), client(1))
		}
		if e := s.one(); e.Phase != ledger.Idle {
			t.Errorf("after them: %s", e.Phase)
		}
		time.Sleep(6 * time.Second)
		synctest.Wait()
		if left := s.live(); len(left) != 0 || len(s.fired) != 1 || s.fired[0] != ledger.LimitClientIdle {
			t.Errorf("left %+v, fired %v", left, s.fired)
		}
	})
}

func TestQUICHandshakeHasALimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newQUICSocket(t)
		s.Received(long(0, "firstAAAA", ""), client(1))
		time.Sleep(ledger.Defaults().ClientTLS)
		synctest.Wait()
		if left := s.live(); len(left) != 0 || len(s.fired) != 1 || s.fired[0] != ledger.LimitClientTLS || s.ended[0].Done.Code != string(code.ClientTLS) {
			t.Errorf("left %+v, fired %v, ended %+v", left, s.fired, s.ended)
		}
	})
}

// What is no beginning of a connection makes no entry, and goes to the server as it is.
func TestQUICEntersOnlyConnections(t *testing.T) {
	s := newQUICSocket(t)
	unknown := long(0, "firstAAAA", "")
	unknown[4] = 77
	for name, p := range map[string][]byte{
		"short": short("AAAA"), "handshake": long(2, "firstAAAA", ""), "0-RTT": long(1, "firstAAAA", ""), "too small": long(0, "firstAAAA", "")[:1199],
		"short ID": long(0, "AAAA", ""), "other version": unknown, "other": {1, 2, 3}, "cut": {0xc0, 0, 0, 0, 1, 20, 1}, "empty": {},
	} {
		if from := client(1); s.Received(p, from) != from {
			t.Errorf("%s is not handed on", name)
		}
	}
	if all := s.live(); len(all) != 0 {
		t.Errorf("entered: %+v", all)
	}
	second := long(1, "firstAAAA", "") // the first kind of version 2 (RFC 9369)
	copy(second[1:], []byte{0x6b, 0x33, 0x43, 0xcf})
	s.Received(second, client(1))
	s.one()
}

// A connection is over when QUIC itself has given it up, but not while its requests run: they
// may go on from an address that is not known.
func TestQUICConnectionEndsWhenNothingComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newQUICSocket(t)
		conn, req, _ := s.request(s.connect(client(1), "AAAA"))
		time.Sleep(40 * time.Second)
		if e := s.one(); e.Phase != ledger.Active {
			t.Errorf("with a request: %s", e.Phase)
		}
		req.End(ledger.Outcome{})
		conn.Done()
		time.Sleep(30 * time.Second)
		synctest.Wait()
		if left := s.live(); len(left) != 0 || len(s.fired) != 0 || len(s.ended) != 1 || s.ended[0].Done.By != "client" || s.ended[0].Done.Code != "" {
			t.Errorf("left %+v, fired %v, ended %+v", left, s.fired, s.ended)
		}
	})
}

func TestKilledQUICConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newQUICSocket(t)
		known := s.connect(client(1), "AAAA")
		_, _, ctx := s.request(known)
		id := s.one().ID
		if _, err := s.ledger.Kill(id, ""); err != nil {
			t.Fatal(err)
		}
		if why := ledger.EndingOf(context.Cause(ctx)); why == nil || why.Code != code.ClientKilled {
			t.Errorf("its request has %v", context.Cause(ctx))
		}
		if left := s.live(); len(left) != 0 || len(s.ended) != 1 || s.ended[0].Done.Code != string(code.ClientKilled) {
			t.Errorf("left %+v, ended %+v", left, s.ended)
		}
		if s.Received(short("AAAA"), client(1)) == nil {
			t.Error("the client could not learn of it")
		}
		if _, _, ctx := s.request(known); ctx.Err() == nil {
			t.Error("a request began on a killed connection")
		}
		time.Sleep(ledger.Defaults().Close + 1)
		for range 4 {
			if s.Received(short("AAAA"), client(1)) != nil || s.Received(short("BBBB"), client(1)) != nil {
				t.Error("what the client of a killed connection sends passes")
			}
			time.Sleep(20 * time.Second)
			s.Sent(make([]byte, 50), known) // the server tries again
		}
		// The same client may connect again.
		s.connect(client(1), "CCCC")
		if e := s.one(); e.ID == id || e.Phase != ledger.Idle {
			t.Errorf("connected again: %+v", e)
		}
		if s.Received(short("DDDD"), client(1)) == nil || s.Received(short("AAAA"), client(1)) != nil {
			t.Error("the killed connection is taken for the new one, or the other way round")
		}
		if e := s.one(); e.InBytes != 2*1200+2*100 {
			t.Errorf("%d bytes in", e.InBytes)
		}
	})
}

// Two connections from one address are told apart by their IDs; one is known from another
// address by an ID of ours.
func TestQUICConnectionsAreKnownByTheirIDs(t *testing.T) {
	s := newQUICSocket(t)
	first, second := s.connect(client(1), "AAAA"), s.connect(client(1), "BBBB")
	a, _, _ := s.request(first)
	b, _, _ := s.request(second)
	if a == b {
		t.Fatal("both are one")
	}
	in := func(c *ledger.Conn) int64 {
		e, err := s.ledger.Get(c.ID())
		if err != nil {
			t.Fatal(err)
		}
		return e.InBytes
	}
	was := in(a)
	s.Received(short("AAAA"), client(1))
	for range 2 { // the second is found by its address alone
		moved := client(2)
		if got := s.Received(short("AAAA"), moved); got != moved {
			t.Errorf("the server is not told of the new address, but of %v", got)
		}
	}
	s.Received(short("ZZZZ"), client(2))
	if got := in(a) - was; got != 4*100 {
		t.Errorf("%d bytes came for the one that moved", got)
	}
	if all := s.live(); len(all) != 2 {
		t.Errorf("%d connections", len(all))
	}
	s.Close()
	if all := s.live(); len(all) != 0 {
		t.Errorf("left after the socket was closed: %+v", all)
	}
}

// Addresses that are made up crowd each other out, not those that were proven. A connection
// that was crowded out is entered again with its first request.
func TestQUICFloodIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newQUICSocket(t)
		proven := s.connect(client(1), "AAAA")
		late := s.Received(long(0, "firstBBBB", ""), client(2))
		most := 0
		for i := range 20_000 {
			s.Received(long(0, string([]byte{'f', 'l', 'o', 'o', 'd', byte(i), byte(i >> 8), 0}), ""), client(3+i))
			if i%1000 == 0 {
				most = max(most, len(s.live()))
			}
		}
		if most = max(most, len(s.live())); most > 1100 || len(s.fired) != 0 {
			t.Errorf("%d connections, fired %v", most, s.fired)
		}
		if s.ledger.QUICConn(&net.UDPAddr{IP: net.IPv6loopback, Port: 443}, late, false) != nil {
			t.Error("a request of 0-RTT entered a connection")
		}
		conn, _, _ := s.request(late)
		again, _, _ := s.request(late)
		if e, err := s.ledger.Get(conn.ID()); err != nil || e.Phase != ledger.Active || e.Client != "192.0.2.1:2" || again != conn {
			t.Errorf("one that was crowded out: %+v, %v", e, err)
		}
		if e, _, _ := s.request(proven); e.Served() != 1 {
			t.Error("one that was proven was crowded out")
		}
		time.Sleep(ledger.Defaults().ClientTLS)
		synctest.Wait()
		if left := s.live(); len(left) != 2 {
			t.Errorf("%d connections are left", len(left))
		}
	})
}
