package daemon

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

const gateHandler = "honeyant_gate"

// gate stands between the ledger and all routes. It counts the requests that run, and while the process is parting from its
// connections it tells every one of them with its next response.
type gate struct {
	parting atomic.Int32        // how many reasons there are to part
	used    func(remote string) // told of each request's connection; nil: nobody wants to know

	mu      sync.Mutex
	running int
	none    chan struct{} // closed when running gets 0, while somebody waits
}

// part lets responses say goodbye until the returned function is called.
func (g *gate) part() (back func()) {
	g.parting.Add(1)
	return sync.OnceFunc(func() { g.parting.Add(-1) })
}

func (g *gate) enter() {
	g.mu.Lock()
	g.running++
	g.mu.Unlock()
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.running--
	if g.running == 0 && g.none != nil {
		close(g.none)
		g.none = nil
	}
}

// wait returns when no request runs or the context ends, with how many run then.
func (g *gate) wait(ctx context.Context) int {
	g.mu.Lock()
	if g.running == 0 {
		g.mu.Unlock()
		return 0
	}
	if g.none == nil {
		g.none = make(chan struct{})
	}
	none := g.none
	g.mu.Unlock()
	select {
	case <-none:
		return 0
	case <-ctx.Done():
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.running
}

// gateModule is the gate as Caddy sees it.
type gateModule struct{ gate *gate }

// CaddyModule tells Caddy how to make one: all share the gate of the process.
func (m *gateModule) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers." + gateHandler, New: func() caddy.Module { return &gateModule{gate: m.gate} }}
}

// ServeHTTP lets the request through.
func (m *gateModule) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	m.gate.enter()
	defer m.gate.leave()
	if m.gate.used != nil {
		m.gate.used(r.RemoteAddr)
	}
	if m.gate.parting.Load() > 0 {
		w.Header().Set("Connection", "close")
	}
	return next.ServeHTTP(w, r)
}

var _ caddyhttp.MiddlewareHandler = (*gateModule)(nil)
