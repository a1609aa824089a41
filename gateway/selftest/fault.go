package selftest

import (
	"context"
	"time"
)

// Limits are the deadlines that the proxy under test is configured with; each fault must be over within its own and Slack.
type Limits struct {
	Connect   time.Duration `json:"connect"`    // to an origin
	TLS       time.Duration `json:"tls"`        // handshake, either side
	Header    time.Duration `json:"header"`     // an origin's response header
	Idle      time.Duration `json:"idle"`       // without a byte, in a body of either side
	RateAfter time.Duration `json:"rate_after"` // until a trickle counts as too slow
	Close     time.Duration `json:"close"`      // after the last byte, and from the client's going to the origin's cancelling
	Slack     time.Duration `json:"slack"`      // for a busy machine
}

// Defaults are the gateway's own deadlines.
func Defaults() Limits {
	return Limits{Connect: 3 * time.Second, TLS: 5 * time.Second, Header: 60 * time.Second, Idle: 60 * time.Second,
		RateAfter: 30 * time.Second, Close: time.Second, Slack: 5 * time.Second}
}

// Short are deadlines for a run that does not take long.
func Short() Limits {
	return Limits{Connect: 2 * time.Second, TLS: 2 * time.Second, Header: 3 * time.Second, Idle: 3 * time.Second,
		RateAfter: 3 * time.Second, Close: time.Second, Slack: 4 * time.Second}
}

// Fault is one way in which things go wrong.
type Fault struct {
	Number int    `json:"number"`
	Name   string `json:"name"`
	Title  string `json:"title"`
	Want   string `json:"want"` // what should come of it
	port   string // which of the origin's ports
	script script // how the origin behaves, nil for a plain answer
	held   bool   // the origin holds the connection, and the proxy has to let go of it
	limit  func(Limits) time.Duration
	play   func(ctx context.Context, t *trial) // fills in the row
}

// Verdict is how a fault ended.
type Verdict string

// The verdicts.
const (
	Survived Verdict = "survived"
	Wrong    Verdict = "wrong" // in time, but the client or the origin was told something that is not so
	Hung     Verdict = "hung"  // not over within the limit
	Skipped  Verdict = "skipped"
)

// Row is the outcome of one fault.
type Row struct {
	Fault
	Verdict Verdict `json:"verdict"`
	Client  string  `json:"client"`         // what the client saw
	Origin  string  `json:"origin"`         // what the origin saw
	Code    string  `json:"code,omitempty"` // what the gateway logged for the request
	Seconds float64 `json:"seconds"`        // until it was over on both sides
	Limit   float64 `json:"limit_seconds"`
	Note    string  `json:"note,omitempty"`
}

// Faults lists all thirty.
func Faults() []Fault {
	var all []Fault
	all = append(all, bodyFaults()...)
	all = append(all, tlsFaults()...)
	all = append(all, headFaults()...)
	all = append(all, clientFaults()...)
	all = append(all, processFaults()...)
	byNumber := make([]Fault, len(all))
	for _, f := range all {
		byNumber[f.Number-1] = f
	}
	return byNumber
}

// The limits that faults have, to which Slack is added.
func atOnce(Limits) time.Duration           { return 0 }
func connectLimit(l Limits) time.Duration   { return l.Connect }
func handshakeLimit(l Limits) time.Duration { return l.TLS }
func headerLimit(l Limits) time.Duration    { return l.Header }
func idleLimit(l Limits) time.Duration      { return l.Idle }
func rateLimit(l Limits) time.Duration      { return l.Idle + l.RateAfter } // a proxy may look at either first
func closeLimit(l Limits) time.Duration     { return l.Close }
