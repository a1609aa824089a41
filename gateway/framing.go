package gateway

import (
	"fmt"
	"net"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/honeyant/honeyant/gateway/framing"
)

// framingModule reads along the requests of HTTP/1, so that `ledger` can refuse those that say in two ways how long
// their bodies are. It belongs right above TLS:
//
//	servers {
//		listener_wrappers {
//			honeyant
//			tls
//			honeyant_framing
//		}
//	}
type framingModule struct {
	handshake time.Duration
}

// CaddyModule is Caddy's.
func (m *framingModule) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "caddy.listeners." + framingName, New: func() caddy.Module { return new(framingModule) }}
}

// Provision asks the server to tell when requests begin. Handshakes get the time that net/http would give them; the
// limit client_tls is shorter.
func (m *framingModule) Provision(ctx caddy.Context) error {
	server, ok := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if !ok {
		return fmt.Errorf("the listener wrapper %s works in HTTP servers only", framingName)
	}
	m.handshake = time.Minute
	for _, limit := range []caddy.Duration{server.ReadHeaderTimeout, server.ReadTimeout, server.WriteTimeout} {
		if limit > 0 {
			m.handshake = min(m.handshake, time.Duration(limit))
		}
	}
	server.RegisterConnState(framing.ConnState)
	server.RegisterConnContext(framing.WithConn)
	return nil
}

// WrapListener is Caddy's.
func (m *framingModule) WrapListener(l net.Listener) net.Listener {
	return framing.WrapListener(l, m.handshake)
}

// UnmarshalCaddyfile reads `honeyant_framing`.
func (m *framingModule) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if d.NextArg() || d.NextBlock(0) {
		return d.ArgErr()
	}
	return nil
}

var (
	_ caddy.Provisioner     = (*framingModule)(nil)
	_ caddy.ListenerWrapper = (*framingModule)(nil)
	_ caddyfile.Unmarshaler = (*framingModule)(nil)
)
