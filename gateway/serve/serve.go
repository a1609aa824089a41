// Package serve puts the requests that an HTTP server handles into the ledger: it bounds what
// is waited for on the client's side, notices when the client is gone, and sees to it that a
// response which is not complete never looks complete.
//
// Invariants:
//
//	S1  When a request's handler is over, the request is in the ledger's Recent with how it
//	    ended, and nothing of it runs on.
//	S2  A response that the handler did not finish is aborted: the connection is closed
//	    without the last chunk, or the stream reset.
//	S3  A client that went away is logged as status 499, whatever status was sent before.
//
// It knows net/http and package framing; package gateway makes a module for Caddy of it.
package serve

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"runtime/pprof"
	"sync"
	"time"

	"github.com/honeyant/honeyant/gateway/code"
	"github.com/honeyant/honeyant/gateway/framing"
	"github.com/honeyant/honeyant/gateway/ledger"
)

// StatusClientGone is what is logged when the client went away first.
const StatusClientGone = 499

// Handler is one that may return an error, as Caddy's do.
type Handler func(w http.ResponseWriter, r *http.Request) error

// Done is what is known when a request is over.
type Done struct {
	Request *ledger.Req
	Facts   ledger.Facts
	Outcome ledger.Outcome
	Entry   ledger.Entry // as it was at the end
}

// Entrance leads requests through the ledger. Its fields are not changed once it is used.
type Entrance struct {
	Ledger *ledger.Ledger
	Limits ledger.Limits // where the route says nothing

	// StatusOf tells the status that an error of a handler means, 0 if it does not know. It may
	// be nil: then only errors that are Statusers are known.
	StatusOf func(error) int

	// Find finds the connection of a request whose context does not have it, as those of HTTP/3
	// have not; nil for none. It may be nil.
	Find func(*http.Request) *ledger.Conn

	pieces sync.Pool // buffers of pieceOwn bytes
}

// Failure is an error with the status that the client should see.
type Failure struct {
	Status int
	Err    error
}

// Error is the cause's text.
func (f *Failure) Error() string { return f.Err.Error() }

// HTTPStatus is the status.
func (f *Failure) HTTPStatus() int { return f.Status }

// Unwrap is the cause.
func (f *Failure) Unwrap() error { return f.Err }

type connKey struct{}

// WithConn is for http.Server.ConnContext: it lets requests find their connection.
func WithConn(ctx context.Context, c net.Conn) context.Context {
	if conn := ledger.ConnOf(c); conn != nil {
		return context.WithValue(ctx, connKey{}, conn)
	}
	return ctx
}

// ConnOf answers the ledger's connection of a request's context, nil if it has none.
func ConnOf(ctx context.Context) *ledger.Conn {
	c, _ := ctx.Value(connKey{}).(*ledger.Conn)
	return c
}

// Serve runs next with the request in the ledger. The error it answers is a *Failure if the
// gateway knows a better status than the handler. done, which may be nil, is called on this
// goroutine when the request is over.
func (e *Entrance) Serve(w http.ResponseWriter, r *http.Request, next Handler, done func(Done)) (err error) {
	conn := ConnOf(r.Context())
	if conn == nil && e.Find != nil {
		conn = e.Find(r)
	}
	req, ctx := e.Ledger.Begin(r.Context(), ledger.About{
		Message: ledger.Message{Proto: r.Proto, Method: r.Method, Host: r.Host, Path: r.URL.Path},
		Route:   hostOnly(r.Host), Client: r.RemoteAddr, Conn: conn, Limits: e.Limits,
	})
	multi := r.ProtoMajor > 1
	if conn != nil {
		conn.Begin(e.Limits, r.TLS, multi)
		defer conn.Done()
	}
	x := &exchange{entrance: e, done: done, req: req, conn: conn, multi: multi, last: r.Close, method: r.Method, control: http.NewResponseController(w), server: r.Context()}
	req.OnKill(x.breakClient)
	x.writer = newWriter(w, x, conn, multi)
	verdict := framing.Judge(r)
	if verdict == framing.Contradictory {
		next = refuse
	}
	if r.ProtoMajor == 1 && (verdict == framing.Contradictory || verdict == framing.Unknown && len(r.TransferEncoding) > 0) {
		// If there was a Content-Length besides, the connection must be closed (RFC 9112 section 6.1); net/http does
		// not tell.
		w.Header().Set("Connection", "close")
	}
	labelled := pprof.WithLabels(ctx, pprof.Labels(ledger.StackLabel, req.ID().String()))
	pprof.SetGoroutineLabels(labelled)
	defer pprof.SetGoroutineLabels(r.Context())
	r = r.WithContext(ctx)
	if r.Body != nil && r.Body != http.NoBody {
		x.body = newBody(r, x)
		r.Body = x.body
	}
	defer func() {
		panicked := recover()
		err = x.finish(err, panicked)
	}()
	return next(x.writer, r)
}

// refuse answers a request that says in two ways how long its body is: one of them may be meant for somebody else.
func refuse(_ http.ResponseWriter, r *http.Request) error {
	why := &ledger.Ending{Code: code.ClientFraming, By: "client", Text: "the request has Content-Length beside Transfer-Encoding, or Transfer-Encoding in HTTP/1.0"}
	ledger.From(r.Context()).Note(func(f *ledger.Facts) { f.Problem = why })
	return &Failure{Status: http.StatusBadRequest, Err: why}
}

// exchange is one request with its response.
type exchange struct {
	entrance *Entrance
	done     func(Done)
	method   string
	req      *ledger.Req
	conn     *ledger.Conn // nil if it is not in the ledger
	multi    bool         // of several requests on one connection
	last     bool         // the client wants no other on this connection
	control  *http.ResponseController
	server   context.Context // of the server: done if the client is gone
	writer   *writer
	body     *body // nil without one
}

// past is a deadline that is over.
func past() time.Time { return time.Unix(1, 0) }

// breakClient makes reads and writes on the client's side return.
func (x *exchange) breakClient() {
	x.control.SetReadDeadline(past())
	x.control.SetWriteDeadline(past())
}

// finish takes the request out of the ledger and says how it ended. If the response is not
// complete it panics with http.ErrAbortHandler, which is how net/http is told (S2).
func (x *exchange) finish(err error, panicked any) error {
	outcome, incomplete := x.judge(err, panicked)
	facts := x.writer.facts()
	facts.ClientClose = x.clientClose(incomplete || panicked != nil)
	entry := x.req.End(outcome)
	if x.done != nil {
		x.done(Done{Request: x.req, Facts: facts, Outcome: outcome, Entry: entry})
	}
	switch {
	case panicked != nil:
		panic(panicked)
	case incomplete:
		panic(http.ErrAbortHandler)
	case err != nil && outcome.Status >= 400 && x.writer.status == 0:
		return &Failure{Status: outcome.Status, Err: err}
	}
	return err
}

// judge tells how the request ended, and whether its response must be aborted although the
// handler thinks that it is done.
func (x *exchange) judge(err error, panicked any) (o ledger.Outcome, incomplete bool) {
	started := x.writer.status != 0
	o = ledger.Outcome{Status: x.writer.status, Text: "done", By: "gateway"}
	if !started && err == nil {
		o.Status = http.StatusOK
	}
	if why := x.req.Ending(); why != nil {
		o.Code, o.Text, o.By = string(why.Code), why.Text, why.By
		if !started {
			o.Status = http.StatusServiceUnavailable
		}
		return o, true
	}
	if x.body != nil {
		if why := x.body.ending.Load(); why != nil {
			o.Code, o.Text, o.By = string(why.Code), why.Text, why.By
			if !started {
				o.Status = http.StatusRequestTimeout
			}
			return o, started
		}
	}
	problem := x.req.Facts().Problem
	switch {
	case x.body != nil && x.body.malformed.Load() && !started:
		o.Status, o.Text, o.By = http.StatusBadRequest, "the request's body breaks the rules of HTTP", "client"
		return o, false
	case x.clientGone(panicked, err):
		o.Code, o.Status, o.By = string(code.ClientGone), StatusClientGone, "client"
		o.Text = fmt.Sprintf("the client went away after %d bytes of the response", x.writer.sent)
		return o, true
	case problem != nil && (err != nil || panicked != nil || x.writer.status >= 500):
		o.Code, o.Text, o.By = string(problem.Code), problem.Text, problem.By
		if !started {
			o.Status = x.entrance.statusOf(err, http.StatusBadGateway)
		}
		return o, false
	case panicked != nil:
		o.Text = "aborted"
		if e, ok := panicked.(error); !ok || !errors.Is(e, http.ErrAbortHandler) {
			o.Text = fmt.Sprintf("panic: %v", panicked)
		}
		return o, false
	case err != nil:
		o.Text = err.Error()
		if !started {
			o.Status = x.entrance.statusOf(err, http.StatusInternalServerError)
		}
		return o, false
	}
	return o, x.writer.sourceErr != nil
}

// clientGone tells whether the client went away before it had the whole response.
func (x *exchange) clientGone(panicked any, err error) bool {
	if x.writer.status == StatusClientGone || x.body != nil && x.body.broken.Load() {
		return true
	}
	if x.writer.sendErr != nil {
		return true
	}
	return x.server.Err() != nil && (panicked != nil || err != nil || x.writer.short())
}

// clientClose says how the client's connection stands when the request is over.
func (x *exchange) clientClose(aborted bool) string {
	c := x.conn
	switch {
	case c == nil:
		return ""
	case c.SawReset():
		return "reset"
	case c.SawEOF() && !c.SawNotify():
		return "eof"
	case c.SawEOF(), x.server.Err() != nil && c.SawNotify():
		return "close_notify"
	case aborted && !x.multi, c.Ending() != nil, x.writer.Header().Get("Connection") == "close", x.last:
		return "gateway"
	}
	return "kept"
}

// Statuser is an error that knows its status.
type Statuser interface{ HTTPStatus() int }

func (e *Entrance) statusOf(err error, otherwise int) int {
	var s Statuser
	if errors.As(err, &s) {
		return s.HTTPStatus()
	}
	if e.StatusOf != nil && err != nil {
		if status := e.StatusOf(err); status != 0 {
			return status
		}
	}
	return otherwise
}

func hostOnly(host string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		return h
	}
	return host
}

// ConnState is for http.Server.ConnState: it tells the ledger what happens between requests.
func ConnState(c net.Conn, s http.ConnState) {
	conn := ledger.ConnOf(c)
	if conn == nil {
		return
	}
	secure, _ := c.(interface {
		ConnectionState() tlsState
	})
	switch s {
	case http.StateNew:
		if secure != nil && !secure.ConnectionState().HandshakeComplete {
			conn.ExpectTLS()
		}
	case http.StateActive, http.StateHijacked:
		conn.Busy()
	case http.StateIdle:
		conn.Kept(secure != nil && secure.ConnectionState().NegotiatedProtocol == "h2")
	case http.StateClosed:
		conn.Close() // net/http closes it itself; a second time is harmless
	}
}
