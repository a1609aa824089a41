package selftest

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// clientFaults are the client's doing.
func clientFaults() []Fault {
	flood := func(c *originConn, _ *http.Request) bool {
		c.say(okChunked)
		c.trickle("8000\r\n"+strings.Repeat(".", 0x8000)+"\r\n", time.Millisecond)
		return false
	}
	return []Fault{
		{Number: 20, Name: "client-reset", Title: "client resets in the body, HTTP/1.1 and 2", Want: "the origin is cancelled within the close limit", port: portPlain,
			limit: closeLimit, held: true, script: flood, play: playClientReset},
		{Number: 21, Name: "half-close", Title: "client closes its sending side and reads on", Want: "the response, or an end at once", port: portPlain, limit: closeLimit,
			script: func(c *originConn, req *http.Request) bool {
				c.pause(300 * time.Millisecond)
				return answerPlainly(c, req)
			},
			play: playHalfClose},
		{Number: 22, Name: "zero-window", Title: "client reads no more", Want: "cut, and the origin cancelled, at the idle limit", port: portPlain, limit: rateLimit, held: true,
			script: flood, play: playZeroWindow},
		{Number: 23, Name: "slow-hello", Title: "client's TLS hello in drips", Want: "cut at the handshake limit", limit: handshakeLimit, play: playSlowHello},
	}
}

// playReuse asks so often that kept-alive connections to the origin would be used again.
func playReuse(ctx context.Context, t *trial) {
	tr := t.transport(false)
	defer tr.CloseIdleConnections()
	for range 6 {
		a := t.askOver(ctx, tr, http.MethodGet, t.url(t.port, t.Name, t.token))
		if a.late || !a.clean || a.status != http.StatusOK {
			t.saw(a)
			t.wrong("a request was lost")
			return
		}
	}
	t.row.Client = "6 × 200, complete"
}

// connect opens a connection to the proxy and sends a request for the fault.
func (t *trial) connect(ctx context.Context, token string) (net.Conn, *net.TCPConn, error) {
	raw, err := t.dial(ctx)
	if err != nil {
		return nil, nil, err
	}
	tcp := raw.(*net.TCPConn)
	c := net.Conn(tcp)
	if t.front.Scheme == "https" {
		tc := tls.Client(tcp, &tls.Config{ServerName: t.front.Hostname(), InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}}) // see transport
		if err := tc.HandshakeContext(ctx); err != nil {
			return nil, nil, errors.Join(err, tcp.Close())
		}
		c = tc
	}
	if _, err := fmt.Fprintf(c, "GET %s/%s/%s/%s HTTP/1.1\r\nHost: %s\r\n\r\n", Prefix, t.port, t.Name, token, t.front.Host); err != nil {
		return nil, nil, errors.Join(err, tcp.Close())
	}
	return c, tcp, nil
}

func playClientReset(ctx context.Context, t *trial) {
	h2 := t.front.Scheme == "https"
	ended := make(chan string, 1)
	if h2 {
		go func() { ended <- t.cancelStream(ctx) }()
	}
	c, tcp, err := t.connect(ctx, t.token)
	if err != nil {
		t.wrong("%v", err)
		return
	}
	n, err := io.ReadFull(c, make([]byte, 64<<10))
	t.row.Client = fmt.Sprintf("h1: reset after %d bytes", n)
	if err != nil {
		t.wrong("the response ended by itself: %v", err)
	}
	t.began = time.Now() // the limit counts from the client's going
	_ = tcp.SetLinger(0) // if the proxy has ended it, the line above said so
	_ = tcp.Close()
	if h2 {
		if text := <-ended; text != "" {
			t.wrong("h2: %s", text)
		} else {
			t.row.Client += "; h2: stream cancelled, origin let go"
		}
	}
}

// cancelStream cancels a request over HTTP/2 and waits until the origin is let go; "" if it is in time.
func (t *trial) cancelStream(ctx context.Context) string {
	tr := t.transport(true)
	defer tr.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(ctx, t.bound)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, t.url(t.port, t.Name, t.token+"-h2"), nil)
	if err != nil {
		return err.Error()
	}
	resp, err := tr.RoundTrip(req)
	if err != nil {
		return err.Error()
	}
	if _, err := io.ReadFull(resp.Body, make([]byte, 64<<10)); err != nil {
		return err.Error()
	}
	if err := resp.Body.Close(); err != nil { // sends RST_STREAM
		return err.Error()
	}
	select {
	case <-t.origin.of(t.token + "-h2").done:
		return ""
	case <-time.After(t.bound):
		return "the origin's connection stays open"
	}
}

func playHalfClose(ctx context.Context, t *trial) {
	c, _, err := t.connect(ctx, t.token)
	if err != nil {
		t.wrong("%v", err)
		return
	}
	defer c.Close()
	if closer, ok := c.(interface{ CloseWrite() error }); ok {
		if err := closer.CloseWrite(); err != nil {
			t.wrong("%v", err)
			return
		}
	}
	if err := c.SetReadDeadline(time.Now().Add(t.bound)); err != nil {
		t.wrong("%v", err)
		return
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		var timeout net.Error
		if errors.As(err, &timeout) && timeout.Timeout() {
			t.row.Verdict = Hung
		}
		t.row.Client = "no response, the connection ended"
		return
	}
	body, err := io.ReadAll(resp.Body)
	t.row.Client = fmt.Sprintf("%d, %d bytes", resp.StatusCode, len(body))
	if err != nil {
		t.row.Client += ", then aborted"
	} else if resp.StatusCode == http.StatusOK && !bytes.Equal(body, []byte(plainBody)) {
		t.wrong("passed off as complete")
	}
}

func playZeroWindow(ctx context.Context, t *trial) {
	c, tcp, err := t.connect(ctx, t.token)
	if err != nil {
		t.wrong("%v", err)
		return
	}
	defer c.Close()
	if err := tcp.SetReadBuffer(4 << 10); err != nil {
		t.wrong("%v", err)
		return
	}
	if _, err := io.ReadFull(c, make([]byte, 1<<10)); err != nil {
		t.wrong("the response ended by itself: %v", err)
	}
	t.row.Client = "read 1 KB, then nothing"
	select { // the connection stays open, unread
	case <-t.origin.of(t.token).done:
	case <-time.After(t.bound):
	case <-ctx.Done():
	}
}

func playSlowHello(ctx context.Context, t *trial) {
	if t.front.Scheme != "https" {
		t.skip("the proxy is tried over plain HTTP")
		return
	}
	c, err := t.dial(ctx)
	if err != nil {
		t.wrong("%v", err)
		return
	}
	defer c.Close()
	gone := make(chan error, 1)
	go func() { _, err := io.Copy(io.Discard, c); gone <- err }()
	// A record header that announces 512 bytes of handshake, and then one byte of it after another.
	hello := append([]byte{22, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3}, make([]byte, 501)...)
	tick := time.NewTicker(300 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(t.bound)
	for i := 0; ; {
		select {
		case <-gone:
			t.row.Client = "cut by the proxy"
			return
		case <-limit:
			t.row.Client, t.row.Verdict = "the handshake goes on", Hung
			_ = c.Close() // ends the reader
			<-gone
			return
		case <-tick.C:
			if _, err := c.Write(hello[i : i+1]); err == nil && i < len(hello)-2 {
				i++
			}
		}
	}
}
