package transfer

import (
	"github.com/honeyant/honeyant/rpc"
	"github.com/honeyant/honeyant/rpc/wire"
)

// The calls of one honeyant to another (doc/format/cp.md). Only ever append.
const (
	callHello rpc.Method = iota + 1
	callLook
	callSource
	callTarget
	callList
	callWhole
	callOpen
	callRead
	callClose
	callMkdir
	callPut
	callCreate
	callWrite
	callVerify
	callFinish
	callAbandon
	callSpecial
	callLink
	callSeal
	callMark
	callUnmark
)

// protocolVersion is raised when an older peer could misunderstand.
const protocolVersion = 1

// message is every request and every answer: what a call does not use is zero.
type message struct {
	Number  uint64 // of a tree or of an open file; in a hello the version
	Path    string // below the root; of look, source and target a path of the machine
	Text    string // a second path or name, the text of a mark, the choice of compression
	Flag    bool   // brief, verify, existed
	From    int64  // a part, or the first of several
	To      int64
	Entry   Entry // has a kind if it is there
	Entries []Entry
	Spans   []span // ranges of bytes; ranges of part numbers
	Notes   []string
	Form    form
	Length  int64  // of the part in Data before it was packed
	Sum     uint64 // its checksum
	Data    []byte // aliases the message it was decoded from
}

// Limits of a message.
const (
	maxMessage = 16 << 20
	maxSpans   = 1 << 20
	maxNotes   = 4096
)

func (m *message) fields(c *wire.Codec) {
	wire.Uint(c, &m.Number)
	c.String(&m.Path, maxPath)
	c.String(&m.Text, maxPath)
	c.Bool(&m.Flag)
	wire.Int(c, &m.From)
	wire.Int(c, &m.To)
	has := m.Entry.Kind != 0
	c.Bool(&has)
	if has {
		m.Entry.fields(c)
	}
	wire.Slice(c, &m.Entries, pageEntries, func(c *wire.Codec, e *Entry) { e.fields(c) })
	wire.Slice(c, &m.Spans, maxSpans, func(c *wire.Codec, s *span) {
		wire.Int(c, &s.from)
		wire.Int(c, &s.to)
	})
	wire.Slice(c, &m.Notes, maxNotes, func(c *wire.Codec, s *string) { c.String(s, maxName) })
	wire.Uint(c, &m.Form)
	wire.Int(c, &m.Length)
	sum := [8]byte{}
	putSum(&sum, m.Sum)
	c.Fixed(sum[:])
	m.Sum = getSum(&sum)
	c.View(&m.Data, maxMessage)
	if c.Decoding() && (m.Length < 0 || m.Length > partSize || m.Form >= formEnd) {
		c.Failf("not a part: form %d, length %d", m.Form, m.Length)
	}
}

func encode(m *message) []byte {
	c := wire.NewEncoder(make([]byte, 0, len(m.Data)+256))
	m.fields(c)
	return c.Encoded()
}

func decode(b []byte) (*message, error) {
	m := &message{}
	return m, wire.Unmarshal(b, m.fields)
}

// spansOf joins neighbours of a sorted list of parts.
func spansOf(parts []int64) []span {
	var all []span
	for _, i := range parts {
		if n := len(all); n > 0 && all[n-1].to == i {
			all[n-1].to++
		} else {
			all = append(all, span{i, i + 1})
		}
	}
	return all
}

// partsIn is the other way. A list that could not be of a file of size bytes is cut.
func partsIn(spans []span, size int64) []int64 {
	var parts []int64
	for _, s := range spans {
		for i := max(s.from, 0); i < min(s.to, partsOf(size)); i++ {
			if n := len(parts); n > 0 && parts[n-1] >= i {
				return parts
			}
			parts = append(parts, i)
		}
	}
	return parts
}
