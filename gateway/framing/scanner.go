package framing

import (
	"bytes"
	"strconv"
)

// lineMax is how much is kept of a line that comes in several pieces. All that matters stands at its beginning.
const lineMax = 4096

// head is what a request's header says of the length of its body.
type head struct {
	sized  bool  // there is a Content-Length
	coded  bool  // there is a Transfer-Encoding
	length int64 // the Content-Length, -1 if there is none or it is not one number
}

// scanner follows the requests in the bytes of one connection. It takes more than net/http does, since net/http closes
// the connection where it refuses; but where both go on, both must see the same requests. What it does not understand
// makes it lost for good.
type scanner struct {
	at    place
	skip  uint64 // what is left of a body or a chunk
	line  []byte // the beginning of a line whose end has not come
	cut   bool   // the line is longer than what is kept of it
	plain bool   // the request is of HTTP/1.1
	size  bool   // the last field was Content-Length
	head  head
	heads []head // of the requests whose headers are complete, oldest first
}

// place is where in a message the next byte stands.
type place uint8

const (
	inRequestLine place = iota
	inHeader
	inBody // by length
	inChunkSize
	inChunk
	inChunkEnd
	inTrailer
	lost
)

// write follows the bytes. It answers false if they end the first line of HTTP/2's preface, which only a connection
// that is to be HTTP/2 begins with.
func (s *scanner) write(p []byte) bool {
	for len(p) > 0 && s.at != lost {
		if s.at == inBody || s.at == inChunk {
			n := min(uint64(len(p)), s.skip)
			p = p[n:]
			s.skipped(n)
			continue
		}
		end := bytes.IndexByte(p, '\n')
		if end < 0 {
			s.keep(p)
			break
		}
		line := p[:end]
		p = p[end+1:]
		if len(s.line) > 0 {
			s.keep(line)
			line = s.line
		}
		if !s.take(line) {
			s.at = lost
			return false
		}
		s.line, s.cut = s.line[:0], false
	}
	return true
}

func (s *scanner) skipped(n uint64) {
	if s.skip -= n; s.skip > 0 {
		return
	}
	if s.at == inChunk {
		s.at = inChunkEnd
	} else {
		s.at = inRequestLine
	}
}

func (s *scanner) keep(p []byte) {
	if room := lineMax - len(s.line); len(p) > room {
		p, s.cut = p[:room], true
	}
	s.line = append(s.line, p...)
}

// take takes a line without its LF. It answers false for HTTP/2's preface.
func (s *scanner) take(line []byte) bool {
	empty := len(line) == 0 || string(line) == "\r"
	switch s.at {
	case inRequestLine:
		// net/http takes a few CR and LF after a POST, and closes otherwise.
		if len(bytes.TrimLeft(line, "\r")) == 0 {
			return true
		}
		if string(line) == "PRI * HTTP/2.0\r" {
			return false
		}
		s.head = head{length: -1}
		s.plain, s.size = !s.cut && bytes.HasSuffix(bytes.TrimSuffix(line, []byte("\r")), []byte(" HTTP/1.1")), false
		s.at = inHeader
	case inHeader:
		if empty {
			s.endHeader()
		} else {
			s.field(line)
		}
	case inChunkSize:
		s.chunkSize(line)
	case inChunkEnd:
		s.at = inChunkSize
		if string(line) != "\r" {
			s.at = lost
		}
	case inTrailer:
		if empty {
			s.at = inRequestLine
		}
	}
	return true
}

// field takes a line of the header, also one that goes on with the line before.
func (s *scanner) field(line []byte) {
	if line[0] == ' ' || line[0] == '\t' {
		if s.size {
			s.value(line)
		}
		return
	}
	name, value, _ := bytes.Cut(line, []byte(":"))
	s.size = is(name, "content-length")
	switch {
	case s.size:
		s.head.sized, s.head.length = true, -1
		s.value(value)
	case is(name, "transfer-encoding"):
		s.head.coded = true
	}
}

// is compares a field's name with one in lower case.
func is(name []byte, lower string) bool {
	return len(name) == len(lower) && bytes.EqualFold(name, []byte(lower))
}

// value takes the value of Content-Length. net/http demands that several are equal, so the last one counts.
func (s *scanner) value(v []byte) {
	v = bytes.Trim(v, " \t\r")
	if len(v) == 0 && !s.cut {
		return
	}
	n, err := strconv.ParseUint(string(v), 10, 63)
	if s.cut || err != nil || s.head.length >= 0 {
		s.size, s.head.length = false, -1 // a continuation does not mend it
		return
	}
	s.head.length = int64(n)
}

// endHeader notes the request, and goes where its body is.
func (s *scanner) endHeader() {
	h := s.head
	s.heads = append(s.heads, h)
	switch {
	case h.coded && (h.sized || !s.plain), h.sized && h.length < 0:
		s.at = lost // such a request is the last on its connection, or not understood
	case h.coded:
		s.at = inChunkSize
	case h.length > 0:
		s.at, s.skip = inBody, uint64(h.length)
	default:
		s.at = inRequestLine
	}
}

// chunkSize takes the line before a chunk, which must end with CRLF.
func (s *scanner) chunkSize(line []byte) {
	digits, whole := bytes.CutSuffix(line, []byte("\r"))
	digits, _, _ = bytes.Cut(digits, []byte(";"))
	n, err := strconv.ParseUint(string(bytes.TrimRight(digits, " \t")), 16, 64)
	switch {
	case !whole || s.cut || err != nil:
		s.at = lost
	case n == 0:
		s.at = inTrailer
	default:
		s.at, s.skip = inChunk, n
	}
}
