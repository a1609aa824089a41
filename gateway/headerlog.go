package gateway

import (
	"log/slog"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/honeyant/honeyant/gateway/code"
	"github.com/honeyant/honeyant/gateway/headerlog"
	"github.com/honeyant/honeyant/gateway/ledger"
)

// headerLogModule logs headers: of the request as it came, of the origin's response, and of the
// response as it is sent. Secrets are replaced.
type headerLogModule struct {
	Which  []string `json:"which,omitempty"`  // request, origin, response; all if empty
	Sample int      `json:"sample,omitempty"` // one in so many requests
	Errors bool     `json:"errors,omitempty"` // only those with a status of 400 and more
	Hide   []string `json:"hide,omitempty"`   // more fields to hide

	log *slog.Logger
}

// CaddyModule is Caddy's.
func (m *headerLogModule) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers." + headerLogName, New: func() caddy.Module { return new(headerLogModule) }}
}

// Provision takes the logger.
func (m *headerLogModule) Provision(ctx caddy.Context) error {
	m.log = ctx.Slogger()
	return nil
}

// ServeHTTP logs a request's headers when it is over.
func (m *headerLogModule) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	if m.Sample > 1 && rand.IntN(m.Sample) != 0 { //nolint:gosec // a sample
		return next.ServeHTTP(w, r)
	}
	req := ledger.From(r.Context())
	if req != nil {
		req.Note(func(f *ledger.Facts) { f.KeepHeader = true })
	}
	asked := r.Header.Clone()
	line := r.Method + " " + r.URL.EscapedPath()
	hw := &headerWriter{ResponseWriterWrapper: &caddyhttp.ResponseWriterWrapper{ResponseWriter: w}}
	if req != nil {
		// Others may still change the header, so it is written when the response is over.
		req.After(func() { m.write(r, req, line, asked, hw) })
	} else {
		defer func() { m.write(r, req, line, asked, hw) }()
	}
	return next.ServeHTTP(hw, r)
}

func (m *headerLogModule) write(r *http.Request, req *ledger.Req, line string, asked http.Header, w *headerWriter) {
	if m.Errors && w.status < http.StatusBadRequest && w.status != 0 {
		return
	}
	attrs := []slog.Attr{slog.String("code", string(code.HeaderLog)), slog.String("host", r.Host), slog.String("line", line), slog.Int("status", w.status)}
	var facts ledger.Facts
	if req != nil {
		if facts = req.Facts(); facts.SentHeader != nil {
			w.header = facts.SentHeader
		}
		attrs = append(attrs, slog.Uint64("id", uint64(req.ID())), slog.String("ct_source", facts.TypeSource))
	}
	for _, part := range []struct {
		name   string
		header map[string][]string
	}{{"request", asked}, {"origin", facts.OriginHeader}, {"response", w.header}} {
		if part.header != nil && (len(m.Which) == 0 || slices.Contains(m.Which, part.name)) {
			attrs = append(attrs, slog.Any(part.name, headerlog.Redact(part.header, m.Hide)))
		}
	}
	m.log.LogAttrs(r.Context(), slog.LevelInfo, "headers", attrs...)
}

// headerWriter keeps the header as it is sent.
type headerWriter struct {
	*caddyhttp.ResponseWriterWrapper
	status int
	header http.Header
}

// WriteHeader sends the header.
func (w *headerWriter) WriteHeader(status int) {
	if w.status == 0 && (status >= 200 || status == http.StatusSwitchingProtocols) {
		w.status, w.header = status, w.Header().Clone()
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write sends a piece of the body.
func (w *headerWriter) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	return w.ResponseWriter.Write(p)
}

// parseHeaderLog reads `log_headers [request] [origin] [response] { sample 1/N; errors; hide NAME... }`.
func parseHeaderLog(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	h.Next()
	m := &headerLogModule{}
	for h.NextArg() {
		switch h.Val() {
		case "request", "origin", "response":
			m.Which = append(m.Which, h.Val())
		default:
			return nil, h.Errf("log_headers takes request, origin and response, not %q", h.Val())
		}
	}
	for h.NextBlock(0) {
		name := h.Val()
		args := h.RemainingArgs()
		switch {
		case name == "errors" && len(args) == 0:
			m.Errors = true
		case name == "hide" && len(args) > 0:
			m.Hide = append(m.Hide, args...)
		case name == "sample" && len(args) == 1:
			n, err := strconv.Atoi(strings.TrimPrefix(args[0], "1/"))
			if err != nil || n < 1 {
				return nil, h.Errf("sample %q: write 1/10 for one in ten", args[0])
			}
			m.Sample = n
		default:
			return nil, h.Errf("log_headers: %q is unknown or lacks its value", name)
		}
	}
	return m, nil
}

var (
	_ caddy.Provisioner           = (*headerLogModule)(nil)
	_ caddyhttp.MiddlewareHandler = (*headerLogModule)(nil)
)
