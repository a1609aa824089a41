package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/honeyant/honeyant/gateway/ledger"
	"github.com/honeyant/honeyant/gateway/origin"
)

// transportModule is Caddy's HTTP transport with deadlines, the ledger, quirks, and detection
// of truncated responses. It has every setting of that one besides its own.
type transportModule struct {
	reverseproxy.HTTPTransport
	Quirks Quirks `json:"quirks,omitzero"`

	shared *shared
	inner  *origin.Transport
}

// Quirks are what an origin needs because it does not keep to the rules; see origin.Quirks.
type Quirks struct {
	NoKeepAlive bool           `json:"no_keepalive,omitempty"`
	Idle        caddy.Duration `json:"idle,omitempty"`
	MaxRequests uint64         `json:"max_requests,omitempty"`
	NoGzip      bool           `json:"no_gzip,omitempty"`
	HTTP10      bool           `json:"http10,omitempty"`
	TrustEOF    bool           `json:"trust_eof,omitempty"`
	Request     []HeaderEdit   `json:"request,omitempty"`
	Response    []HeaderEdit   `json:"response,omitempty"`
}

// HeaderEdit changes one header field: drop, set, or replace what the expression Match finds.
type HeaderEdit struct {
	Op    string `json:"op"`
	Name  string `json:"name"`
	Match string `json:"match,omitempty"`
	Value string `json:"value,omitempty"`
}

// CaddyModule is Caddy's.
func (m *transportModule) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.reverse_proxy.transport." + transportName, New: func() caddy.Module { return &transportModule{shared: m.shared} }}
}

// maxResponseHeader is the limit for an origin's response header where none is configured, in
// bytes.
const maxResponseHeader = 256 << 10

// maxIdle is how many connections to one origin are kept where none is configured. They are kept
// for seconds only, and fewer than there are clients at once would be opened again and again.
const maxIdle = 256

// Provision builds the transport. The deadlines of Caddy's are left off, or set beyond ours,
// since ours name what fired.
func (m *transportModule) Provision(ctx caddy.Context) error {
	quirks, err := m.Quirks.compile()
	if err != nil {
		return err
	}
	limits := ledger.Defaults()
	if m.DialTimeout == 0 {
		m.DialTimeout = caddy.Duration(time.Minute)
	}
	if m.MaxResponseHeaderSize == 0 {
		m.MaxResponseHeaderSize = maxResponseHeader
	}
	if m.KeepAlive == nil {
		m.KeepAlive = new(reverseproxy.KeepAlive)
	}
	if m.KeepAlive.IdleConnTimeout == 0 {
		m.KeepAlive.IdleConnTimeout = caddy.Duration(limits.OriginIdle)
	}
	if m.KeepAlive.MaxIdleConnsPerHost == 0 {
		m.KeepAlive.MaxIdleConnsPerHost = maxIdle
	}
	if err := m.HTTPTransport.Provision(ctx); err != nil {
		return err
	}
	base := m.Transport
	base.DialContext = origin.Dialer(m.shared.ledger, limits, origin.DialFunc(base.DialContext))
	quirks.Configure(base, m.handshake)
	m.inner = &origin.Transport{Base: &m.HTTPTransport, Quirks: quirks, Log: ctx.Slogger(), Each: keepHeader}
	return nil
}

// keepHeader keeps the origin's header if the header log wants it.
func keepHeader(r *http.Request, resp *http.Response) {
	if req := ledger.From(r.Context()); req != nil {
		req.Note(func(f *ledger.Facts) {
			if f.KeepHeader {
				f.OriginHeader = resp.Header.Clone()
			}
		})
	}
}

// handshake makes a connection to an origin one with TLS and without HTTP/2.
func (m *transportModule) handshake(ctx context.Context, c net.Conn, address string) (net.Conn, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if m.Transport.TLSClientConfig != nil {
		config = m.Transport.TLSClientConfig.Clone()
	}
	config.NextProtos = nil
	if config.ServerName == "" {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		config.ServerName = host
	}
	secure := tls.Client(c, config)
	return secure, secure.HandshakeContext(ctx)
}

// RoundTrip sends a request to the origin.
func (m *transportModule) RoundTrip(r *http.Request) (*http.Response, error) {
	m.SetScheme(r)
	resp, err := m.inner.RoundTrip(r)
	var connect *origin.ConnectError
	if errors.As(err, &connect) {
		return nil, &dialError{connect}
	}
	return resp, err
}

// dialError lets Caddy try another upstream, and know a timeout.
type dialError struct{ *origin.ConnectError }

// As makes it one of Caddy's.
func (e *dialError) As(target any) bool {
	if d, ok := target.(*reverseproxy.DialError); ok {
		*d = reverseproxy.NewDialError(e.ConnectError)
		return true
	}
	return false
}

// Unwrap is the ledger's.
func (e *dialError) Unwrap() error { return e.ConnectError }

func (q Quirks) compile() (origin.Quirks, error) {
	out := origin.Quirks{NoKeepAlive: q.NoKeepAlive, Idle: time.Duration(q.Idle), MaxRequests: q.MaxRequests, NoGzip: q.NoGzip, HTTP10: q.HTTP10, TrustEOF: q.TrustEOF}
	for _, list := range []struct {
		from []HeaderEdit
		to   *[]origin.HeaderEdit
	}{{q.Request, &out.Request}, {q.Response, &out.Response}} {
		for _, e := range list.from {
			edit, err := origin.ParseEdit(e.Op, e.Name, e.Match, e.Value)
			if err != nil {
				return out, fmt.Errorf("quirks: %w", err)
			}
			*list.to = append(*list.to, edit)
		}
	}
	return out, nil
}
