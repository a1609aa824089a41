package gateway

import (
	"strconv"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// UnmarshalCaddyfile reads all that `transport http` has, and quirks:
//
//	transport honeyant {
//		quirks {
//			no_keepalive
//			idle 5s
//			max_requests 100
//			no_gzip
//			http10
//			trust_eof
//			request drop|set|replace NAME ...
//			response drop|set|replace NAME ...
//		}
//	}
func (m *transportModule) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	first := d.Token()
	first.Text = "http"
	rest := []caddyfile.Token{first}
	brace := first
	brace.Text = "{"
	rest = append(rest, brace)
	for d.NextBlock(0) {
		if d.Val() != "quirks" {
			rest = append(rest, d.NextSegment()...)
			continue
		}
		if err := m.Quirks.parse(d); err != nil {
			return err
		}
	}
	if len(rest) == 2 {
		return nil
	}
	brace = rest[len(rest)-1]
	brace.Text = "}"
	brace.Line++
	return m.HTTPTransport.UnmarshalCaddyfile(caddyfile.NewDispenser(append(rest, brace)))
}

// parse reads the block, or a single quirk on the line.
func (q *Quirks) parse(d *caddyfile.Dispenser) error {
	for d.NextArg() {
		if !q.flag(d.Val()) {
			return d.Errf("quirk %q is unknown or needs a block", d.Val())
		}
	}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		name := d.Val()
		args := d.RemainingArgs()
		switch {
		case len(args) == 0 && q.flag(name):
		case name == "idle" && len(args) == 1:
			v, err := caddy.ParseDuration(args[0])
			if err != nil {
				return d.Errf("idle %q: %v", args[0], err)
			}
			q.Idle = caddy.Duration(v)
		case name == "max_requests" && len(args) == 1:
			n, err := strconv.ParseUint(args[0], 10, 32)
			if err != nil {
				return d.Errf("max_requests %q: %v", args[0], err)
			}
			q.MaxRequests = n
		case (name == "request" || name == "response") && len(args) >= 2:
			e := HeaderEdit{Op: args[0], Name: args[1]}
			switch {
			case e.Op == "drop" && len(args) == 2:
			case e.Op == "set" && len(args) == 3:
				e.Value = args[2]
			case e.Op == "replace" && len(args) == 4:
				e.Match, e.Value = args[2], args[3]
			default:
				return d.Errf("write %s drop NAME, set NAME VALUE or replace NAME EXPRESSION VALUE", name)
			}
			if name == "request" {
				q.Request = append(q.Request, e)
			} else {
				q.Response = append(q.Response, e)
			}
		default:
			return d.Errf("quirk %q is unknown or lacks its value", name)
		}
	}
	return nil
}

// flag sets a quirk that has no value.
func (q *Quirks) flag(name string) bool {
	switch name {
	case "no_keepalive":
		q.NoKeepAlive = true
	case "no_gzip":
		q.NoGzip = true
	case "http10":
		q.HTTP10 = true
	case "trust_eof":
		q.TrustEOF = true
	default:
		return false
	}
	return true
}
