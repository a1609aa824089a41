package gateway_test

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// framed is a connection of HTTP/2 whose frames the test makes itself.
type framed struct {
	*http2.Framer
	c     *tls.Conn
	ended chan struct{} // closed when the gateway has closed it
	block []byte        // the header of a request
}

func dialFramed(t *testing.T, g *gateway, path string) *framed {
	t.Helper()
	c, err := dialTLS(g, "h2")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.NetConn().Close() })
	c.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := io.WriteString(c, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	f := &framed{Framer: http2.NewFramer(c, c), c: c, ended: make(chan struct{})}
	if err := f.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(f.ended)
		for {
			if _, err := f.ReadFrame(); err != nil {
				return
			}
		}
	}()
	var block bytes.Buffer
	e := hpack.NewEncoder(&block)
	for _, h := range [][2]string{{":method", "GET"}, {":scheme", "https"}, {":authority", g.address}, {":path", path}} {
		if err := e.WriteField(hpack.HeaderField{Name: h[0], Value: h[1]}); err != nil {
			t.Fatal(err)
		}
	}
	f.block = block.Bytes()
	return f
}

func (f *framed) ask(stream uint32) error {
	return f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: f.block, EndStream: true, EndHeaders: true})
}

// A client that opens streams and resets them at once, by the ten thousand (CVE-2023-44487), is cut off or kept in bounds:
// others are served meanwhile, no origin sees more than a part, and nothing is left.
func TestRapidResetsAreBounded(t *testing.T) {
	t.Parallel()
	g := start(t, fmt.Sprintf(answers, 1)+"\n\treverse_proxy "+stalling(t)+" {\n\t\ttransport honeyant {\n\t\t\tquirks {\n\t\t\t\tidle 1s\n\t\t\t}\n\t\t}\n\t}\n\tlog {\n\t\toutput discard\n\t}")
	f := dialFramed(t, g, "/stall/reset")
	const streams = 10_000
	sent := 0
	for ; sent < streams; sent++ {
		stream := uint32(2*sent + 1)
		if f.ask(stream) != nil || f.WriteRSTStream(stream, http2.ErrCodeCancel) != nil {
			break // the gateway has had enough
		}
	}
	if err := ask(t.Context(), httpClient(false, true), http.MethodGet, "https://"+g.address+"/x", "served 1"); err != nil {
		t.Errorf("others are not served: %v", err)
	}
	f.c.NetConn().Close()
	<-f.ended
	eventually(t, "nothing is left", 10*time.Second, func() bool { _, _, n := g.held(); return n == 0 })
	s := g.status()
	if s.Counts.Running != 0 {
		t.Errorf("%d requests still run", s.Counts.Running)
	}
	t.Logf("%d streams were opened and reset, %d became requests", sent, s.Counts.Requests)
}

// A header without an end in one CONTINUATION frame after the other is cut off, and does not gather in memory.
func TestEndlessContinuationsAreCutOff(t *testing.T) {
	t.Parallel()
	g := start(t, fmt.Sprintf(answers, 1))
	before := g.resident()
	f := dialFramed(t, g, "/x")
	if err := f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: f.block, EndStream: true}); err != nil {
		t.Fatal(err)
	}
	field := append([]byte{0, 6}, "x-fill"...)
	field = append(field, 0x7f, 0x81, 0x7d) // a string of 16,384 bytes
	piece := append(field, bytes.Repeat([]byte("a"), 16<<10-len(field))...)
	const most = 256 << 20
	sent := 0
	for sent < most && f.WriteContinuation(1, false, piece) == nil {
		sent += len(piece)
	}
	if sent >= most {
		t.Errorf("%d bytes of a header were taken", sent)
	}
	f.c.NetConn().Close()
	<-f.ended
	if after := g.resident(); after > before+64<<10 {
		t.Errorf("memory went from %d to %d KiB", before, after)
	}
	if err := ask(t.Context(), httpClient(false, true), http.MethodGet, "https://"+g.address+"/x", "served 1"); err != nil {
		t.Error(err)
	}
	t.Logf("cut off after %d bytes", sent)
}
