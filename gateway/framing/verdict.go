package framing

import "net/http"

// Verdict is what the header of a request says of the length of its body.
type Verdict uint8

// The verdicts.
const (
	Unknown       Verdict = iota // the bytes were not seen, or not understood
	Sound                        // one length, and net/http sees the same
	Contradictory                // Content-Length beside Transfer-Encoding, or Transfer-Encoding in HTTP/1.0
)

// Judge judges the request that a handler has, before its body is read and before its framing is changed.
func Judge(r *http.Request) Verdict {
	c, ok := r.Context().Value(connKey{}).(*Conn)
	if !ok || r.ProtoMajor != 1 {
		return Unknown
	}
	return c.verdict(r)
}

// verdict judges the request that is handled, if net/http sees the same in it.
func (c *Conn) verdict(r *http.Request) Verdict {
	c.mu.Lock()
	defer c.mu.Unlock()
	h, modern := c.current, r.ProtoAtLeast(1, 1)
	same := c.known && (h.coded && modern) == (len(r.TransferEncoding) > 0)
	switch {
	case !same:
		return Unknown
	case h.coded && (h.sized || !modern):
		return Contradictory
	case h.coded || max(h.length, 0) == r.ContentLength:
		return Sound
	}
	return Unknown
}
