package ledger

import (
	"container/list"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// QUIC follows the QUIC connections of one UDP socket by the datagrams that pass, which it can
// not read: it knows the first datagram of a connection, the IDs that the server shows in long
// headers, and the addresses of clients.
//
// A datagram belongs to the connection whose ID it bears. Later IDs are given out encrypted, so
// that a datagram with an unknown one belongs to the newest connection from its address that was
// not ended. Of several from one address the bytes may therefore be counted for another, and what
// comes for one that was ended may still pass; requests are always told apart. A client that
// changes address and ID at once is lost: its bytes are no longer counted, and its entry stays as
// long as its requests run.
//
// The handshake is over with the first short header from a client that has shown an ID of ours:
// only who gets our datagrams knows one. Addresses that have not shown any may be made up; at
// most quicUnproven of them are kept, the oldest is crowded out. Its connection goes on, and is
// entered again with its first request.
//
// The end of a connection is encrypted, too. It is over when nothing passed for quicIdle.
//
// When one is ended by a limit or an operator, its requests are reset, and those that still
// begin on it. What the client sends passes for the limit close, so that it learns that, and is
// dropped from then on; what the server sends passes, since it is no more than probes and
// perhaps a farewell. The client finds its connection dead when its own idle time is over.
type QUIC struct {
	ledger *Ledger
	local  netip.AddrPort
	limits Limits

	mu     sync.Mutex // guards the rest and all flows; taken before Conn.mu and Ledger.mu
	closed bool
	idSize int // of the server's IDs; 0 until one was seen
	ids    map[quicID]quicRoute
	addrs  map[*net.UDPAddr]*flow
	peers  map[netip.AddrPort][]*flow // oldest first

	unproven *list.List // of *flow, oldest first
}

// quicIdle is how long quic-go keeps a connection on which nothing happens: the default of its
// MaxIdleTimeout, which Caddy leaves. A client may ask for less.
const quicIdle = 30 * time.Second

// quicUnproven is how many connections from addresses that may be made up are kept. quic-go has
// addresses proven before it keeps anything itself from a rate of 1000 a second on.
const quicUnproven = 1024

// The least sizes that a server takes a new connection with (RFC 9000 sections 14.1 and 7.2).
const (
	quicLeastInitial = 1200
	quicLeastID      = 8
)

// quicRoute is where datagrams with an ID go.
type quicRoute struct {
	*flow
	ours bool // the server made the ID
}

// flow is a QUIC connection. For its Conn it is a net.Conn that nobody reads or writes: the
// bytes are told of.
type flow struct {
	net.Conn
	quic   *QUIC
	conn   *Conn
	addr   *net.UDPAddr   // what the server knows the client by; it is this one's alone
	peer   netip.AddrPort // the same
	moved  netip.AddrPort // where it came from last, if that is another
	ids    []quicID
	proven bool
	waits  *list.Element // in unproven
	last   time.Time     // when a datagram passed
	ended  bool
	until  time.Time // what comes still passes, once ended
	timer  *time.Timer
}

// FollowQUIC begins to follow the connections of a socket. Until their first request they have
// the limits given, afterwards those of their last request's route.
func (l *Ledger) FollowQUIC(local net.Addr, limits Limits) *QUIC {
	q := &QUIC{ledger: l, limits: limits, ids: map[quicID]quicRoute{}, addrs: map[*net.UDPAddr]*flow{}, peers: map[netip.AddrPort][]*flow{}, unproven: list.New()}
	if a, ok := local.(*net.UDPAddr); ok {
		q.local = plain(a)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.quics = append(l.quics, q)
	return q
}

// plain is an address without the difference between IPv4 and IPv4 in IPv6.
func plain(a *net.UDPAddr) netip.AddrPort {
	ap := a.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

// QUICConn finds the connection of a request that came to local from peer, which must be the
// very address that Received answered. shaken says that the handshake is over: it is not for a
// request of 0-RTT, which may be repeated by somebody else. If it is, a connection that is not
// known (any more) is entered again. It answers nil if there is none, or the socket is not
// followed.
func (l *Ledger) QUICConn(local, peer *net.UDPAddr, shaken bool) *Conn {
	l.mu.Lock()
	quics := slices.Clone(l.quics)
	l.mu.Unlock()
	for _, q := range quics {
		if c := q.of(peer, shaken, false); c != nil {
			return c
		}
	}
	at := plain(local)
	for _, q := range quics {
		if shaken && q.local.Port() == at.Port() && (q.local.Addr() == at.Addr() || q.local.Addr().IsUnspecified()) {
			return q.of(peer, true, true)
		}
	}
	return nil
}

// of answers the connection of an address, which is proven if the handshake is over. If it is not
// known it may be entered.
func (q *QUIC) of(peer *net.UDPAddr, shaken, enter bool) *Conn {
	q.mu.Lock()
	defer q.mu.Unlock()
	f := q.addrs[peer]
	if f == nil && enter && !q.closed {
		f = q.open(peer)
	}
	if f == nil {
		return nil
	}
	if shaken {
		q.prove(f)
		f.conn.shaken()
	}
	return f.conn
}

// open enters a connection; the caller holds mu.
func (q *QUIC) open(addr *net.UDPAddr) *flow {
	f := &flow{quic: q, addr: addr, peer: plain(addr), last: time.Now()}
	f.conn = q.ledger.enterQUIC(f, q.limits)
	f.timer = time.AfterFunc(quicIdle, f.check)
	q.addrs[addr] = f
	q.peers[f.peer] = append(q.peers[f.peer], f)
	return f
}

// Received follows a datagram p from a client. It answers the address that the server should
// know it by, nil if the datagram is to be dropped.
func (q *QUIC) Received(p []byte, from *net.UDPAddr) *net.UDPAddr {
	peer, now := plain(from), time.Now()
	q.mu.Lock()
	f, crowded := q.sender(p, from, peer)
	if f == nil {
		q.mu.Unlock()
		return from
	}
	ended := f.ended
	if ended && now.After(f.until) {
		q.mu.Unlock()
		return nil
	}
	f.last = now
	q.mu.Unlock()
	if crowded != nil {
		crowded.conn.cut(&Ending{Text: "crowded out by newer handshakes", By: "gateway"})
	}
	if !ended {
		f.conn.passed(len(p), 0)
	}
	if peer == f.peer {
		return f.addr
	}
	return from
}

// sender finds or opens the connection that a datagram from a client belongs to, and learns
// from its header. It answers which other one was given up for it. The caller holds mu.
func (q *QUIC) sender(p []byte, from *net.UDPAddr, peer netip.AddrPort) (f, crowded *flow) {
	h, ok := parseQUIC(p, q.idSize)
	if !ok || q.closed {
		return nil, nil
	}
	r := q.ids[h.dst]
	f = r.flow
	switch {
	case f == nil && !h.long:
		f = q.newest(peer)
	case f == nil && h.initial && len(p) >= quicLeastInitial && h.dst.size >= quicLeastID:
		f = q.open(from)
		q.learn(f, h.dst, false)
		f.waits = q.unproven.PushBack(f)
		if q.unproven.Len() > quicUnproven {
			crowded = q.unproven.Front().Value.(*flow)
			q.forget(crowded)
		}
	}
	if f == nil {
		return nil, nil
	}
	if r.ours {
		q.prove(f)
		q.move(f, peer)
	}
	if f.proven && !h.long {
		f.conn.shaken()
	}
	return f, crowded
}

// newest answers the newest connection from an address, one that lives before those that were
// ended; nil if there is none.
func (q *QUIC) newest(peer netip.AddrPort) *flow {
	flows := q.peers[peer]
	for _, f := range slices.Backward(flows) {
		if !f.ended {
			return f
		}
	}
	if len(flows) == 0 {
		return nil
	}
	return flows[len(flows)-1]
}

// learn notes an ID of f.
func (q *QUIC) learn(f *flow, id quicID, ours bool) {
	q.ids[id] = quicRoute{f, ours}
	f.ids = append(f.ids, id)
}

// prove notes that the client gets what is sent to it.
func (q *QUIC) prove(f *flow) {
	f.proven = true
	if f.waits != nil {
		q.unproven.Remove(f.waits)
		f.waits = nil
	}
}

// move notes where f comes from now, with an ID of ours: the last other address counts.
func (q *QUIC) move(f *flow, peer netip.AddrPort) {
	if peer == f.peer || peer == f.moved {
		return
	}
	q.leave(f, f.moved)
	f.moved = peer
	q.peers[peer] = append(q.peers[peer], f)
}

// leave takes f from those of an address.
func (q *QUIC) leave(f *flow, peer netip.AddrPort) {
	rest := slices.DeleteFunc(q.peers[peer], func(other *flow) bool { return other == f })
	if len(rest) == 0 {
		delete(q.peers, peer)
		return
	}
	q.peers[peer] = rest
}

// forget takes f out of everything but the ledger.
func (q *QUIC) forget(f *flow) {
	f.timer.Stop()
	q.prove(f)
	delete(q.addrs, f.addr)
	for _, id := range f.ids {
		if q.ids[id].flow == f {
			delete(q.ids, id)
		}
	}
	q.leave(f, f.peer)
	q.leave(f, f.moved)
}

// Sent follows what is sent to a client: a datagram, or several of one connection. It is called
// before they go out, since the client's answer may be here before the system's call is back.
func (q *QUIC) Sent(p []byte, to *net.UDPAddr) {
	q.mu.Lock()
	f := q.addrs[to]
	if f == nil {
		f = q.newest(plain(to))
	} else if h, ok := parseQUIC(p, 0); ok && h.long && h.version != 0 && h.src.size > 0 {
		// An answer that refuses bears the client's ID, not one of ours.
		if _, known := q.ids[h.src]; !known && (q.idSize == 0 || q.idSize == int(h.src.size)) {
			q.idSize = int(h.src.size)
			q.learn(f, h.src, true)
		}
	}
	if f == nil {
		q.mu.Unlock()
		return
	}
	f.last = time.Now()
	ended := f.ended
	q.mu.Unlock()
	if !ended {
		f.conn.passed(0, len(p))
	}
}

// Close ends all connections: the socket is closed.
func (q *QUIC) Close() {
	q.ledger.mu.Lock()
	q.ledger.quics = slices.DeleteFunc(q.ledger.quics, func(other *QUIC) bool { return other == q })
	q.ledger.mu.Unlock()
	q.mu.Lock()
	q.closed = true
	var all []*flow
	for _, f := range q.addrs {
		all = append(all, f)
		q.forget(f)
	}
	q.mu.Unlock()
	for _, f := range all {
		f.conn.Close()
	}
}

// check is the timer: it gives up a connection on which nothing passed for so long that QUIC
// has done so itself.
func (f *flow) check() {
	q := f.quic
	q.mu.Lock()
	if q.addrs[f.addr] != f {
		q.mu.Unlock()
		return // it was forgotten just now
	}
	left := quicIdle - time.Since(f.last)
	if left <= 0 && f.conn.runs() {
		left = quicIdle
	}
	if left > 0 {
		f.timer.Reset(left)
		q.mu.Unlock()
		return
	}
	q.forget(f)
	q.mu.Unlock()
	f.conn.cut(&Ending{Text: "nothing came for " + short(quicIdle) + ", after which QUIC gives up", By: string(Client)})
}

// RemoteAddr is the client's.
func (f *flow) RemoteAddr() net.Addr { return f.addr }

// Close drops what the client sends from soon on.
func (f *flow) Close() error {
	grace := f.conn.closeLimit()
	f.quic.mu.Lock()
	defer f.quic.mu.Unlock()
	f.ended, f.until = true, time.Now().Add(grace)
	return nil
}
