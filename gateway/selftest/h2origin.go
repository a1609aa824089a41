package selftest

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// serveH2 speaks HTTP/2 badly: the first request of a token is refused with GOAWAY as not begun, so that it has to be made
// again; a later one is answered whole and then reset with NO_ERROR, which means "you need not send more" (RFC 9113, 8.1).
func (o *Origin) serveH2(c *tls.Conn, tcp *net.TCPConn) {
	if err := c.HandshakeContext(o.ctx); err != nil || c.ConnectionState().NegotiatedProtocol != http2.NextProtoTLS {
		return
	}
	preface := make([]byte, len(http2.ClientPreface))
	if _, err := io.ReadFull(c, preface); err != nil || string(preface) != http2.ClientPreface {
		return
	}
	f := http2.NewFramer(c, c)
	f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	if err := f.WriteSettings(); err != nil {
		return
	}
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			return
		}
		switch frame := frame.(type) {
		case *http2.SettingsFrame:
			if !frame.IsAck() && f.WriteSettingsAck() != nil {
				return
			}
		case *http2.PingFrame:
			if !frame.IsAck() && f.WritePing(true, frame.Data) != nil {
				return
			}
		case *http2.MetaHeadersFrame:
			_, token := target(frame.PseudoValue("path"))
			seen := o.of(token)
			seen.request()
			if seen.count() == 1 {
				_ = f.WriteGoAway(0, http2.ErrCodeNo, nil) // if it has gone, it has gone
				_ = c.CloseWrite()
				_, _ = io.Copy(io.Discard, tcp)
				return
			}
			if err := answerH2(f, frame.StreamID); err != nil {
				return
			}
		}
	}
}

func (s *Seen) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests
}

func answerH2(f *http2.Framer, stream uint32) error {
	var block bytes.Buffer
	e := hpack.NewEncoder(&block)
	for _, field := range []hpack.HeaderField{{Name: ":status", Value: "200"}, {Name: "content-type", Value: "text/plain"}} {
		if err := e.WriteField(field); err != nil {
			return err
		}
	}
	if err := f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: block.Bytes(), EndHeaders: true}); err != nil {
		return err
	}
	if err := f.WriteData(stream, true, []byte(plainBody)); err != nil {
		return err
	}
	return f.WriteRSTStream(stream, http2.ErrCodeNo)
}
