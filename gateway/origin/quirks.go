package origin

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"strings"
	"time"
)

// Quirks are what one origin needs because it does not keep to the rules. The zero value is
// none.
type Quirks struct {
	NoKeepAlive bool          // close after each request, and say so to the origin
	Idle        time.Duration // keep connections at most so long without a request; 0 the limit origin_idle
	MaxRequests uint64        // close a connection after so many requests; 0 no limit
	NoGzip      bool          // ask for no compressed response
	HTTP10      bool          // speak HTTP/1.0; implies NoKeepAlive
	TrustEOF    bool          // take a connection's end without close_notify for a complete response
	Request     []HeaderEdit  // done to the request, in order
	Response    []HeaderEdit  // done to the response, in order
}

// HeaderEdit changes one header field.
type HeaderEdit struct {
	Op    EditOp         `json:"op"`
	Name  string         `json:"name"`
	Value string         `json:"value,omitempty"` // what is set, or put in the place of what Match finds
	Match *regexp.Regexp `json:"-"`               // for replace
}

// EditOp is what is done to a field.
type EditOp string

// The edits.
const (
	Drop    EditOp = "drop"
	Set     EditOp = "set"
	Replace EditOp = "replace"
)

// ParseEdit makes an edit of its words; match is a regular expression, for replace only.
func ParseEdit(op, name, match, value string) (HeaderEdit, error) {
	e := HeaderEdit{Op: EditOp(op), Name: name, Value: value}
	if name == "" {
		return e, fmt.Errorf("%s: say which header field", op)
	}
	switch e.Op {
	case Drop, Set:
		return e, nil
	case Replace:
		var err error
		if e.Match, err = regexp.Compile(match); err != nil {
			return e, fmt.Errorf("replace %s: %w", name, err)
		}
		return e, nil
	}
	return e, fmt.Errorf("%q is not drop, set or replace", op)
}

func (e HeaderEdit) apply(h http.Header) {
	switch e.Op {
	case Drop:
		h.Del(e.Name)
	case Set:
		h.Set(e.Name, e.Value)
	case Replace:
		if e.Match == nil {
			return
		}
		values := h.Values(e.Name)
		for i, v := range values {
			values[i] = e.Match.ReplaceAllString(v, e.Value)
		}
	}
}

// request applies the quirks to a request that is about to be sent. out is a shallow copy of
// in, whose header must not change. It tells whether there was any.
func (q *Quirks) request(out, in *http.Request) bool {
	if q.NoKeepAlive || q.HTTP10 {
		out.Close = true
	}
	if !q.NoGzip && len(q.Request) == 0 {
		return out.Close
	}
	out.Header = in.Header.Clone()
	if q.NoGzip {
		out.Header.Set("Accept-Encoding", "identity")
	}
	for _, e := range q.Request {
		if strings.EqualFold(e.Name, "Host") && e.Op == Set {
			out.Host = e.Value
			continue
		}
		e.apply(out.Header)
	}
	return true
}

// response applies the quirks to a response that came in.
func (q *Quirks) response(resp *http.Response) {
	for _, e := range q.Response {
		e.apply(resp.Header)
		if e.Op == Drop && strings.EqualFold(e.Name, "Content-Length") {
			resp.ContentLength = -1
		}
	}
}

// Configure sets what a transport must know of the quirks. Dials of TLS connections need tls
// to make the handshake over a connection that dial opened; it is used for HTTP/1.0 only.
func (q *Quirks) Configure(t *http.Transport, handshake func(context.Context, net.Conn, string) (net.Conn, error)) {
	if q.NoKeepAlive || q.HTTP10 {
		t.DisableKeepAlives = true
	}
	if q.Idle > 0 {
		t.IdleConnTimeout = q.Idle
	}
	if q.NoGzip {
		t.DisableCompression = true
	}
	if !q.HTTP10 {
		return
	}
	dial := t.DialContext
	t.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &oldConn{Conn: c}, nil
	}
	t.DialTLSContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		secure, err := handshake(ctx, c, address)
		if err != nil {
			c.Close()
			return nil, err
		}
		return &oldConn{Conn: secure}, nil
	}
}

// oldConn makes a request of HTTP/1.0: net/http only writes HTTP/1.1, and the connection
// carries one request.
type oldConn struct {
	net.Conn
	done bool // the request line was written
	line []byte
}

// NetConn is the connection below.
func (c *oldConn) NetConn() net.Conn { return c.Conn }

// maxRequestLine bounds what is held back until the request line is complete, in bytes.
const maxRequestLine = 64 << 10

// Write changes the version in the request line.
func (c *oldConn) Write(p []byte) (int, error) {
	if c.done {
		return c.Conn.Write(p)
	}
	c.line = append(c.line, p...)
	end := strings.Index(string(c.line), "\r\n")
	if end < 0 && len(c.line) < maxRequestLine {
		return len(p), nil
	}
	c.done = true
	out := c.line
	if end >= 0 && strings.HasSuffix(string(out[:end]), " HTTP/1.1") {
		out[end-1] = '0'
	}
	c.line = nil
	if _, err := c.Conn.Write(out); err != nil {
		return 0, err
	}
	return len(p), nil
}
