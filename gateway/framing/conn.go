package framing

import (
	"crypto/tls"
	"io"
	"net"
	"sync"
	"sync/atomic"
)

// Conn is a client's connection whose requests are read along.
type Conn struct {
	net.Conn
	addr  *addr
	only1 bool        // HTTP/2 must not begin: another protocol was agreed on
	ended atomic.Bool // it began nevertheless

	mu      sync.Mutex // guards the rest
	scanner scanner
	current head // of the request that is handled
	known   bool // there is one
}

// addr is the client's address. It leads to the connection through wrappers that hide its other methods, as Caddy has.
type addr struct {
	net.Addr
	conn  *Conn
	whole net.Conn // with all that it can
}

// NetConn is the connection; package ledger looks for it.
func (a *addr) NetConn() net.Conn { return a.whole }

// plain is a connection without TLS.
type plain struct{ *Conn }

// ReadFrom lets sendfile through.
func (c plain) ReadFrom(r io.Reader) (int64, error) { return io.Copy(c.Conn.Conn, r) }

// secure is one over TLS.
type secure struct{ *Conn }

// ConnectionState is what was agreed.
func (c secure) ConnectionState() tls.ConnectionState {
	return c.Conn.Conn.(*tls.Conn).ConnectionState()
}

// wrap reads c along. If it is a *tls.Conn, its handshake is over.
func wrap(c net.Conn) net.Conn {
	_, isTLS := c.(*tls.Conn)
	w := &Conn{Conn: c, only1: isTLS}
	w.addr = &addr{Addr: c.RemoteAddr(), conn: w}
	w.addr.whole = plain{w}
	if isTLS {
		w.addr.whole = secure{w}
	}
	return w.addr.whole
}

// RemoteAddr is the client's address.
func (c *Conn) RemoteAddr() net.Addr { return c.addr }

// NetConn is the connection below.
func (c *Conn) NetConn() net.Conn { return c.Conn }

// CloseWrite closes the sending side where the connection can.
func (c *Conn) CloseWrite() error {
	if w, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return c.Conn.Close()
}

// Read reads, and follows what was read.
func (c *Conn) Read(p []byte) (int, error) {
	if c.ended.Load() {
		return 0, io.EOF
	}
	n, err := c.Conn.Read(p)
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.scanner.write(p[:n]) && c.only1 {
		c.ended.Store(true)
		return 0, io.EOF
	}
	return n, err
}

// next goes on to the next request, whose header net/http has read.
func (c *Conn) next() {
	c.mu.Lock()
	defer c.mu.Unlock()
	heads := c.scanner.heads
	if c.known = len(heads) > 0; c.known {
		c.current = heads[0]
		c.scanner.heads = append(heads[:0], heads[1:]...)
	}
}

// stop stops following: what comes is no HTTP/1 any more.
func (c *Conn) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.scanner = scanner{at: lost}
}

// Of answers the connection that is read along below c, as it is with all its methods; nil if there is none.
func Of(c net.Conn) net.Conn {
	if a, ok := c.RemoteAddr().(*addr); ok {
		return a.whole
	}
	return nil
}
