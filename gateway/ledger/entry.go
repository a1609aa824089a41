package ledger

import (
	"strconv"
	"time"
)

// ID names a connection or a request; see L3. It is not a process ID.
type ID uint64

// String is decimal.
func (id ID) String() string { return strconv.FormatUint(uint64(id), 10) }

// ParseID reads what String wrote.
func ParseID(s string) (ID, error) {
	n, err := strconv.ParseUint(s, 10, 64)
	return ID(n), err
}

// Kind tells connections and requests apart.
type Kind string

// The kinds.
const (
	Connection Kind = "connection"
	Request    Kind = "request"
)

// Side is who is at the other end.
type Side string

// The sides. A request belongs to the client's side, its attempts at an origin run within it.
const (
	Client Side = "client"
	Origin Side = "origin"
)

// Entry is a snapshot of one connection or request.
type Entry struct {
	ID      ID        `json:"id"`
	Kind    Kind      `json:"kind"`
	Side    Side      `json:"side"`
	Phase   Phase     `json:"phase"`
	Started time.Time `json:"started"`
	Progress
	Message
	Route  string `json:"route,omitempty"`  // of the configuration: its name, or the host
	Client string `json:"client,omitempty"` // address of the client
	Origin string `json:"origin,omitempty"` // address of the origin, once chosen

	Conn     ID     `json:"connection,omitempty"` // of a request: the client's connection
	Request  ID     `json:"request,omitempty"`    // of an origin's connection: the request that uses it
	Requests uint64 `json:"requests,omitempty"`   // of a connection: how many it has had
	TLS
	Done *Outcome `json:"done,omitempty"` // how it ended; only in Recent
}

// Progress is how far it is, and how long it may go on.
type Progress struct {
	AgeSeconds   float64   `json:"age_seconds"`
	PhaseSeconds float64   `json:"phase_seconds"` // in this phase
	IdleSeconds  float64   `json:"idle_seconds"`  // since the last progress
	LastProgress time.Time `json:"last_progress"` // the last byte in either direction, or the last new phase
	InBytes      int64     `json:"in_bytes"`      // from the client: request body for a request, raw bytes for a connection
	OutBytes     int64     `json:"out_bytes"`     // to the client
	Rate         float64   `json:"bytes_per_s"`   // mean of the last seconds, all directions
	SizeBytes    int64     `json:"size_bytes"`    // announced length of the response body, -1 unknown
	Deadline     *Limit    `json:"deadline"`      // what ends the present wait, nil if nothing is waited for
}

// Message is what an HTTP request asks and gets.
type Message struct {
	Proto  string `json:"proto,omitempty"` // HTTP/1.1, HTTP/2.0, HTTP/3.0; QUIC for its connections, else nothing for connections
	Method string `json:"method,omitempty"`
	Host   string `json:"host,omitempty"`
	Path   string `json:"path,omitempty"` // without the query, which may hold secrets
	Status int    `json:"status,omitempty"`
	Type   string `json:"content_type,omitempty"`
}

// Limit is a deadline that counts now.
type Limit struct {
	Name         string    `json:"name"`          // as in the configuration: origin_body_idle
	LimitSeconds float64   `json:"limit_seconds"` // the configured value
	At           time.Time `json:"at"`            // when it fires
	LeftSeconds  float64   `json:"left_seconds"`
}

// Outcome is how something ended.
type Outcome struct {
	Code   string `json:"code,omitempty"` // of package code, "" for a plain end
	Status int    `json:"status"`         // as logged: 499 if the client went away
	Text   string `json:"text"`           // in words
	By     string `json:"by"`             // client, origin, gateway, operator
}
