package rpc

import (
	"context"
	"net"
	"sync"
)

// listener hands out the connections of one protocol.
type listener struct {
	addr    net.Addr
	conns   chan Conn // unbuffered: who delivers still owns the connection until it is taken
	done    chan struct{}
	once    sync.Once
	onClose func(*listener)
}

func newListener(addr net.Addr, onClose func(*listener)) *listener {
	return &listener{addr: addr, conns: make(chan Conn), done: make(chan struct{}), onClose: onClose}
}

// Accept waits for the next connection; net.ErrClosed after Close.
func (l *listener) Accept() (Conn, error) {
	select {
	case <-l.done:
		return nil, net.ErrClosed
	default:
	}
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// deliver waits until somebody accepts c; false if nobody will.
func (l *listener) deliver(ctx context.Context, c Conn) bool {
	select {
	case l.conns <- c:
		return true
	case <-l.done:
	case <-ctx.Done():
	}
	return false
}

// shut ends it without telling the owner.
func (l *listener) shut() { l.once.Do(func() { close(l.done) }) }

// Close ends Accept. Twice is harmless.
func (l *listener) Close() error {
	l.shut()
	l.onClose(l)
	return nil
}
