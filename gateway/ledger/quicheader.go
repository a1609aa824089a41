package ledger

import "encoding/binary"

// quicHeader is what the first packet of a datagram says without its keys (RFC 8999; RFC 9000
// section 17).
type quicHeader struct {
	long    bool
	version uint32 // of a long header; 0 offers versions
	initial bool   // the first kind that a client sends
	dst     quicID
	src     quicID // of a long header
}

// quicIDMost is the most bytes that an ID has in the versions that we know.
const quicIDMost = 20

// quicID is a connection ID. It is comparable.
type quicID struct {
	size  uint8
	bytes [quicIDMost]byte
}

func newQUICID(p []byte) quicID {
	id := quicID{size: uint8(len(p))}
	copy(id.bytes[:], p)
	return id
}

// The versions whose kinds of packets are known here.
const (
	quicVersion1 = 1
	quicVersion2 = 0x6b3343cf // RFC 9369: as 1, but the kinds are numbered differently
)

// parseQUIC reads the header of p. A short header does not say how long its ID is: the server
// knows it, since it gave it out; here it is short. It answers false for what is no QUIC.
func parseQUIC(p []byte, short int) (h quicHeader, ok bool) {
	if len(p) == 0 {
		return h, false
	}
	if h.long = p[0]&0x80 != 0; !h.long {
		if p[0]&0x40 == 0 || len(p) < 1+short {
			return h, false
		}
		h.dst = newQUICID(p[1 : 1+short])
		return h, true
	}
	if len(p) < 6 {
		return h, false
	}
	h.version = binary.BigEndian.Uint32(p[1:])
	kind := p[0] >> 4 & 3
	h.initial = h.version == quicVersion1 && kind == 0 || h.version == quicVersion2 && kind == 1
	rest, ok := p[5:], true
	if h.dst, rest, ok = cutQUICID(rest); !ok {
		return h, false
	}
	h.src, _, ok = cutQUICID(rest)
	return h, ok
}

// cutQUICID reads an ID that has its length before it.
func cutQUICID(p []byte) (id quicID, rest []byte, ok bool) {
	if len(p) == 0 || p[0] > quicIDMost || len(p) < 1+int(p[0]) {
		return id, nil, false
	}
	size := int(p[0])
	return newQUICID(p[1 : 1+size]), p[1+size:], true
}
