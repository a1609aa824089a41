package gateway

import (
	"time"

	"go.uber.org/zap/zapcore"

	"github.com/honeyant/honeyant/gateway/serve"
)

// accessFields is what the ledger knows of a request, for its line in the access log. It is one
// field: Caddy copies and looks through its list of them for each.
type accessFields struct {
	done  serve.Done
	total time.Duration

	quiet bool // the status of the line is already the outcome's
}

// outcomeField is the status as it should be logged where that is not what was sent: 499 if the
// client went away, also if 200 was sent before.
const outcomeField = "outcome"

// status is how the request ended.
func (a *accessFields) status() int { return a.done.Outcome.Status }

// differs tells whether the status that was sent is not how the request ended. Before anything was
// sent the outcome is only what the gateway proposes: handle_errors may answer something else.
func (a *accessFields) differs() bool {
	sent := a.done.Entry.Status
	return a.status() == serve.StatusClientGone || sent != 0 && sent != a.status()
}

// MarshalLogObject adds the fields to the line.
func (a *accessFields) MarshalLogObject(to zapcore.ObjectEncoder) error {
	f, start := &a.done.Facts, a.done.Request.Started()
	add := func(name, value string) {
		if value != "" {
			to.AddString(name, value)
		}
	}
	since := func(name string, t time.Time) {
		if !t.IsZero() {
			to.AddFloat64(name, t.Sub(start).Seconds())
		}
	}
	to.AddUint64("id", uint64(a.done.Request.ID()))
	if !a.quiet && a.differs() {
		to.AddInt(outcomeField, a.status())
	}
	if o := &a.done.Outcome; o.Code != "" {
		add("code", o.Code)
		add("ended", o.Text)
		add("ended_by", o.By)
	}
	add("route", a.done.Entry.Route)
	to.AddFloat64("t_total", a.total.Seconds())
	since("t_first", f.FirstByte)
	since("t_last", f.LastByte)
	add("ct_source", f.TypeSource)
	add("client_close", f.ClientClose)
	if f.Attempts == 0 {
		return nil
	}
	add("origin", a.done.Entry.Origin)
	to.AddInt("origin_status", f.OriginStatus)
	to.AddBool("origin_reused", f.OriginReused)
	to.AddFloat64("origin_connect", f.OriginConnect.Seconds())
	to.AddFloat64("origin_first", f.OriginFirst.Seconds())
	since("origin_last", f.OriginLast)
	add("origin_close", f.OriginClose)
	add("origin_tls", f.OriginTLS)
	add("origin_cipher", f.OriginCipher)
	add("origin_alpn", f.OriginALPN)
	if f.OriginTLS != "" {
		to.AddBool("origin_resumed", f.OriginResumed)
	}
	if p := f.Problem; p != nil && string(p.Code) != a.done.Outcome.Code {
		add("origin_problem", string(p.Code))
	}
	return nil
}

// withOutcome makes the outcome the status of a line, and what was sent its sent_status.
func withOutcome(fields []zapcore.Field) []zapcore.Field {
	status, ours := -1, -1
	for i := range fields {
		if f := &fields[i]; f.Key == "status" {
			status = i
		} else if _, ok := f.Interface.(*accessFields); ok {
			ours = i
		}
	}
	if ours < 0 || status < 0 {
		return fields
	}
	a := fields[ours].Interface.(*accessFields)
	sent := fields[status]
	if sent.Integer != 0 && !a.differs() {
		return fields // nothing to say
	}
	// The list is shared by all loggers of the request.
	out := append(make([]zapcore.Field, 0, len(fields)+1), fields...)
	quiet := *a
	quiet.quiet = true
	out[ours].Interface = &quiet
	out[status].Integer = int64(a.status())
	if sent.Integer != 0 && sent.Integer != int64(a.status()) {
		sent.Key = "sent_status"
		out = append(out, sent)
	}
	return out
}
