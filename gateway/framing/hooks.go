package framing

import (
	"context"
	"net"
	"net/http"
)

type connKey struct{}

// WithConn is for http.Server.ConnContext: it lets requests find their connection.
func WithConn(ctx context.Context, c net.Conn) context.Context {
	if a, ok := c.RemoteAddr().(*addr); ok {
		return context.WithValue(ctx, connKey{}, a.conn)
	}
	return ctx
}

// ConnState is for http.Server.ConnState: it tells when a request begins. It must be called once for each change.
func ConnState(c net.Conn, s http.ConnState) {
	a, ok := c.RemoteAddr().(*addr)
	if !ok {
		return
	}
	switch s {
	case http.StateActive:
		a.conn.next()
	case http.StateHijacked:
		a.conn.stop()
	}
}
