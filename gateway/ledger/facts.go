package ledger

import "time"

// Facts are what the access log and the header log say of a request besides the entry.
type Facts struct {
	TypeSource string    // where the Content-Type came from: origin, ext, sniff, default, none
	FirstByte  time.Time // first byte of the response handed to the client's connection
	LastByte   time.Time // the last one so far

	ClientClose string // how the client's connection stood at the end: kept, gateway, close_notify, eof, reset; "" not known

	Attempts      int           // connections to origins tried
	OriginReused  bool          // a kept-alive connection was used
	OriginConnect time.Duration // name lookup, connect and handshake; 0 if reused
	OriginFirst   time.Duration // from the first attempt's start to the response header
	OriginLast    time.Time     // the last byte of the origin's body
	OriginStatus  int           // as the origin sent it
	OriginTLS     string        // version, "" without TLS
	OriginCipher  string
	OriginALPN    string
	OriginResumed bool
	OriginClose   string  // how the origin ended: kept, close_notify, eof, reset, gateway
	Problem       *Ending // what went wrong at the origin or with the request, if anything

	KeepHeader   bool                // headers should be kept, for the header log
	OriginHeader map[string][]string // the origin's, nil if it was not kept
	SentHeader   map[string][]string // what the client is sent, likewise
}

// Note changes the facts under the request's lock; f must not call the request.
func (r *Req) Note(f func(*Facts)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f(&r.facts)
}

// Facts answers a copy.
func (r *Req) Facts() Facts {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.facts
}
