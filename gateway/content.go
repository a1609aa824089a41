package gateway

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/honeyant/honeyant/gateway/code"
	"github.com/honeyant/honeyant/gateway/contenttype"
	"github.com/honeyant/honeyant/gateway/ledger"
)

// contentTypeModule gives a Content-Type to responses that come without one, and says nosniff
// for them. HEAD and ranges get the same as GET: if it takes the first bytes to tell, they are
// asked for.
type contentTypeModule struct {
	Off     bool `json:"off,omitempty"`
	NoProbe bool `json:"no_probe,omitempty"` // never ask for the first bytes by a request of its own

	log *slog.Logger
}

// Provision takes the logger.
func (m *contentTypeModule) Provision(ctx caddy.Context) error {
	m.log = ctx.Slogger()
	return nil
}

// CaddyModule is Caddy's.
func (m *contentTypeModule) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers." + contentTypeName, New: func() caddy.Module { return new(contentTypeModule) }}
}

// ServeHTTP completes the response of next.
func (m *contentTypeModule) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	if m.Off {
		return next.ServeHTTP(w, r)
	}
	tw := &typeWriter{ResponseWriterWrapper: caddyhttp.ResponseWriterWrapper{ResponseWriter: w}, r: r, path: r.URL.Path, log: m.log}
	if !m.NoProbe && (r.Method == http.MethodHead || r.Header.Get("Range") != "") && r.Header.Get(probeHeader) == "" {
		probe := r.Clone(r.Context())
		tw.probe = func() []byte { return firstBytes(probe, next) }
	}
	err := next.ServeHTTP(tw, r)
	if ended := tw.end(); err == nil {
		err = ended
	}
	return err
}

// probeHeader marks the request for the first bytes, so that it makes none itself.
const probeHeader = "X-Honeyant-Probe"

// firstBytes asks for the first bytes of what r asks for the header or a part of.
func firstBytes(r *http.Request, next caddyhttp.Handler) (first []byte) {
	r.Method = http.MethodGet
	for _, name := range []string{"If-Range", "If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since"} {
		r.Header.Del(name)
	}
	r.Header.Set("Range", "bytes=0-511")
	r.Header.Set("Accept-Encoding", "identity")
	r.Header.Set(probeHeader, "1")
	r.Body, r.ContentLength = http.NoBody, 0
	p := &probeWriter{header: http.Header{}}
	defer func() {
		// A proxy whose writer says that it has enough ends with http.ErrAbortHandler.
		if v := recover(); v != nil {
			if err, ok := v.(error); !ok || !errors.Is(err, http.ErrAbortHandler) || !p.full() {
				panic(v)
			}
			first = p.body
		}
	}()
	if err := next.ServeHTTP(p, r); err != nil && !p.full() {
		return nil
	}
	if p.status != http.StatusOK && p.status != http.StatusPartialContent && p.status != 0 {
		return nil
	}
	return p.body
}

// probeWriter keeps the first bytes of a response.
type probeWriter struct {
	header http.Header
	status int
	body   []byte
}

var errEnough = errors.New("the first bytes are enough")

func (p *probeWriter) full() bool          { return len(p.body) >= contenttype.SniffBytes }
func (p *probeWriter) Header() http.Header { return p.header }
func (p *probeWriter) WriteHeader(status int) {
	if p.status == 0 && status >= 200 {
		p.status = status
	}
}

func (p *probeWriter) Write(b []byte) (int, error) {
	p.WriteHeader(http.StatusOK)
	n := min(len(b), contenttype.SniffBytes-len(p.body))
	p.body = append(p.body, b[:n]...)
	if n < len(b) {
		return n, errEnough
	}
	return n, nil
}

// typeWriter holds the header back until the type is known.
type typeWriter struct {
	caddyhttp.ResponseWriterWrapper
	r     *http.Request
	path  string
	log   *slog.Logger
	probe func() []byte // nil: the body itself shows its first bytes

	status int    // held back, 0 if none
	sent   bool   // the header went out
	held   []byte // the first bytes, held back with it
}

// WriteHeader sends the header, or holds it back until there are bytes to look at.
func (w *typeWriter) WriteHeader(status int) {
	if w.sent || w.status != 0 {
		return
	}
	if status < 200 && status != http.StatusSwitchingProtocols {
		w.ResponseWriter.WriteHeader(status)
		return
	}
	w.status = status
	h := w.Header()
	switch {
	case h.Get("Content-Type") != "":
		w.note(contenttype.FromOrigin)
	case status == http.StatusSwitchingProtocols, status == http.StatusNoContent, status == http.StatusNotModified, h.Get("Content-Length") == "0":
		w.note(contenttype.FromNothing)
	default:
		if t, ok := contenttype.ByName(w.path, h.Get("Content-Disposition")); ok && status < 300 {
			w.give(t, contenttype.FromExt)
			break
		}
		if w.r.Method != http.MethodHead && (w.probe == nil || status != http.StatusPartialContent) {
			return // until the first bytes
		}
		var first []byte
		if w.probe != nil && status < 300 {
			first = w.probe()
		}
		if t, ok := contenttype.BySniff(first, ""); ok {
			w.give(t, contenttype.FromSniff)
		} else {
			w.give(contenttype.Default, contenttype.FromDefault)
		}
	}
	w.send()
}

func (w *typeWriter) give(t string, from contenttype.Source) {
	h := w.Header()
	h.Set("Content-Type", t)
	if h.Get("X-Content-Type-Options") == "" {
		h.Set("X-Content-Type-Options", "nosniff")
	}
	w.log.DebugContext(w.r.Context(), "a missing Content-Type was completed", "code", string(code.TypeCompleted), "type", t, "ct_source", string(from), "path", w.path)
	w.note(from)
}

func (w *typeWriter) note(from contenttype.Source) {
	if req := ledger.From(w.r.Context()); req != nil {
		req.Note(func(f *ledger.Facts) { f.TypeSource = string(from) })
	}
}

func (w *typeWriter) send() {
	w.sent = true
	w.ResponseWriter.WriteHeader(w.status)
}

// release decides by what is held and sends it.
func (w *typeWriter) release() error {
	h := w.Header()
	switch {
	case h.Get("Content-Type") != "":
		w.note(contenttype.FromOrigin)
	case len(w.held) == 0:
		w.note(contenttype.FromNothing)
	default:
		t, ok := contenttype.BySniff(w.held, h.Get("Content-Encoding"))
		if ok && !(w.status == http.StatusPartialContent && !strings.HasPrefix(h.Get("Content-Range"), "bytes 0-")) {
			w.give(t, contenttype.FromSniff)
		} else {
			w.give(contenttype.Default, contenttype.FromDefault)
		}
	}
	w.send()
	if len(w.held) == 0 {
		return nil
	}
	held := w.held
	w.held = nil
	_, err := w.ResponseWriter.Write(held)
	return err
}

// enoughToTell is how many bytes are waited for. More are looked at if they are there, but a
// slow response should not wait for all of SniffBytes.
const enoughToTell = 64

// Write sends, holding back the first bytes if they are needed.
func (w *typeWriter) Write(p []byte) (int, error) {
	if !w.sent {
		w.WriteHeader(http.StatusOK)
	}
	if w.sent {
		return w.ResponseWriter.Write(p)
	}
	w.held = append(w.held, p...)
	if len(w.held) < enoughToTell {
		return len(p), nil
	}
	return len(p), w.release()
}

// ReadFrom sends all of r; what is held back first goes through Write.
func (w *typeWriter) ReadFrom(r io.Reader) (int64, error) {
	var total int64
	if !w.sent {
		w.WriteHeader(http.StatusOK)
	}
	if !w.sent {
		n, err := io.Copy(writeOnly{w}, io.LimitReader(r, contenttype.SniffBytes))
		total += n
		if err == nil {
			err = w.end()
		}
		if err != nil {
			return total, err
		}
	}
	n, err := w.ResponseWriterWrapper.ReadFrom(r)
	return total + n, err
}

type writeOnly struct{ io.Writer }

// FlushError sends what is held back: a stream is not kept waiting for its 512th byte, only for
// its first.
func (w *typeWriter) FlushError() error {
	if !w.sent && w.status != 0 && len(w.held) == 0 {
		return nil
	}
	if err := w.end(); err != nil {
		return err
	}
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// end sends what is still held back.
func (w *typeWriter) end() error {
	if w.sent || w.status == 0 {
		return nil
	}
	return w.release()
}

// parseContentType reads `content_type [off] [no_probe]`.
func parseContentType(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	h.Next()
	m := &contentTypeModule{}
	for h.NextArg() {
		switch h.Val() {
		case "off":
			m.Off = true
		case "no_probe":
			m.NoProbe = true
		default:
			return nil, h.Errf("content_type takes off and no_probe, not %q", h.Val())
		}
	}
	return m, nil
}

var (
	_ caddy.Provisioner           = (*contentTypeModule)(nil)
	_ caddyhttp.MiddlewareHandler = (*contentTypeModule)(nil)
)
