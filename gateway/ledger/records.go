package ledger

// recordScan follows the headers of TLS records (RFC 8446 section 5.1) in what a client sends,
// to see when it is done with its handshake.
type recordScan struct {
	head [5]byte
	have int // bytes of head
	skip int // bytes of the record's body still to come
}

// The content types of records.
const (
	recordCipherChange = 20
	recordAlert        = 21
	recordApplication  = 23
)

// alertRecord is the length of an encrypted record of TLS 1.3 that holds an alert: two bytes, the
// type, and the tag (RFC 8446 section 5.2).
const alertRecord = 2 + 1 + 16

// farewell tells whether p is one record that is an alert, or has the length of one.
func farewell(p []byte) bool {
	return len(p) >= 5 && (p[0] == recordAlert || p[0] == recordApplication && len(p) == 5+alertRecord && p[3] == 0 && p[4] == alertRecord)
}

// handshakeOver takes the next bytes and tells whether a record was seen that a client sends
// only at the end of its handshake: ChangeCipherSpec, or one that is encrypted.
func (s *recordScan) handshakeOver(p []byte) bool {
	for len(p) > 0 {
		if s.skip > 0 {
			n := min(s.skip, len(p))
			s.skip -= n
			p = p[n:]
			continue
		}
		n := copy(s.head[s.have:], p)
		s.have += n
		p = p[n:]
		if s.have < len(s.head) {
			return false
		}
		if s.head[0] == recordCipherChange || s.head[0] == recordApplication {
			return true
		}
		s.skip = int(s.head[3])<<8 | int(s.head[4])
		s.have = 0
	}
	return false
}
