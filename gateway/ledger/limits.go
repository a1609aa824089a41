package ledger

import (
	"fmt"
	"strings"
	"time"

	"github.com/honeyant/honeyant/gateway/code"
)

// Limits are the deadlines of one route. Zero means the default of Defaults, Never no limit.
type Limits struct {
	ClientTLS      time.Duration // a client's TLS handshake, from the accept
	ClientHeader   time.Duration // a client's request header, whole
	ClientBodyIdle time.Duration // between two pieces of a request body from the client
	ClientSendIdle time.Duration // until the client takes another piece of the response
	ClientIdle     time.Duration // kept alive without a request
	OriginConnect  time.Duration // name lookup and TCP connect
	OriginTLS      time.Duration // an origin's TLS handshake
	OriginSendIdle time.Duration // until the origin takes another piece of the request
	OriginHeader   time.Duration // from the request sent to the response header, whole
	OriginBodyIdle time.Duration // between two pieces of the origin's response body
	OriginIdle     time.Duration // an origin's connection kept alive without a request
	TunnelIdle     time.Duration // upgraded connections and event streams without traffic
	FileRead       time.Duration // one read of a file
	Total          time.Duration // a whole request
	Close          time.Duration // after the last byte of a connection that is not kept
	Drain          time.Duration // at reload and stop, until what runs is ended

	MinRate   int64         // bytes a second that a transfer must make while waited for, -1 off
	RateAfter time.Duration // the seconds of waiting over which MinRate is measured
}

// Never switches a limit off.
const Never = time.Duration(-1)

// Defaults are the limits where a route says nothing.
func Defaults() Limits {
	return Limits{
		ClientTLS:      5 * time.Second,
		ClientHeader:   10 * time.Second,
		ClientBodyIdle: 60 * time.Second,
		ClientSendIdle: 60 * time.Second,
		ClientIdle:     60 * time.Second,
		OriginConnect:  3 * time.Second,
		OriginTLS:      5 * time.Second,
		OriginSendIdle: 60 * time.Second,
		OriginHeader:   60 * time.Second,
		OriginBodyIdle: 60 * time.Second,
		OriginIdle:     15 * time.Second,
		TunnelIdle:     time.Hour,
		FileRead:       30 * time.Second,
		Total:          Never,
		Close:          time.Second,
		Drain:          10 * time.Second,
		MinRate:        256,
		RateAfter:      30 * time.Second,
	}
}

// Name is a limit as the configuration, the log and the metrics call it.
type Name string

// LimitInfo describes one limit.
type LimitInfo struct {
	Name Name
	Code code.ID // logged when it fires
	Text string  // what it bounds
}

// The names.
const (
	LimitClientTLS      Name = "client_tls"
	LimitClientHeader   Name = "client_header"
	LimitClientBodyIdle Name = "client_body_idle"
	LimitClientBodyRate Name = "client_body_rate"
	LimitClientSendIdle Name = "client_send_idle"
	LimitClientSendRate Name = "client_send_rate"
	LimitClientIdle     Name = "client_idle"
	LimitOriginConnect  Name = "origin_connect"
	LimitOriginTLS      Name = "origin_tls"
	LimitOriginSendIdle Name = "origin_send_idle"
	LimitOriginSendRate Name = "origin_send_rate"
	LimitOriginHeader   Name = "origin_header"
	LimitOriginBodyIdle Name = "origin_body_idle"
	LimitOriginBodyRate Name = "origin_body_rate"
	LimitOriginIdle     Name = "origin_idle"
	LimitTunnelIdle     Name = "tunnel_idle"
	LimitFileRead       Name = "file_read"
	LimitTotal          Name = "total"
	LimitClose          Name = "close"
	LimitDrain          Name = "drain"
)

// LimitTable describes every limit, in the order of the phases. The rate limits have no value
// of their own: MinRate and RateAfter are theirs.
func LimitTable() []LimitInfo {
	return []LimitInfo{
		{LimitClientTLS, code.ClientTLS, "a client's TLS handshake, from the accept"},
		{LimitClientHeader, code.ClientHeader, "a client's request header, whole"},
		{LimitClientBodyIdle, code.ClientBodyIdle, "between two pieces of a request body from the client"},
		{LimitClientBodyRate, code.ClientBodyRate, "a request body from the client slower than min_rate"},
		{LimitClientSendIdle, code.ClientSendIdle, "until the client takes another piece of the response"},
		{LimitClientSendRate, code.ClientSendRate, "a response taken by the client slower than min_rate"},
		{LimitClientIdle, code.ClientIdle, "a client's connection kept alive without a request"},
		{LimitOriginConnect, code.OriginConnect, "name lookup and TCP connect to the origin"},
		{LimitOriginTLS, code.OriginTLS, "an origin's TLS handshake"},
		{LimitOriginSendIdle, code.OriginSendIdle, "until the origin takes another piece of the request"},
		{LimitOriginSendRate, code.OriginSendRate, "a request taken by the origin slower than min_rate"},
		{LimitOriginHeader, code.OriginHeader, "from the request sent to the origin's response header"},
		{LimitOriginBodyIdle, code.OriginBodyIdle, "between two pieces of the origin's response body"},
		{LimitOriginBodyRate, code.OriginBodyRate, "an origin's response body slower than min_rate"},
		{LimitOriginIdle, code.OriginIdle, "an origin's connection kept alive without a request"},
		{LimitTunnelIdle, code.ClientTunnel, "an upgraded connection or event stream without traffic"},
		{LimitFileRead, code.FileRead, "one read of a file"},
		{LimitTotal, code.ClientTotal, "a whole request"},
		{LimitClose, code.ClientClose, "after the last byte of a connection that is not kept alive"},
		{LimitDrain, code.Drain, "at reload and stop, until what still runs is ended"},
	}
}

// Describe answers the row of a name.
func Describe(name Name) LimitInfo {
	for _, i := range LimitTable() {
		if i.Name == name {
			return i
		}
	}
	return LimitInfo{Name: name}
}

// field is where the value of a limit stands, nil if it has none of its own. It is asked for
// each wait, so it makes nothing.
func (l *Limits) field(name Name) *time.Duration {
	switch name {
	case LimitClientTLS:
		return &l.ClientTLS
	case LimitClientHeader:
		return &l.ClientHeader
	case LimitClientBodyIdle:
		return &l.ClientBodyIdle
	case LimitClientSendIdle:
		return &l.ClientSendIdle
	case LimitClientIdle:
		return &l.ClientIdle
	case LimitOriginConnect:
		return &l.OriginConnect
	case LimitOriginTLS:
		return &l.OriginTLS
	case LimitOriginSendIdle:
		return &l.OriginSendIdle
	case LimitOriginHeader:
		return &l.OriginHeader
	case LimitOriginBodyIdle:
		return &l.OriginBodyIdle
	case LimitOriginIdle:
		return &l.OriginIdle
	case LimitTunnelIdle:
		return &l.TunnelIdle
	case LimitFileRead:
		return &l.FileRead
	case LimitTotal:
		return &l.Total
	case LimitClose:
		return &l.Close
	case LimitDrain:
		return &l.Drain
	}
	return nil
}

// Set changes the limit called name; d below zero is Never. It tells whether there is such a limit.
func (l *Limits) Set(name Name, d time.Duration) bool {
	f := l.field(name)
	if f == nil {
		return false
	}
	*f = max(d, Never)
	return true
}

// Get answers the limit called name, 0 if there is no such limit.
func (l Limits) Get(name Name) time.Duration {
	if f := l.field(name); f != nil {
		return *f
	}
	return 0
}

// Or fills what is zero from under.
func (l Limits) Or(under Limits) Limits {
	for _, i := range LimitTable() {
		if f := l.field(i.Name); f != nil && *f == 0 {
			*f = *under.field(i.Name)
		}
	}
	if l.MinRate == 0 {
		l.MinRate = under.MinRate
	}
	if l.RateAfter == 0 {
		l.RateAfter = under.RateAfter
	}
	return l
}

// Validate finds what can not be meant.
func (l Limits) Validate() error {
	for _, i := range LimitTable() {
		if d := l.Get(i.Name); d > 0 && d < 10*time.Millisecond {
			return fmt.Errorf("%s %s is less than 10ms; is the unit missing?", i.Name, d)
		}
	}
	return nil
}

// Side says who is waited for: client, origin, or gateway for what concerns both.
func (i LimitInfo) Side() string {
	for _, side := range []Side{Client, Origin} {
		if strings.HasPrefix(string(i.Name), string(side)+"_") {
			return string(side)
		}
	}
	return "gateway"
}
