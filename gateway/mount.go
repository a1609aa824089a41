package gateway

import (
	"encoding/json"
	"log/slog"
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/honeyant/honeyant/gateway/code"
	"github.com/honeyant/honeyant/gateway/ledger"
	"github.com/honeyant/honeyant/gateway/pathmap"
)

// mountModule maps a tree of paths onto a tree of an origin, and Location and Set-Cookie back.
// The proxy follows it.
type mountModule struct {
	From string `json:"from"`
	To   string `json:"to"`

	paths pathmap.Map
	log   *slog.Logger
}

// CaddyModule is Caddy's.
func (m *mountModule) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers." + mountName, New: func() caddy.Module { return new(mountModule) }}
}

// Provision reads the two sides.
func (m *mountModule) Provision(ctx caddy.Context) (err error) {
	m.log = ctx.Slogger()
	m.paths, err = pathmap.Parse(m.From, m.To)
	return err
}

// ServeHTTP maps a request and its response.
func (m *mountModule) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	p, raw, ok := m.paths.Request(r.URL.Path, r.URL.RawPath)
	if !ok {
		return caddyhttp.Error(http.StatusNotFound, nil)
	}
	if req := ledger.From(r.Context()); req != nil {
		req.SetRoute("mount "+m.From, req.Limits())
	}
	r.URL.Path, r.URL.RawPath = p, raw
	return next.ServeHTTP(&mountWriter{ResponseWriterWrapper: &caddyhttp.ResponseWriterWrapper{ResponseWriter: w}, m: m, r: r}, r)
}

// mountWriter maps a response's header back.
type mountWriter struct {
	*caddyhttp.ResponseWriterWrapper
	m    *mountModule
	r    *http.Request
	done bool
}

// WriteHeader maps and sends the header.
func (w *mountWriter) WriteHeader(status int) {
	if !w.done && status >= 200 {
		w.done = true
		was := w.Header().Get("Location")
		foreign := w.m.paths.Header(w.Header())
		switch {
		case foreign:
			w.m.log.Debug("the origin sent a Location that no mount maps back", "code", string(code.MountForeign), "mount", w.m.From)
		case was != w.Header().Get("Location"):
			w.m.log.Debug("a Location was mapped back", "code", string(code.MountRewrote), "mount", w.m.From)
		}
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write sends a piece of the body.
func (w *mountWriter) Write(p []byte) (int, error) {
	if !w.done {
		w.WriteHeader(http.StatusOK)
	}
	return w.ResponseWriter.Write(p)
}

// parseMount reads `mount /x/* https://host/y/* { ... }`; in the block is what reverse_proxy has.
func parseMount(h httpcaddyfile.Helper) ([]httpcaddyfile.ConfigValue, error) {
	h.Next()
	word := h.Token()
	m := &mountModule{}
	if !h.Args(&m.From, &m.To) || h.NextArg() {
		return nil, h.Errf("write: mount /x/* https://host/y/*")
	}
	paths, err := pathmap.Parse(m.From, m.To)
	if err != nil {
		return nil, h.Err(err.Error())
	}
	m.From = paths.From
	say := func(line int, words ...string) (tokens []caddyfile.Token) {
		for _, text := range words {
			t := word
			t.Text, t.Line = text, word.Line+line
			tokens = append(tokens, t)
		}
		return tokens
	}
	// The lines of the block keep their own numbers; what is added stands around them.
	tokens := say(0, "reverse_proxy", paths.To.Scheme+"://"+paths.To.Host, "{")
	last := word.Line
	var block []caddyfile.Token
	for h.NextBlock(0) {
		block = append(block, h.NextSegment()...)
	}
	for i := range block {
		block[i].Line++
		last = max(last, block[i].Line)
	}
	tokens = append(tokens, say(1, "header_up", "Host", paths.To.Host)...)
	for i := range block {
		block[i].Line++
	}
	tokens = append(tokens, block...)
	tokens = append(tokens, say(last-word.Line+3, "}")...)
	proxy := new(reverseproxy.Handler)
	if err := proxy.UnmarshalCaddyfile(caddyfile.NewDispenser(tokens)); err != nil {
		return nil, err
	}
	if err := proxy.FinalizeUnmarshalCaddyfile(h); err != nil {
		return nil, err
	}
	sub := &caddyhttp.Subroute{Routes: caddyhttp.RouteList{{HandlersRaw: []json.RawMessage{
		caddyconfig.JSONModuleObject(m, "handler", mountName, nil),
		caddyconfig.JSONModuleObject(proxy, "handler", "reverse_proxy", nil),
	}}}}
	match := caddy.ModuleMap{"path": h.JSON(caddyhttp.MatchPath{m.From + "*"})}
	if m.From != "/" {
		match["path"] = h.JSON(caddyhttp.MatchPath{m.From + "*", m.From[:len(m.From)-1]})
	}
	return h.NewRoute(match, sub), nil
}

var (
	_ caddy.Provisioner           = (*mountModule)(nil)
	_ caddyhttp.MiddlewareHandler = (*mountModule)(nil)
)
