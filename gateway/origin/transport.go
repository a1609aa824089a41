package origin

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync"
	"time"

	"github.com/honeyant/honeyant/gateway/code"
	"github.com/honeyant/honeyant/gateway/ledger"
)

// maxInterim is how many interim (1xx) responses a request may have.
const maxInterim = 16

// Transport sends requests that are in a ledger to an origin. Its fields are not changed once
// it is used.
type Transport struct {
	Base   http.RoundTripper // whose connections come from Dialer
	Quirks Quirks
	Log    *slog.Logger

	// Each, if not nil, is called with the final response before its body is read: for the
	// header log and the path map.
	Each func(*http.Request, *http.Response)
}

// DialFunc opens a connection.
type DialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// Dialer enters the connections that dial opens in the ledger. Below TLS.
func Dialer(l *ledger.Ledger, limits ledger.Limits, dial DialFunc) DialFunc {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return l.WrapOrigin(c, limits), nil
	}
}

// attempt is one request on its way to an origin.
type attempt struct {
	t      *Transport
	req    *ledger.Req
	limits ledger.Limits
	cancel context.CancelCauseFunc
	begun  time.Time
	gate   *ledger.Gate
	other  *httptrace.ClientTrace // whose interim responses are passed on, may be nil

	mu      sync.Mutex // guards the rest
	step    int
	ending  *ledger.Ending
	conn    net.Conn
	interim int
	got     int // connections that were tried
	over    bool
}

// The steps of an attempt; it only goes forward.
const (
	stepConnect = iota
	stepTLS
	stepSend
	stepHeader
)

// RoundTrip sends a request and answers the response's header; the body follows as it is read.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	req := ledger.From(r.Context())
	if req == nil { // a health check: it has a deadline of its own
		return t.Base.RoundTrip(r)
	}
	if t.Quirks.HTTP10 && r.ContentLength < 0 && r.Body != nil && r.Body != http.NoBody {
		return nil, lengthRequired{}
	}
	ctx, cancel := context.WithCancelCause(r.Context())
	a := &attempt{t: t, req: req, limits: req.Limits(), cancel: cancel, begun: time.Now()}
	a.gate = req.Gate(ledger.OriginConnect, a.end)
	req.SetOrigin(r.URL.Host)
	req.Note(func(f *ledger.Facts) { f.Attempts++; f.Problem = nil })
	out := r.WithContext(a.traced(ctx))
	if t.Quirks.request(out, r) {
		t.Log.Debug("quirks applied to a request", "code", string(code.OriginQuirk), "request", req.ID().String())
	}
	if out.Body != nil && out.Body != http.NoBody {
		out.Body = &sending{ReadCloser: out.Body, a: a}
	}
	a.gate.Enter()
	resp, err := t.Base.RoundTrip(out)
	a.gate.Leave(0)
	a.mu.Lock()
	a.over = true
	a.mu.Unlock()
	if err != nil {
		cancel(nil)
		return nil, a.failed(r.Context(), err)
	}
	resp.Request = r
	a.answered(resp)
	return resp, nil
}

// end is a deadline of the attempt: it ends the attempt and leaves the request alone, so that
// another origin can be tried.
func (a *attempt) end(why *ledger.Ending) {
	a.mu.Lock()
	if a.ending == nil {
		a.ending = why
	}
	a.mu.Unlock()
	a.cancel(why)
}

// forward goes on to a later step.
func (a *attempt) forward(step int, p ledger.Phase) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.over || step <= a.step {
		return
	}
	a.step = step
	a.gate.Turn(p, &a.limits)
}

// untraced is a context without a trace.
type untraced struct{ context.Context }

// Value hides the trace.
func (c untraced) Value(key any) any {
	v := c.Context.Value(key)
	if _, ok := v.(*httptrace.ClientTrace); ok {
		return nil
	}
	return v
}

// traced answers a context whose trace is the attempt's. net/http composes traces by reflection, for each
// request; Caddy's only wants interim responses, so that one is called by hand.
func (a *attempt) traced(ctx context.Context) context.Context {
	o := httptrace.ContextClientTrace(ctx)
	if o == nil || o.TLSHandshakeStart != nil || o.GotConn != nil || o.WroteRequest != nil || o.PutIdleConn != nil {
		return httptrace.WithClientTrace(ctx, a.trace())
	}
	a.other = o
	t := a.trace()
	t.GetConn, t.GotFirstResponseByte, t.Got100Continue, t.Wait100Continue = o.GetConn, o.GotFirstResponseByte, o.Got100Continue, o.Wait100Continue
	t.DNSStart, t.DNSDone, t.ConnectStart, t.ConnectDone = o.DNSStart, o.DNSDone, o.ConnectStart, o.ConnectDone
	t.TLSHandshakeDone, t.WroteHeaderField, t.WroteHeaders = o.TLSHandshakeDone, o.WroteHeaderField, o.WroteHeaders
	return httptrace.WithClientTrace(untraced{ctx}, t)
}

// trace follows net/http through the phases.
func (a *attempt) trace() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		TLSHandshakeStart: func() { a.forward(stepTLS, ledger.OriginTLS) },
		GotConn:           a.gotConn,
		WroteRequest: func(i httptrace.WroteRequestInfo) {
			if i.Err == nil {
				a.forward(stepHeader, ledger.OriginHeader)
			}
		},
		Got1xxResponse: a.gotInterim,
		PutIdleConn: func(err error) {
			if err == nil {
				a.putIdle()
			}
		},
	}
}

func (a *attempt) gotConn(i httptrace.GotConnInfo) {
	a.forward(stepSend, ledger.OriginSend)
	a.mu.Lock()
	a.conn = i.Conn
	a.got++
	again := a.got > 1
	a.mu.Unlock()
	var agreed ledger.TLS
	if c := ledger.ConnOf(i.Conn); c != nil {
		c.Use(a.req.ID())
		if s, ok := i.Conn.(interface{ ConnectionState() tls.ConnectionState }); ok {
			agreed = c.Agreed(s.ConnectionState)
		}
	}
	a.req.Note(func(f *ledger.Facts) {
		f.OriginReused = i.Reused
		f.OriginConnect = 0
		if !i.Reused {
			f.OriginConnect = time.Since(a.begun)
		}
		f.OriginTLS, f.OriginCipher, f.OriginALPN, f.OriginResumed = agreed.Version, agreed.Cipher, agreed.ALPN, agreed.Resumed
	})
	if again {
		a.t.Log.Debug("the origin closed a kept connection as it was used; sent again", "code", string(code.OriginReused), "request", a.req.ID().String())
	}
}

// gotInterim counts. Its error may be lost among several traces, so the attempt is cancelled.
func (a *attempt) gotInterim(status int, h textHeader) error {
	a.mu.Lock()
	a.interim++
	many := a.interim > maxInterim
	a.mu.Unlock()
	if !many {
		if a.other != nil && a.other.Got1xxResponse != nil {
			return a.other.Got1xxResponse(status, h)
		}
		return nil
	}
	why := &ledger.Ending{Code: code.OriginInterim, By: "origin", Text: "the origin sent more interim responses than a request may have"}
	a.end(why)
	return why
}

// putIdle is when the response was read and the connection is kept.
func (a *attempt) putIdle() {
	a.mu.Lock()
	c := ledger.ConnOf(a.conn)
	a.mu.Unlock()
	if c == nil {
		return
	}
	c.Use(0)
	if n := a.t.Quirks.MaxRequests; n > 0 && c.Served() >= n {
		c.Close()
	}
}

// failed makes the error of an attempt that got no response.
func (a *attempt) failed(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Canceled // the client went away, or the request was ended: not the origin's fault
	}
	a.mu.Lock()
	why, connected := a.ending, a.step >= stepSend
	conn := ledger.ConnOf(a.conn)
	a.mu.Unlock()
	if why == nil {
		if why = ledger.EndingOf(err); why != nil && why.By == "gateway" && why.Name == "" {
			return err
		}
	}
	if why == nil {
		why = classify(err, conn, connected)
		a.log(why)
	}
	a.req.Note(func(f *ledger.Facts) { f.Problem = why; f.OriginClose = closedHow(conn, false, false) })
	if !connected {
		return &ConnectError{Ending: why}
	}
	return &Error{Ending: why, cause: err}
}

// log says once what the origin did. Deadlines are logged by the ledger's observer.
func (a *attempt) log(why *ledger.Ending) {
	if why.Name == "" {
		a.t.Log.Warn(why.Text, "code", string(why.Code), "request", a.req.ID().String(), "origin", a.address())
	}
}

func (a *attempt) address() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.conn == nil || a.conn.RemoteAddr() == nil {
		return ""
	}
	return a.conn.RemoteAddr().String()
}

// answered makes the response's body one that is bounded and checked.
func (a *attempt) answered(resp *http.Response) {
	a.req.Note(func(f *ledger.Facts) {
		f.OriginFirst = time.Since(a.begun)
		f.OriginStatus = resp.StatusCode
	})
	a.t.Quirks.response(resp)
	if a.t.Each != nil {
		a.t.Each(resp.Request, resp)
	}
	if rw, ok := resp.Body.(readWriteCloser); ok && resp.StatusCode == http.StatusSwitchingProtocols {
		resp.Body = newTunnel(a, rw)
		return
	}
	resp.Body = newBody(a, resp)
}
