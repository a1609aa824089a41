package selftest

import (
	"context"
	"net/http"
	"strings"
	"time"
)

const (
	okChunked  = "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
	okByClose  = "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nConnection: close\r\n\r\n"
	okThousand = "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: 1000\r\n\r\n"
)

// drip is how often a trickle sends a byte.
const drip = time.Second

// bodyFaults go wrong in the response's body.
func bodyFaults() []Fault {
	return []Fault{
		{Number: 1, Name: "no-type", Title: "no Content-Type", Want: "a type, from the extension", port: portPlain, limit: atOnce,
			script: func(c *originConn, _ *http.Request) bool {
				c.say("HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\na{color:red}")
				return true
			},
			play: get(".css", func(t *trial, a answer) {
				whole("a{color:red}")(t, a)
				if got := a.header.Get("Content-Type"); !strings.HasPrefix(got, "text/css") {
					t.wrong("Content-Type %q", got)
				}
			})},
		{Number: 2, Name: "never-closes", Title: "body by close, never closes", Want: "aborted at the idle limit", port: portPlain, limit: idleLimit, held: true,
			script: func(c *originConn, _ *http.Request) bool { c.say(okByClose + "some bytes"); c.hold(); return false },
			play:   get("", aborted)},
		{Number: 3, Name: "stalls", Title: "Content-Length too big, then stall", Want: "aborted at the idle limit", port: portPlain, limit: idleLimit, held: true,
			script: func(c *originConn, _ *http.Request) bool { c.say(okThousand + "some bytes"); c.hold(); return false },
			play:   get("", aborted)},
		{Number: 4, Name: "drip", Title: "one byte a second", Want: "aborted at the least rate", port: portPlain, limit: rateLimit, held: true,
			script: func(c *originConn, _ *http.Request) bool {
				c.say(okChunked)
				c.trickle("1\r\n.\r\n", drip)
				return false
			},
			play: get("", aborted)},
		{Number: 5, Name: "reset", Title: "RST in the body", Want: "aborted at once", port: portPlain, limit: atOnce,
			script: func(c *originConn, _ *http.Request) bool {
				c.say(okThousand + "some bytes")
				c.pause(100 * time.Millisecond)
				c.reset()
				return false
			},
			play: get("", aborted)},
		{Number: 6, Name: "fin-in-chunk", Title: "FIN in a chunk", Want: "aborted at once", port: portPlain, limit: atOnce,
			script: func(c *originConn, _ *http.Request) bool { c.say(okChunked + "64\r\nten bytes."); return false },
			play:   get("", aborted)},
		{Number: 15, Name: "bad-chunk", Title: "chunk size that is no number", Want: "502, or aborted at once", port: portPlain, limit: atOnce,
			script: func(c *originConn, _ *http.Request) bool {
				c.say(okChunked + "5\r\nhello\r\nZZ\r\nhello\r\n0\r\n\r\n")
				return false
			},
			play: get("", aborted)},
		{Number: 16, Name: "two-lengths", Title: "Content-Length and Transfer-Encoding", Want: "502, or the chunked body whole", port: portPlain, limit: atOnce,
			script: func(c *originConn, _ *http.Request) bool {
				c.say("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nb\r\nhello world\r\n0\r\n\r\n")
				return false
			},
			play: get("", func(t *trial, a answer) {
				if a.clean && a.status == http.StatusOK && a.body != "hello world" {
					t.wrong("the body is %q", a.body)
				}
			})},
		{Number: 17, Name: "body-where-none", Title: "204, 304 and HEAD with a body", Want: "the next answers are not disturbed", port: portPlain, limit: atOnce,
			script: bodyWhereNone, play: playBodyWhereNone},
		{Number: 18, Name: "broken-gzip", Title: "gzip that is none", Want: "passed as it is, or aborted", port: portPlain, limit: atOnce,
			script: func(c *originConn, _ *http.Request) bool {
				c.say("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Encoding: gzip\r\nContent-Length: 8\r\n\r\n\x1f\x8b\x08\x00oops")
				return true
			},
			play: get("", anyEnd)},
	}
}

const smuggled = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 8\r\n\r\nsmuggled"

func bodyWhereNone(c *originConn, req *http.Request) bool {
	switch {
	case req.Method == http.MethodHead:
		c.say("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 8\r\n\r\n" + smuggled)
	case strings.Contains(req.URL.RawQuery, "304"):
		c.say("HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n" + smuggled)
	case strings.Contains(req.URL.RawQuery, "204"):
		c.say("HTTP/1.1 204 No Content\r\n\r\n" + smuggled)
	default:
		return answerPlainly(c, req)
	}
	return true
}

func playBodyWhereNone(ctx context.Context, t *trial) {
	tr := t.transport(false)
	defer tr.CloseIdleConnections()
	address := t.url(t.port, t.Name, t.token)
	for _, bad := range []struct{ method, query string }{{http.MethodGet, "?204"}, {http.MethodHead, ""}, {http.MethodGet, "?304"}} {
		a := t.askOver(ctx, tr, bad.method, address+bad.query)
		t.saw(a)
		for range 3 {
			next := t.askOver(ctx, tr, http.MethodGet, address)
			if next.late {
				t.saw(next)
				return
			}
			if strings.Contains(next.body, "smuggled") {
				t.wrong("after %s%s the next request got what did not belong to it", bad.method, bad.query)
			}
		}
	}
}
