package selftest

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// The origin's ports, by what is wrong with them.
const (
	portPlain   = "plain"   // HTTP
	portTLS     = "tls"     // HTTPS with a good certificate
	portMute    = "mute"    // accepts and never says anything
	portExpired = "expired" // HTTPS with a certificate that has run out, and for another name
	portFull    = "full"    // does not accept: its queue is full
	portH2      = "h2"      // HTTP/2 over TLS
)

// Ports lists them; each is a path segment under the prefix.
func Ports() []string {
	return []string{portPlain, portTLS, portMute, portExpired, portFull, portH2}
}

// Prefix is the path under which a proxy must pass requests on, as Prefix/PORT/...
const Prefix = "/honeyant-selftest"

// Origin is a server that misbehaves as the path of each request says: .../FAULT/TOKEN. It serves from NewOrigin to Close.
type Origin struct {
	certs     *certificates
	listeners map[string]net.Listener
	full      *fullPort
	scripts   map[string]script
	ctx       context.Context
	cancel    context.CancelFunc
	running   sync.WaitGroup

	mu    sync.Mutex
	seen  map[string]*Seen // by token
	conns map[net.Conn]struct{}
}

// Seen is what the origin noticed of the request with one token.
type Seen struct {
	mu       sync.Mutex
	requests int
	over     time.Time // when the proxy let go of the last connection, zero: it has not
	how      string
	done     chan struct{} // closed when over is set the first time
}

// request notes that it came once more.
func (s *Seen) request() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests++
}

// end notes how the proxy let go.
func (s *Seen) end(how string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over.IsZero() {
		close(s.done)
	}
	s.over, s.how = time.Now(), how
}

// text is what happened, in words, and when the proxy let go (zero: not yet).
func (s *Seen) text() (string, time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.requests == 0:
		return "no request", s.over
	case s.over.IsZero():
		return fmt.Sprintf("%d request(s), connection open", s.requests), s.over
	}
	return fmt.Sprintf("%d request(s), %s", s.requests, s.how), s.over
}

// script answers one request on a connection; it returns whether the connection goes on.
type script func(c *originConn, req *http.Request) (keep bool)

// originConn is a connection from the proxy.
type originConn struct {
	net.Conn              // TLS or plain
	tcp      *net.TCPConn // below it
	ctx      context.Context
	seen     *Seen
	onConn   int // which request on this connection this is, from 1
}

// NewOrigin listens on host, an address of this machine that the proxy can reach: on the ports from first on in the order of
// Ports, or on free ones if first is 0.
func NewOrigin(host string, first int) (*Origin, error) {
	certs, err := newCertificates(host)
	if err != nil {
		return nil, err
	}
	o := &Origin{certs: certs, listeners: map[string]net.Listener{}, scripts: map[string]script{}, seen: map[string]*Seen{}, conns: map[net.Conn]struct{}{}}
	o.ctx, o.cancel = context.WithCancel(context.Background())
	for _, f := range Faults() {
		if f.script != nil {
			o.scripts[f.Name] = f.script
		}
	}
	for i, port := range Ports() {
		number := 0
		if first != 0 {
			number = first + i
		}
		if port == portFull {
			o.full, err = newFullPort(host, number)
		} else {
			o.listeners[port], err = net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(number)))
		}
		if err != nil {
			return nil, errors.Join(err, o.Close())
		}
	}
	for port, ln := range o.listeners {
		o.running.Go(func() { o.accept(port, ln) })
	}
	return o, nil
}

// Address is where a port listens.
func (o *Origin) Address(port string) string {
	if port == portFull {
		return o.full.address
	}
	return o.listeners[port].Addr().String()
}

// Authority is the PEM text of the authority that signed the certificates of the ports tls and h2.
func (o *Origin) Authority() []byte { return o.certs.authority }

// Close ends all connections and waits for their goroutines.
func (o *Origin) Close() error {
	o.cancel()
	var errs []error
	for _, ln := range o.listeners {
		if ln != nil {
			errs = append(errs, ln.Close())
		}
	}
	if o.full != nil {
		errs = append(errs, o.full.close())
	}
	o.mu.Lock()
	for c := range o.conns {
		_ = c.Close() // ended already, perhaps
	}
	o.mu.Unlock()
	o.running.Wait()
	return errors.Join(errs...)
}

// of is the record of a token, made if need be.
func (o *Origin) of(token string) *Seen {
	o.mu.Lock()
	defer o.mu.Unlock()
	s := o.seen[token]
	if s == nil {
		s = &Seen{done: make(chan struct{})}
		o.seen[token] = s
	}
	return s
}

func (o *Origin) accept(port string, ln net.Listener) {
	for {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		o.mu.Lock()
		o.conns[c] = struct{}{}
		o.mu.Unlock()
		o.running.Go(func() {
			o.serve(port, c.(*net.TCPConn))
			o.mu.Lock()
			delete(o.conns, c)
			o.mu.Unlock()
			_ = c.Close() // the script has ended it in its own way, perhaps
		})
	}
}

// connLimit bounds a connection whatever the script does.
const connLimit = 10 * time.Minute

func (o *Origin) serve(port string, tcp *net.TCPConn) {
	if err := tcp.SetDeadline(time.Now().Add(connLimit)); err != nil {
		return
	}
	c := net.Conn(tcp)
	switch port {
	case portMute:
		_, _ = io.Copy(io.Discard, tcp) // until the proxy gives up
		return
	case portTLS:
		c = tls.Server(tcp, o.certs.good())
	case portExpired:
		c = tls.Server(tcp, o.certs.bad())
	case portH2:
		o.serveH2(tls.Server(tcp, o.certs.h2()), tcp)
		return
	}
	r := bufio.NewReader(c)
	for onConn := 1; ; onConn++ {
		req, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		name, token := target(req.URL.Path)
		seen := o.of(token)
		play := o.scripts[name]
		if play == nil {
			play = answerPlainly
		}
		seen.request()
		oc := &originConn{Conn: c, tcp: tcp, ctx: o.ctx, seen: seen, onConn: onConn}
		if _, err := io.Copy(io.Discard, req.Body); err != nil || !play(oc, req) {
			return
		}
	}
}

// target takes the last two segments of a path; an extension of the last one is for content types.
func target(path string) (name, token string) {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	if len(parts) < 2 {
		return "", ""
	}
	token, _, _ = strings.Cut(parts[len(parts)-1], ".")
	return parts[len(parts)-2], token
}

// say writes text; a proxy that has gone is noticed by hold.
func (c *originConn) say(text string) { _, _ = io.WriteString(c.Conn, text) }

// hold waits until the proxy lets go of the connection, and notes how.
func (c *originConn) hold() {
	_, err := c.Conn.Read(make([]byte, 1))
	c.seen.end(howEnded(err))
}

func howEnded(err error) string {
	switch {
	case err == nil:
		return "it went on with the connection"
	case errors.Is(err, io.EOF):
		return "closed by the proxy"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "reset by the proxy"
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "closed by the proxy without close_notify"
	}
	return "closed by the proxy (" + err.Error() + ")"
}

// pause waits for d unless the origin is closed.
func (c *originConn) pause(d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-c.ctx.Done():
		return false
	}
}

// trickle sends piece each d until the proxy lets go.
func (c *originConn) trickle(piece string, d time.Duration) {
	gone := make(chan error, 1)
	go func() { _, err := c.Conn.Read(make([]byte, 1)); gone <- err }()
	for {
		select {
		case err := <-gone:
			c.seen.end(howEnded(err))
			return
		case <-c.ctx.Done():
			_ = c.tcp.Close() // ends the reader
			<-gone
			return
		case <-time.After(d):
			if _, err := io.WriteString(c.Conn, piece); err != nil {
				c.seen.end(howEnded(err))
				_ = c.tcp.Close() // ends the reader
				<-gone
				return
			}
		}
	}
}

// reset ends the connection by RST.
func (c *originConn) reset() {
	_ = c.tcp.SetLinger(0) // has ended already, then there is nothing to reset
	_ = c.tcp.Close()
}

// plainBody is what a sound answer says.
const plainBody = "all is well\n"

func answerPlainly(c *originConn, _ *http.Request) bool {
	c.say("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: " + fmt.Sprint(len(plainBody)) + "\r\n\r\n" + plainBody)
	return true
}
