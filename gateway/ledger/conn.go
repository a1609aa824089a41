package ledger

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/honeyant/honeyant/gateway/code"
)

// tlsCloseWait is how long crypto/tls lets the writing of close_notify block; a deadline of
// that length on a connection that nobody uses is cut down to the limit close.
const tlsCloseWait = 5*time.Second + 100*time.Millisecond

// Conn is one live connection, of a client or to an origin: the raw one, below TLS. It counts
// bytes, follows the phases between requests, and bounds them. The phases within requests are
// bounded by the requests.
type Conn struct {
	net.Conn
	watch
	ledger *Ledger
	id     ID
	side   Side
	start  time.Time
	peer   string

	calls calls

	in, out atomic.Int64
	ending  atomic.Pointer[Ending]
	eof     atomic.Bool // the other end closed its sending side
	reset   atomic.Bool
	alert   atomic.Bool // the last that came looks like TLS's farewell
	closed  atomic.Bool

	mu       sync.Mutex // guards the rest; taken before watch.mu
	limits   Limits
	state    connState
	gate     *Gate // of the present state, if it waits
	records  recordScan
	multi    bool // HTTP/2: bytes while idle are no request header
	request  ID   // of an origin's connection: who uses it
	requests uint64
	running  int // of requests
	tls      TLS
}

// calls are what a connection's gate calls, made once: they change with every request.
type calls struct {
	kill, cut func(*Ending)
	taken     func() (int64, bool)
}

// connState is what happens on a connection.
type connState uint8

const (
	stateHeader    connState = iota // no request yet, or the header of the next is coming
	stateTLS                        // handshake
	stateActive                     // requests run
	stateFinishing                  // the last one was handled; idle or the end comes
	stateIdle                       // kept alive
)

// TLS is what was agreed on a connection; zero without TLS.
type TLS struct {
	Version string `json:"tls_version,omitempty"`
	Cipher  string `json:"tls_cipher,omitempty"`
	ALPN    string `json:"tls_alpn,omitempty"`
	Resumed bool   `json:"tls_resumed,omitempty"`
	Server  string `json:"tls_server_name,omitempty"`
}

// DescribeTLS says it in words.
func DescribeTLS(s *tls.ConnectionState) TLS {
	if s == nil || !s.HandshakeComplete {
		return TLS{}
	}
	return TLS{tls.VersionName(s.Version), tls.CipherSuiteName(s.CipherSuite), s.NegotiatedProtocol, s.DidResume, s.ServerName}
}

// WrapClient enters a connection that was just accepted. Until its first request it has the
// limits given, afterwards those of its last request's route.
func (l *Ledger) WrapClient(c net.Conn, limits Limits) *Conn {
	w := l.newConn(c, Client, limits)
	w.gate = w.watch.gate(ClientHeader, &w.limits, w.calls.kill)
	w.gate.Enter()
	l.enter(w.id, w)
	return w
}

// WrapOrigin enters a connection to an origin.
func (l *Ledger) WrapOrigin(c net.Conn, limits Limits) *Conn {
	w := l.newConn(c, Origin, limits)
	w.state = stateActive
	w.watch.phase = Active
	l.enter(w.id, w)
	return w
}

// enterQUIC enters a QUIC connection that shakes hands.
func (l *Ledger) enterQUIC(f *flow, limits Limits) *Conn {
	w := l.newConn(f, Client, limits)
	w.multi, w.state = true, stateTLS
	w.gate = w.watch.gate(ClientTLS, &w.limits, w.calls.kill)
	w.gate.Enter()
	l.enter(w.id, w)
	return w
}

func (l *Ledger) newConn(c net.Conn, side Side, limits Limits) *Conn {
	now := time.Now()
	w := &Conn{Conn: c, ledger: l, id: l.newID(), side: side, start: now, limits: limits}
	if a := c.RemoteAddr(); a != nil {
		w.peer = a.String()
	}
	w.watch = newWatch(ClientHeader, now)
	w.calls = calls{w.kill, w.cut, w.acked}
	w.watch.over = func(_ *Gate, e *Ending) { l.noteFired(w.snapshot(time.Now()), e) }
	return w
}

// ConnOf finds the ledger's connection below TLS and other wrappers, nil if there is none.
func ConnOf(c net.Conn) *Conn {
	for range 8 {
		switch w := c.(type) {
		case nil:
			return nil
		case *Conn:
			return w
		case interface{ NetConn() net.Conn }:
			c = w.NetConn()
		default:
			// Some wrappers hide all but net.Conn's methods; the address of those that read along leads through.
			a, ok := c.RemoteAddr().(interface{ NetConn() net.Conn })
			if !ok {
				return nil
			}
			c = a.NetConn()
		}
	}
	return nil
}

// ID is the connection's.
func (c *Conn) ID() ID { return c.id }

// Ending is why the gateway or an operator ended the connection, nil if neither did.
func (c *Conn) Ending() *Ending { return c.ending.Load() }

// SawEOF tells whether the other end closed its sending side. For an origin that ends TLS with
// close_notify the end of the stream comes before this.
func (c *Conn) SawEOF() bool { return c.eof.Load() }

// SawNotify tells whether the last that the other end sent looks like TLS's close_notify, as far as
// that can be seen without the keys.
func (c *Conn) SawNotify() bool { return c.alert.Load() }

// SawReset tells whether the other end reset the connection.
func (c *Conn) SawReset() bool { return c.reset.Load() }

// move goes to a state whose wait has phase p and the limits l; the caller holds mu.
func (c *Conn) move(s connState, p Phase) {
	c.state = s
	fire := c.calls.kill
	var taken func() (int64, bool)
	switch p {
	case Closing:
		fire = c.calls.cut
	case ClientSend:
		taken = c.calls.taken
	}
	c.watch.change(c.gate, p, &c.limits, fire, taken)
}

// ExpectTLS says that the connection has TLS; it bounds the handshake from the accept on.
func (c *Conn) ExpectTLS() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state == stateHeader && c.requests == 0 {
		c.move(stateTLS, ClientTLS)
	}
}

// Begin says that a request runs on the connection, over the TLS that was agreed, if any. multi
// is for HTTP/2.
func (c *Conn) Begin(limits Limits, agreed *tls.ConnectionState, multi bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.limits, c.multi = limits, c.multi || multi
	if c.requests == 0 {
		c.tls = DescribeTLS(agreed)
	}
	c.requests++
	c.running++
	c.move(stateActive, Active)
}

// Done says that the request was handled; what is left is to flush it, and to wait for the
// next one or to close.
func (c *Conn) Done() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.running--
	switch {
	case c.isQUIC() && c.running == 0:
		c.move(stateIdle, Idle) // nobody else says so
	case !c.multi && c.state == stateActive:
		c.move(stateFinishing, Closing)
	}
}

// isQUIC tells whether it is a QUIC connection.
func (c *Conn) isQUIC() bool {
	_, is := c.Conn.(*flow)
	return is
}

// shaken says that the handshake of a QUIC connection is over.
func (c *Conn) shaken() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state == stateTLS {
		c.move(stateIdle, Idle)
	}
}

// runs tells whether requests run.
func (c *Conn) runs() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.running > 0
}

// passed counts bytes of a QUIC connection.
func (c *Conn) passed(in, out int) {
	c.in.Add(int64(in))
	c.out.Add(int64(out))
	c.watch.note(in + out)
}

// closeLimit answers the limit close, which a connection that is cut off must have.
func (c *Conn) closeLimit() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.limits.Close > 0 {
		return c.limits.Close
	}
	return Defaults().Close
}

// Kept says that the connection is kept alive and no request runs.
func (c *Conn) Kept(multi bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.multi = c.multi || multi
	c.move(stateIdle, Idle)
}

// Busy says that a request's header was read, or a stream of HTTP/2 opened.
func (c *Conn) Busy() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state != stateActive {
		c.move(stateActive, Active)
	}
}

// Use says which request uses an origin's connection; 0 that none does any more.
func (c *Conn) Use(id ID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.request = id
	if id == 0 {
		c.state = stateIdle
		c.watch.setPhase(Idle)
		return
	}
	c.requests++
	c.state = stateActive
	c.watch.setPhase(Active)
}

// Agreed answers what TLS agreed on; ask is called for it the first time.
func (c *Conn) Agreed(ask func() tls.ConnectionState) TLS {
	c.mu.Lock()
	t := c.tls
	c.mu.Unlock()
	if t.Version != "" {
		return t
	}
	s := ask()
	t = DescribeTLS(&s)
	c.mu.Lock()
	c.tls = t
	c.mu.Unlock()
	return t
}

// Served answers how many requests an origin's connection has had.
func (c *Conn) Served() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.requests
}

// Read counts, and notices the first byte of a header and the end of a handshake.
func (c *Conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 {
		c.in.Add(int64(n))
		c.watch.note(n)
		c.alert.Store(farewell(p[:n]))
		if c.side == Client {
			c.received(p[:n])
		}
	}
	c.noteError(err)
	return n, err
}

func (c *Conn) noteError(err error) {
	switch {
	case err == nil:
	case errors.Is(err, io.EOF):
		c.eof.Store(true)
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		c.reset.Store(true)
	}
}

// received follows the client's bytes where they change the phase.
func (c *Conn) received(p []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch c.state {
	case stateTLS:
		if c.records.handshakeOver(p) {
			c.move(stateHeader, ClientHeader)
		}
	case stateHeader:
		if c.requests == 0 && c.in.Load() == int64(len(p)) && len(p) >= 4 && string(p[:4]) == "PRI " {
			c.multi = true
		}
	case stateIdle:
		if !c.multi {
			c.move(stateHeader, ClientHeader)
		}
	case stateFinishing:
		c.move(stateFinishing, Closing)
	}
}

// Write counts; what is left to send after a request was handled has the client's send limit.
func (c *Conn) Write(p []byte) (int, error) {
	bounded := c.sending()
	n, err := c.Conn.Write(p)
	c.out.Add(int64(n))
	c.watch.note(n)
	c.noteError(err)
	if bounded {
		c.sent()
	}
	return n, err
}

// ReadFrom lets plain connections use sendfile.
func (c *Conn) ReadFrom(r io.Reader) (int64, error) {
	bounded := c.sending()
	n, err := io.Copy(c.Conn, r)
	c.out.Add(n)
	c.watch.note(int(n))
	if bounded {
		c.sent()
	}
	return n, err
}

// sending bounds a write that happens after the handler returned, and tells whether it is one.
func (c *Conn) sending() bool {
	if c.side != Client {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state != stateFinishing {
		return false
	}
	c.move(stateFinishing, ClientSend)
	return true
}

// sent ends such a write.
func (c *Conn) sent() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state == stateFinishing {
		c.move(stateFinishing, Closing)
	}
}

// SetWriteDeadline cuts the time that TLS takes for its farewell down to the limit close.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	limit := c.limits.Close
	farewell := c.side == Origin || c.state == stateFinishing || c.state == stateIdle
	c.mu.Unlock()
	if now := time.Now(); farewell && limit > 0 && !t.IsZero() && t.Sub(now) <= tlsCloseWait && t.Sub(now) > limit {
		t = now.Add(limit)
	}
	return c.Conn.SetWriteDeadline(t)
}

// CloseWrite closes the sending side where the connection can.
func (c *Conn) CloseWrite() error {
	if w, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return c.Conn.Close()
}

// acked answers how many bytes the other end has taken so far, ok false if the system does not
// say.
func (c *Conn) acked() (n int64, ok bool) {
	sys, is := c.Conn.(syscall.Conn)
	if !is {
		return 0, false
	}
	raw, err := sys.SyscallConn()
	if err != nil {
		return 0, false
	}
	queued := 0
	if raw.Control(func(fd uintptr) { queued, err = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ) }) != nil || err != nil {
		return 0, false
	}
	return c.out.Load() - int64(queued), true
}

// NetConn is the connection below.
func (c *Conn) NetConn() net.Conn { return c.Conn }

// kill ends the connection and its requests.
func (c *Conn) kill(why *Ending) {
	if !c.ending.CompareAndSwap(nil, why) {
		return
	}
	if c.side == Client {
		c.ledger.killRequests(c, why)
	} else {
		c.mu.Lock()
		id := c.request
		c.mu.Unlock()
		c.ledger.killRequest(id, why)
	}
	c.Close()
}

// cut closes a connection whose end takes too long; its request is complete.
func (c *Conn) cut(why *Ending) {
	c.ending.CompareAndSwap(nil, why)
	c.Close()
}

// Close closes and takes the connection out of the ledger. Only the first call counts.
func (c *Conn) Close() error {
	if !c.closed.CompareAndSwap(false, true) {
		return net.ErrClosed
	}
	err := c.Conn.Close()
	c.watch.stop()
	done := Outcome{By: "gateway", Text: "closed"}
	switch why := c.ending.Load(); {
	case why != nil:
		done = Outcome{Code: string(why.Code), By: why.By, Text: why.Text}
	case c.reset.Load():
		done = Outcome{By: string(c.side), Text: "reset by the " + string(c.side)}
	case c.eof.Load():
		done = Outcome{By: string(c.side), Text: "closed by the " + string(c.side)}
	}
	e := c.snapshot(time.Now())
	e.Phase, e.Deadline, e.Done = Ended, nil, &done
	c.ledger.remove(e)
	return err
}

func (c *Conn) snapshot(now time.Time) Entry {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := Entry{
		ID: c.id, Kind: Connection, Side: c.side, Started: c.start,
		Progress: Progress{AgeSeconds: now.Sub(c.start).Seconds(), InBytes: c.in.Load(), OutBytes: c.out.Load(), SizeBytes: -1},
		Request:  c.request, Requests: c.requests, TLS: c.tls,
	}
	if c.isQUIC() {
		e.Proto = "QUIC"
	}
	if c.side == Client {
		e.Client = c.peer
	} else {
		e.Origin = c.peer
	}
	c.watch.mu.Lock()
	c.watch.fill(&e, now)
	c.watch.mu.Unlock()
	return e
}

// killRequests ends the requests of a client's connection.
func (l *Ledger) killRequests(c *Conn, why *Ending) {
	for _, r := range l.requests() {
		if r.conn() == c {
			r.kill(why)
		}
	}
}

// killRequest ends one request, if it is there.
func (l *Ledger) killRequest(id ID, why *Ending) {
	l.mu.Lock()
	r, ok := l.live[id]
	l.mu.Unlock()
	if ok {
		r.kill(why)
	}
}

// KillAll ends all requests, and the connections of clients, for a stop whose time is over.
// It answers how many requests there were.
func (l *Ledger) KillAll(reason string) int {
	why := endingOf(code.Drain, "gateway", reason)
	requests := l.requests()
	for _, r := range requests {
		r.kill(why)
	}
	for _, e := range l.List(Filter{Kind: Connection}) {
		l.killRequest(e.ID, why)
	}
	return len(requests)
}

func (l *Ledger) requests() []*Req {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []*Req
	for _, r := range l.live {
		if req, ok := r.(*Req); ok {
			all = append(all, req)
		}
	}
	return all
}
