package framing

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/textproto"
	"slices"
	"strings"
	"testing"
	"time"
)

// asNetHTTP answers what net/http sees in the bytes: the heads of the requests that it takes, with what the raw header has
// of the two fields. It ends after one that has both, or Transfer-Encoding but is not of HTTP/1.1: the scanner does so too.
func asNetHTTP(data []byte) (heads []head) {
	b := bytes.NewReader(data)
	r := bufio.NewReader(b)
	at := func() int { return len(data) - b.Len() - r.Buffered() }
	for {
		start := at()
		q, err := http.ReadRequest(r)
		if err != nil || q.ProtoMajor != 1 {
			return heads
		}
		raw := textproto.NewReader(bufio.NewReader(bytes.NewReader(data[start:at()])))
		if _, err := raw.ReadLine(); err != nil {
			return heads
		}
		fields, err := raw.ReadMIMEHeader()
		if err != nil {
			return heads
		}
		h := head{sized: fields["Content-Length"] != nil, coded: fields["Transfer-Encoding"] != nil, length: -1}
		if h.sized && !h.coded {
			h.length = q.ContentLength
		}
		heads = append(heads, h)
		if h.coded && (h.sized || q.Proto != "HTTP/1.1") {
			return heads
		}
		if _, err := io.Copy(io.Discard, q.Body); err != nil {
			return heads
		}
	}
}

// scanned answers what the scanner sees if the bytes come in pieces of a size.
func scanned(data []byte, size int) []head {
	s := scanner{}
	for piece := range slices.Chunk(data, size) {
		s.write(piece)
	}
	for i := range s.heads {
		if s.heads[i].coded {
			s.heads[i].length = -1 // means nothing then
		}
	}
	return s.heads
}

// compare fails if the scanner sees less than net/http takes, or other.
func compare(t *testing.T, data []byte, size int) {
	t.Helper()
	want, got := asNetHTTP(data), scanned(data, size)
	for i, h := range want {
		if i >= len(got) {
			t.Fatalf("the scanner is lost after %d of %d requests (pieces of %d): %q", len(got), len(want), size, data)
		}
		if got[i] != h {
			t.Fatalf("request %d is %+v, the scanner has %+v (pieces of %d): %q", i, h, got[i], size, data)
		}
	}
}

// streams are what the fuzzer begins with, and how many requests net/http sees in each.
func streams() map[string]int {
	const both = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"
	const bare = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
	chunked := func(body string) string {
		return "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + body
	}
	return map[string]int{
		bare + bare + both: 3,
		fmt.Sprintf("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", len(both), both) + bare:                                     2,
		fmt.Sprintf("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\ncontent-length:  %d\t\r\n\r\n%s", len(both), len(both), both) + bare: 2,
		fmt.Sprintf("POST / HTTP/1.1\nHost: a\nContent-Length:\n %d\n\n%s", len(both), both) + bare:                                           2,
		chunked(fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(both), both)) + bare:                                                                 2,
		chunked(fmt.Sprintf("%X;a=\"b\"\r\n%s\r\n3\r\nabc\r\n000\r\nTrailer: a\r\nX: y\r\n\r\n", len(both), both)) + bare + both:              3,
		chunked("0\r\nA: b\n\r\n") + bare + both:                                                                                              3,
		chunked("3\nabc\r\n0\r\n\r\n") + bare:                                                                                                 1,
		chunked("3\r\nabcd\r\n0\r\n\r\n") + bare:                                                                                              1,
		"POST / HTTP/1.1\r\nHost: a\r\nX: y\r\n Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\t\r\n\r\n" + bare:                         2,
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n 2\r\n\r\n" + bare:                                                                0,
		"GET / HTTP/1.0\r\nTransfer-Encoding: x\r\n\r\n" + bare:                                                                               1,
		"GET / HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("y", 2*lineMax) + "\r\nContent-Length: 0\r\n\r\n" + bare:                          2,
		"GET /" + strings.Repeat("y", 2*lineMax) + " HTTP/1.1\r\nHost: a\r\n\r\n" + both:                                                      2,
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n":                                                                                                    0,
	}
}

func TestTheScannerSeesWhatNetHTTPTakes(t *testing.T) {
	for data, requests := range streams() {
		if n := len(asNetHTTP([]byte(data))); n != requests {
			t.Errorf("net/http sees %d requests, not %d: %q", n, requests, data)
		}
		for _, size := range []int{1, 2, 3, 7, 100, len(data)} {
			compare(t, []byte(data), size)
		}
	}
}

// words are what requests, good and bad, are made of.
var words = []string{
	"GET / HTTP/1.1\r\nHost: a\r\n", "POST / HTTP/1.1\r\nHost: a\r\n", "PUT / HTTP/1.0\r\n", "GET /\nHTTP/1.1\r\n", "\r\n", "\r\n", "\r\n", "\r\n\r\n", "\r\n\r\n", "\n", "\r", " ", "\t", ":", ";", ";x=y", "\x00", "a", "abc",
	"Content-Length: ", "content-length:", "Content-Length : ", "Content-Length: 0\r\n", "Content-Length: 3\r\n", "Content-Length:\n 3\n", "Content-Length: 003 \r\n\t\r\n",
	"Transfer-Encoding: chunked\r\n", "Transfer-Encoding: chunked\r\n", "TRANSFER-ENCODING:CHUNKED\n", "Transfer-Encoding: identity\r\n", "X: Content-Length: 3\r\n", "Trailer: b\r\n", "Connection: close\r\n",
	"0", "1", "3", "a\r\n0123456789\r\n", "0\r\n\r\n", "0\r\n\r\n", "3\r\nabc\r\n", "3;x\r\nabc\r\n0\r\n\r\n", "0\r\nb: c\r\n\r\n", "fffffffffffffffff\r\n", "-1", "+1", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
}

// spoken replaces the bytes above ASCII by words.
func spoken(data []byte) []byte {
	var out []byte
	for _, c := range data {
		if c < 0x80 {
			out = append(out, c)
		} else {
			out = append(out, words[int(c-0x80)%len(words)]...)
		}
	}
	return out
}

// Streams of words, from a seed.
func TestTheScannerFollowsRandomStreams(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	requests := 0
	for range 20_000 {
		data := make([]byte, 1+random.IntN(30))
		for i := range data {
			data[i] = byte(0x80 + random.IntN(len(words)))
		}
		// Every second stream begins well, and so has a chance to come far.
		if random.IntN(2) == 0 {
			data = append([]byte("\x81\x97\x84abc"), data...)
		}
		data = spoken(data)
		compare(t, data, 1+random.IntN(20))
		requests += len(asNetHTTP(data))
	}
	if requests < 10_000 {
		t.Errorf("only %d requests were good", requests)
	}
}

// Whatever comes, in whatever pieces: every request that net/http takes is seen by the scanner as it is.
func FuzzScannerAgainstNetHTTP(f *testing.F) {
	for data := range streams() {
		f.Add([]byte(data), 1)
		f.Add([]byte(data), 50)
	}
	f.Fuzz(func(t *testing.T, data []byte, size int) {
		compare(t, spoken(data), max(size, 1))
	})
}

// Of a large body only the frames are looked at.
func BenchmarkBody(b *testing.B) {
	piece := make([]byte, 32<<10)
	for name, begin := range map[string]string{"by length": "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 9000000000000000000\r\n\r\n", "by chunks": "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"} {
		b.Run(name, func(b *testing.B) {
			s := scanner{}
			s.write([]byte(begin))
			b.SetBytes(int64(len(piece)))
			for b.Loop() {
				if s.at == inChunkSize {
					s.write([]byte("8000\r\n"))
				}
				s.write(piece)
				if s.at == inChunkEnd {
					s.write([]byte("\r\n"))
				}
			}
			if s.at == lost {
				b.Error("lost")
			}
		})
	}
}

func BenchmarkHeader(b *testing.B) {
	text := []byte("GET /a/b/c?d=e HTTP/1.1\r\nHost: example.org\r\nUser-Agent: " + strings.Repeat("Mozilla ", 10) + "\r\nAccept: */*\r\nAccept-Encoding: gzip, br\r\nCookie: " + strings.Repeat("a=b; ", 40) + "\r\nSec-Fetch-Mode: x\r\nSec-Fetch-Site: y\r\n\r\n")
	s := scanner{}
	for b.Loop() {
		s.write(text)
		s.heads = s.heads[:0]
	}
}
