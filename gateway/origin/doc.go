// Package origin is the origin's side of the gateway: a RoundTripper that bounds every phase
// of a request to an origin, keeps its connections in the ledger, applies the quirks that a bad
// origin needs, and tells a response that was cut short from one that is complete.
//
// Invariants:
//
//	O1  Connect, handshake, sending, first byte and every piece of the body have a deadline,
//	    and so has a tunnel; the error names it, with its code.
//	O2  A body that ends before its length, its last chunk, or, where the end of the
//	    connection is the end of the body, without TLS's close_notify, ends with an error and
//	    not with io.EOF.
//	O3  When the request's context ends, so does the work at the origin, at once.
//	O4  A connection whose response was not read to its end is closed and not used again.
//
// It knows net/http only; package gateway makes a transport for Caddy of it.
package origin
