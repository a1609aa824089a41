package gateway

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/logging"
	"go.uber.org/zap/buffer"
	"go.uber.org/zap/zapcore"
)

// The names of the log formats.
const (
	encoderJSON = "gateway"
	encoderCLF  = "clf"
)

// jsonEncoder is Caddy's JSON, with the status of requests as they ended: 499 if the client
// went away, whatever status was sent before, which is then sent_status.
type jsonEncoder struct {
	logging.JSONEncoder
}

// CaddyModule is Caddy's.
func (e *jsonEncoder) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "caddy.logging.encoders." + encoderJSON, New: func() caddy.Module { return new(jsonEncoder) }}
}

// Clone is zap's.
func (e *jsonEncoder) Clone() zapcore.Encoder {
	return &jsonEncoder{logging.JSONEncoder{Encoder: e.JSONEncoder.Encoder.Clone()}}
}

// EncodeEntry is zap's.
func (e *jsonEncoder) EncodeEntry(entry zapcore.Entry, fields []zapcore.Field) (*buffer.Buffer, error) {
	return e.JSONEncoder.EncodeEntry(entry, withOutcome(fields))
}

// clfEncoder writes the access log in the Common Log Format, with the referrer and the user
// agent of the combined one if wanted, and, as DeleGate did, with two timings at the end: the
// seconds until the origin answered + those of relaying, and how it ended.
//
//	192.0.2.1 - - [22/Nov/2026:23:00:00 +0900] "GET /a HTTP/1.1" 200 1234 0.012+0.340:-
type clfEncoder struct {
	Combined bool `json:"combined,omitempty"`
	Plain    bool `json:"plain,omitempty"` // without the timings

	logging.JSONEncoder // for what is no request
	request             *caddyhttp.LoggableHTTPRequest
}

// AddObject is zap's: the request comes this way.
func (e *clfEncoder) AddObject(key string, o zapcore.ObjectMarshaler) error {
	if r, ok := o.(caddyhttp.LoggableHTTPRequest); ok {
		e.request = &r
	}
	return e.JSONEncoder.AddObject(key, o)
}

// CaddyModule is Caddy's.
func (e *clfEncoder) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "caddy.logging.encoders." + encoderCLF, New: func() caddy.Module { return new(clfEncoder) }}
}

// UnmarshalCaddyfile reads `format clf [combined] [plain]`.
func (e *clfEncoder) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	for d.NextArg() {
		switch d.Val() {
		case "combined":
			e.Combined = true
		case "plain":
			e.Plain = true
		default:
			return d.Errf("format clf takes combined and plain, not %q", d.Val())
		}
	}
	return nil
}

// Clone is zap's.
func (e *clfEncoder) Clone() zapcore.Encoder {
	return &clfEncoder{e.Combined, e.Plain, logging.JSONEncoder{Encoder: e.JSONEncoder.Encoder.Clone()}, e.request}
}

// EncodeEntry writes one line. Messages that are no requests stay JSON.
func (e *clfEncoder) EncodeEntry(entry zapcore.Entry, fields []zapcore.Field) (*buffer.Buffer, error) {
	m := zapcore.NewMapObjectEncoder()
	request := e.request
	for _, f := range withOutcome(fields) {
		if r, ok := f.Interface.(caddyhttp.LoggableHTTPRequest); ok {
			request = &r
			continue
		}
		if f.Type != zapcore.ObjectMarshalerType { // the inline one is ours
			f.AddTo(m)
		}
	}
	if request == nil || m.Fields["status"] == nil {
		return e.JSONEncoder.EncodeEntry(entry, fields)
	}
	r := request.Request
	host, _, _ := strings.Cut(r.RemoteAddr, " ")
	if i := strings.LastIndexByte(host, ':'); i > 0 {
		host = strings.Trim(host[:i], "[]")
	}
	line := buffer.NewPool().Get()
	fmt.Fprintf(line, "%s - %s [%s] \"%s\" %v %s", orDash(host), orDash(clean(fmt.Sprint(orEmpty(m.Fields["user_id"])))),
		entry.Time.Format("02/Jan/2006:15:04:05 -0700"), clean(r.Method+" "+r.RequestURI+" "+r.Proto), m.Fields["status"], size(m.Fields["size"]))
	if e.Combined {
		fmt.Fprintf(line, " \"%s\" \"%s\"", clean(orDash(r.Referer())), clean(orDash(r.UserAgent())))
	}
	if !e.Plain {
		first, _ := m.Fields["origin_first"].(float64)
		total := 0.0
		if d, ok := m.Fields["duration"].(time.Duration); ok {
			total = d.Seconds()
		}
		fmt.Fprintf(line, " %.3f+%.3f:%s", first, max(0, total-first), orDash(clean(fmt.Sprint(orEmpty(m.Fields["code"])))))
	}
	line.AppendByte('\n')
	return line, nil
}

func orEmpty(v any) any {
	if v == nil {
		return ""
	}
	return v
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func size(v any) string {
	n, err := strconv.ParseInt(fmt.Sprint(v), 10, 64)
	if err != nil || n == 0 {
		return "-"
	}
	return strconv.FormatInt(n, 10)
}

// clean keeps a client from writing quotes and line ends into the log.
func clean(s string) string {
	if !strings.ContainsFunc(s, unclean) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if unclean(r) {
			fmt.Fprintf(&b, "\\x%02x", r)
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

func unclean(r rune) bool { return r < ' ' || r == '"' || r == '\\' || r == 0x7f }
