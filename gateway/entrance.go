package gateway

import (
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/quic-go/quic-go/http3"
	"go.uber.org/zap"

	"github.com/honeyant/honeyant/gateway/ledger"
	"github.com/honeyant/honeyant/gateway/serve"
)

// ledgerModule enters the requests of a route in the ledger, and tells the access log how they
// went. It belongs before everything else; once in a route is enough.
type ledgerModule struct {
	Deadlines Deadlines `json:"deadlines,omitzero"` // where the route says nothing else

	shared   *shared
	entrance *serve.Entrance
}

// CaddyModule is Caddy's.
func (m *ledgerModule) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers." + ledgerName, New: func() caddy.Module { return &ledgerModule{shared: m.shared} }}
}

// Provision makes the entrance, and lets metrics and log of this configuration follow the ledger.
func (m *ledgerModule) Provision(ctx caddy.Context) error {
	m.entrance = &serve.Entrance{Ledger: m.shared.ledger, Limits: m.Deadlines.Or(ledger.Defaults()), StatusOf: statusOf, Find: m.quicConn}
	m.shared.log.Store(ctx.Slogger())
	return registerMetrics(ctx, m.shared.ledger)
}

// statusOf knows the errors of Caddy's handlers: a file that is not there is no fault of the gateway.
func statusOf(err error) int {
	var h caddyhttp.HandlerError
	if errors.As(err, &h) {
		return h.StatusCode
	}
	return 0
}

// quicConn finds the connection of a request over HTTP/3. quic-go knows the client by the very
// address that came with its first datagram.
func (m *ledgerModule) quicConn(r *http.Request) *ledger.Conn {
	local, _ := r.Context().Value(http.LocalAddrContextKey).(*net.UDPAddr)
	peer, _ := r.Context().Value(http3.RemoteAddrContextKey).(*net.UDPAddr)
	if r.ProtoMajor != 3 || local == nil || peer == nil {
		return nil
	}
	return m.shared.ledger.QUICConn(local, peer, r.TLS != nil && r.TLS.HandshakeComplete)
}

// ServeHTTP leads a request through the ledger.
func (m *ledgerModule) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	if ledger.From(r.Context()) != nil {
		return next.ServeHTTP(w, r)
	}
	extra, _ := r.Context().Value(caddyhttp.ExtraLogFieldsCtxKey).(*caddyhttp.ExtraLogFields)
	err := m.entrance.Serve(w, r, next.ServeHTTP, func(d serve.Done) {
		if extra != nil {
			extra.Add(zap.Inline(&accessFields{done: d, total: time.Since(d.Request.Started())}))
		}
	})
	var f *serve.Failure
	if errors.As(err, &f) {
		var already caddyhttp.HandlerError
		if errors.As(f.Err, &already) && already.StatusCode == f.Status {
			return f.Err
		}
		return caddyhttp.Error(f.Status, f.Err)
	}
	return err
}

func parseLedger(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	h.Next()
	m := &ledgerModule{}
	for h.NextBlock(0) {
		if err := m.Deadlines.parse(h.Dispenser); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// deadlinesModule sets the deadlines of a route.
type deadlinesModule struct {
	Route     string    `json:"route,omitempty"` // as the ledger and the log should call it
	Deadlines Deadlines `json:"deadlines,omitzero"`
}

// CaddyModule is Caddy's.
func (m *deadlinesModule) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers." + deadlinesName, New: func() caddy.Module { return new(deadlinesModule) }}
}

// ServeHTTP changes the limits of the request.
func (m *deadlinesModule) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	if req := ledger.From(r.Context()); req != nil {
		req.SetRoute(m.Route, m.Deadlines.Or(req.Limits()))
	}
	return next.ServeHTTP(w, r)
}

// parseDeadlines reads `deadlines { NAME TIME ... }`; `route NAME` inside names the route.
func parseDeadlines(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	h.Next()
	if h.NextArg() {
		return nil, h.ArgErr()
	}
	m := &deadlinesModule{}
	for h.NextBlock(0) {
		if h.Val() == "route" {
			if !h.AllArgs(&m.Route) {
				return nil, h.ArgErr()
			}
			continue
		}
		if err := m.Deadlines.parse(h.Dispenser); err != nil {
			return nil, err
		}
	}
	return m, nil
}

var (
	_ caddy.Provisioner           = (*ledgerModule)(nil)
	_ caddyhttp.MiddlewareHandler = (*ledgerModule)(nil)
	_ caddyhttp.MiddlewareHandler = (*deadlinesModule)(nil)
)
