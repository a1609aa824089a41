package gateway

import (
	"fmt"
	"net"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/honeyant/honeyant/gateway/ledger"
	"github.com/honeyant/honeyant/gateway/serve"
)

// listenerModule enters the accepted connections of a server in the ledger and bounds their
// handshake, header, idle time and close. It belongs below TLS:
//
//	servers {
//		listener_wrappers {
//			honeyant
//			tls
//		}
//	}
type listenerModule struct {
	// Limits of connections before their first request: client_tls, client_header, client_idle
	// and close.
	Deadlines Deadlines `json:"deadlines,omitzero"`

	shared *shared
	limits ledger.Limits
}

// CaddyModule is Caddy's.
func (m *listenerModule) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "caddy.listeners." + listenerName, New: func() caddy.Module { return &listenerModule{shared: m.shared} }}
}

// Provision asks the server to tell what happens on its connections.
func (m *listenerModule) Provision(ctx caddy.Context) error {
	m.limits = m.Deadlines.Or(ledger.Defaults())
	server, ok := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if !ok {
		return fmt.Errorf("the listener wrapper %s works in HTTP servers only", listenerName)
	}
	server.RegisterConnState(serve.ConnState)
	server.RegisterConnContext(serve.WithConn)
	return nil
}

// WrapListener is Caddy's.
func (m *listenerModule) WrapListener(l net.Listener) net.Listener {
	return m.shared.ledger.WrapListener(l, m.limits)
}

// UnmarshalCaddyfile reads `honeyant { NAME TIME ... }`.
func (m *listenerModule) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	return m.Deadlines.parseBlock(d)
}

var (
	_ caddy.Provisioner     = (*listenerModule)(nil)
	_ caddy.ListenerWrapper = (*listenerModule)(nil)
	_ caddyfile.Unmarshaler = (*listenerModule)(nil)
)
