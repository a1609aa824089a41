package framing

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
	"time"

	"github.com/honeyant/honeyant/gateway/ledger"
)

// WrapListener reads along what inner accepts, above TLS. It makes the handshakes, so as to know which connections are
// HTTP/1: net/http gives HTTP/2 only to a *tls.Conn, which can not be read along. A handshake has the time given. What
// is not HTTP/1, or fails, is handed on as it came, and net/http deals with it as ever.
//
// Close ends the handshakes that run; net/http would give their requests no answer.
func WrapListener(inner net.Listener, handshake time.Duration) net.Listener {
	ctx, cancel := context.WithCancel(context.Background())
	return &listener{Listener: inner, handshake: handshake, ctx: ctx, cancel: cancel, ready: make(chan accepted), over: make(chan struct{})}
}

type listener struct {
	net.Listener
	handshake time.Duration
	ctx       context.Context // ends with Close
	cancel    context.CancelFunc
	start     sync.Once
	ready     chan accepted // without room: what is accepted is served at once
	over      chan struct{} // closed when run has ended
}

// accepted is what Accept answers.
type accepted struct {
	conn net.Conn
	err  error
}

// Accept answers the next connection that is ready.
func (l *listener) Accept() (net.Conn, error) {
	l.start.Do(func() { go l.run() })
	select {
	case a := <-l.ready:
		return a.conn, a.err
	case <-l.ctx.Done():
		<-l.over // the next configuration may listen on the same socket: leave it as it should be
		return nil, net.ErrClosed
	}
}

// Close stops accepting.
func (l *listener) Close() error {
	l.cancel()
	return l.Listener.Close()
}

// run accepts until the listener is closed.
func (l *listener) run() {
	defer close(l.over)
	for l.ctx.Err() == nil {
		c, err := l.Listener.Accept()
		if err != nil {
			l.answer(accepted{nil, err})
			continue
		}
		tlsConn, ok := c.(*tls.Conn)
		if !ok {
			if _, ok := c.(interface{ ConnectionState() tls.ConnectionState }); !ok {
				c = wrap(c)
			}
			l.answer(accepted{c, nil})
			continue
		}
		if conn := ledger.ConnOf(c); conn != nil {
			conn.ExpectTLS()
		}
		go l.shake(tlsConn)
	}
}

// shake makes the handshake and hands the connection on.
func (l *listener) shake(c *tls.Conn) {
	ctx, cancel := context.WithTimeout(l.ctx, l.handshake)
	defer cancel()
	err := c.HandshakeContext(ctx)
	if err == nil {
		switch c.ConnectionState().NegotiatedProtocol {
		case "", "http/1.1", "http/1.0":
			l.answer(accepted{wrap(c), nil})
			return
		}
	}
	l.answer(accepted{c, nil})
}

// answer hands on, or closes what nobody will take.
func (l *listener) answer(a accepted) {
	select {
	case l.ready <- a:
	case <-l.ctx.Done():
		if a.conn != nil {
			_ = a.conn.Close() // nobody is left to tell
		}
	}
}
