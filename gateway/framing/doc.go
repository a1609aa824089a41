// Package framing reads along what the clients of an HTTP/1 server send, below net/http, and tells of each request
// whether its header says in two ways how long its body is. net/http deletes a Content-Length that stands beside
// Transfer-Encoding, and a Transfer-Encoding in HTTP/1.0, before any handler sees the request; both are signs of an
// attempt to smuggle a request in a body (RFC 9112, 6.1).
//
// Invariants:
//
//	F1  The bytes that net/http gets are those that the client sent; nothing is held back.
//	F2  A request is Contradictory only if its own header has both fields, or Transfer-Encoding in HTTP/1.0. What
//	    stands in bodies never counts.
//	F3  Where the scanner can not follow, or sees otherwise than net/http, the answer is Unknown, and stays so on
//	    that connection.
//	F4  A connection that agreed on HTTP/2 is handed on as it is; on one over TLS that did not, HTTP/2 can not begin.
//
// It knows net/http, crypto/tls and the ledger's connections; package gateway makes a module for Caddy of it.
package framing
