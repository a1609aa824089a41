package selftest

import (
	"crypto/tls"
	"io"
	"net/http"
	"time"
)

// tlsFaults go wrong in the connection to the origin.
func tlsFaults() []Fault {
	return []Fault{
		{Number: 7, Name: "no-close-notify", Title: "FIN without close_notify", Want: "aborted: it may be cut short", port: portTLS, limit: atOnce,
			script: func(c *originConn, _ *http.Request) bool {
				c.say(okByClose + "some bytes")
				_ = c.tcp.Close() // below TLS
				return false
			},
			play: get("", aborted)},
		{Number: 8, Name: "close-notify-only", Title: "close_notify, but TCP stays open", Want: "complete at once", port: portTLS, limit: closeLimit, held: true,
			script: func(c *originConn, _ *http.Request) bool {
				c.say(okByClose + plainBody)
				if tc, ok := c.Conn.(*tls.Conn); ok {
					_ = tc.CloseWrite() // the proxy has gone: hold notices
				}
				holdBelow(c)
				return false
			},
			play: get("", whole(plainBody))},
		{Number: 9, Name: "close-unanswered", Title: "closing of TLS never answered", Want: "complete, and let go at the close limit", port: portTLS, limit: closeLimit, held: true,
			script: func(c *originConn, _ *http.Request) bool {
				c.say("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\nContent-Length: 12\r\n\r\n" + plainBody)
				holdBelow(c)
				return false
			},
			play: get("", whole(plainBody))},
		{Number: 10, Name: "mute", Title: "accepts TCP, never shakes hands", Want: "502 or 504 at the handshake limit", port: portMute, limit: handshakeLimit, play: get("", refused)},
		{Number: 11, Name: "full", Title: "full queue", Want: "502 or 504 at the connect limit", port: portFull, limit: connectLimit, play: get("", refused)},
		{Number: 29, Name: "bad-certificate", Title: "certificate expired and for another name", Want: "502 at once", port: portExpired, limit: atOnce, play: get("", refused)},
		{Number: 30, Name: "h2-goaway", Title: "HTTP/2 GOAWAY, and a reset with NO_ERROR", Want: "complete: tried again", port: portH2, limit: atOnce, play: get("", whole(plainBody))},
	}
}

// holdBelow waits below TLS until the proxy lets go of TCP, and answers nothing.
func holdBelow(c *originConn) {
	_, err := io.Copy(io.Discard, c.tcp)
	if err == nil {
		err = io.EOF
	}
	c.seen.end(howEnded(err))
}

// headFaults go wrong before the response's body.
func headFaults() []Fault {
	const longValue = 32 << 10
	return []Fault{
		{Number: 12, Name: "interim", Title: "endless 1xx", Want: "502 or 504 at the header limit", port: portPlain, limit: headerLimit, held: true,
			script: func(c *originConn, _ *http.Request) bool {
				c.trickle("HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n", 50*time.Millisecond)
				return false
			},
			play: get("", refused)},
		{Number: 13, Name: "header-drip", Title: "header in drips", Want: "502 or 504 at the header limit", port: portPlain, limit: headerLimit, held: true,
			script: func(c *originConn, _ *http.Request) bool {
				c.say("HTTP/1.1 200 OK\r\nX-Long: ")
				c.trickle(".", 200*time.Millisecond)
				return false
			},
			play: get("", refused)},
		{Number: 14, Name: "long-header", Title: "header of 32 KB", Want: "complete, or 502", port: portPlain, limit: atOnce,
			script: func(c *originConn, _ *http.Request) bool {
				c.say("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nX-Long: " + string(make0(longValue)) + "\r\nContent-Length: 12\r\n\r\n" + plainBody)
				return true
			},
			play: get("", func(t *trial, a answer) {
				if a.status == 0 || a.status < 500 && (!a.clean || len(a.header.Get("X-Long")) != longValue) {
					t.wrong("neither the response nor an error")
				}
			})},
		{Number: 19, Name: "closed-on-reuse", Title: "kept-alive connection closed as it is used again", Want: "complete: tried again", port: portPlain, limit: atOnce,
			script: func(c *originConn, req *http.Request) bool {
				if c.onConn > 1 {
					return false
				}
				return answerPlainly(c, req)
			},
			play: playReuse},
	}
}

func make0(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = 'a'
	}
	return b
}
