package serve

import (
	"errors"
	"io"
	"net"
	"net/http"
	"sync/atomic"

	"github.com/honeyant/honeyant/gateway/ledger"
)

// body is the request's body as the handlers see it.
type body struct {
	io.ReadCloser
	x      *exchange
	gate   *ledger.Gate
	ending atomic.Pointer[ledger.Ending] // a limit of the client's body fired
	broken atomic.Bool                   // the client went away in the middle

	malformed atomic.Bool // the chunks break the rules of HTTP
}

func newBody(r *http.Request, x *exchange) *body {
	b := &body{ReadCloser: r.Body, x: x}
	// Only the reading is broken, so that the client can still be told why.
	b.gate = x.req.Gate(ledger.ClientBody, func(why *ledger.Ending) {
		b.ending.CompareAndSwap(nil, why)
		x.control.SetReadDeadline(past())
	})
	if ledger.IsStream(r.Header.Get("Content-Type")) {
		b.gate.Stream(x.req.Limits())
	}
	return b
}

// Read reads a piece, bounded by the client's body limits.
func (b *body) Read(p []byte) (int, error) {
	b.gate.Enter()
	n, err := b.ReadCloser.Read(p)
	b.gate.Leave(n)
	b.x.req.AddIn(n)
	if err == nil || errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return n, err
	}
	if why := b.ending.Load(); why != nil {
		return n, why
	}
	if why := b.x.req.Ending(); why != nil {
		return n, why
	}
	var tooBig *http.MaxBytesError
	switch {
	case errors.As(err, &tooBig), errors.Is(err, http.ErrBodyReadAfterClose):
	case errors.Is(err, io.ErrUnexpectedEOF), isNetwork(err), b.x.server.Err() != nil:
		b.broken.Store(true)
	default:
		b.malformed.Store(true)
	}
	return n, err
}

// isNetwork tells errors of the connection from those of what came over it.
func isNetwork(err error) bool {
	var n net.Error
	return errors.As(err, &n)
}

// hasBody tells whether the response to the request has a body.
func (x *exchange) hasBody() bool {
	return !x.writer.head && x.writer.status != http.StatusNotModified && x.writer.status != http.StatusNoContent
}
