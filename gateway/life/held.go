package life

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

// held is an open socket. One goroutine accepts from it and gives each connection to whichever listener asks next, so that
// a connection that was accepted while one configuration gives way to another is not lost with the first.
type held struct {
	sockets   *Sockets
	key       string
	file      *os.File // for a successor
	acceptor  *net.TCPListener
	conns     chan *Conn    // unbuffered: what is not taken stays in the kernel's queue, but for one
	abandon   chan struct{} // closed when nobody will ask any more
	ended     chan struct{} // closed when the goroutine has ended
	closing   sync.Once
	listeners map[*listener]struct{} // guarded by sockets.mu
}

// hold begins to accept from a socket.
func (s *Sockets) hold(key string, f *os.File) (*held, error) {
	ln, err := net.FileListener(f)
	if err != nil {
		return nil, err
	}
	tcp, ok := ln.(*net.TCPListener)
	if !ok {
		return nil, errors.Join(errors.New("the passed socket is no TCP socket"), ln.Close())
	}
	h := &held{sockets: s, key: key, file: f, acceptor: tcp, conns: make(chan *Conn), abandon: make(chan struct{}), ended: make(chan struct{}),
		listeners: map[*listener]struct{}{}}
	go h.accept()
	return h, nil
}

// accept ends when the acceptor is closed and what it had accepted is given away.
func (h *held) accept() {
	defer close(h.ended)
	const least, most = 5 * time.Millisecond, time.Second
	wait := least
	for {
		tcp, err := h.acceptor.AcceptTCP()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // out of descriptors, most likely: others will be closed
			select {
			case <-time.After(wait):
			case <-h.abandon:
				return
			}
			wait = min(2*wait, most)
			continue
		}
		wait = least
		c := h.sockets.enter(tcp)
		if !h.give(c) {
			_ = c.Close() // nobody is there to serve it
			return
		}
	}
}

// give hands a connection to a listener, after the pause if there is one.
func (h *held) give(c *Conn) bool {
	for {
		h.sockets.mu.Lock()
		paused := h.sockets.paused
		c.given = paused == nil
		h.sockets.mu.Unlock()
		if paused == nil {
			break
		}
		select {
		case <-paused:
		case <-h.abandon:
			return false
		}
	}
	select {
	case h.conns <- c:
		return true
	case <-h.abandon:
		return false
	}
}

// stop accepts no more and waits until what was accepted is given away.
func (h *held) stop() error {
	err := h.acceptor.Close()
	if errors.Is(err, net.ErrClosed) {
		err = nil
	}
	select {
	case <-h.ended:
	case <-time.After(time.Second): // its listeners do not ask any more
	}
	return err
}

// close ends everything. The kernel's queue lives on if a successor has the socket.
func (h *held) close() (err error) {
	h.closing.Do(func() {
		err = h.acceptor.Close()
		if errors.Is(err, net.ErrClosed) {
			err = nil
		}
		close(h.abandon)
		<-h.ended
		err = errors.Join(err, h.file.Close())
	})
	return err
}

// listener is one configuration's ear on a held socket.
type listener struct {
	held    *held
	closed  chan struct{}
	closing sync.Once
}

// Addr is where it listens.
func (l *listener) Addr() net.Addr { return l.held.acceptor.Addr() }

// Accept waits for the next connection, which counts as live until it is closed.
func (l *listener) Accept() (net.Conn, error) {
	select { // a closed one takes nothing, even if there is something
	case <-l.closed:
		return nil, net.ErrClosed
	default:
	}
	select {
	case c := <-l.held.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close stops this ear; the socket goes with the last one, unless there is a pause.
func (l *listener) Close() error {
	err := net.ErrClosed
	l.closing.Do(func() {
		err = nil
		close(l.closed)
		s := l.held.sockets
		s.mu.Lock()
		delete(l.held.listeners, l)
		last := len(l.held.listeners) == 0 && s.paused == nil && s.held[l.held.key] == l.held
		if last {
			delete(s.held, l.held.key)
		}
		s.mu.Unlock()
		if last {
			err = l.held.close()
		}
	})
	return err
}

// Conn is an accepted connection that its Sockets know of. Everything that a *net.TCPConn can do it can.
type Conn struct {
	*net.TCPConn
	sockets *Sockets
	remote  string
	since   time.Time // when it was accepted
	given   bool      // a listener has it, or is about to; guarded by sockets.mu
	used    bool      // a request came over it; likewise
	closing sync.Once
}

func (s *Sockets) enter(tcp *net.TCPConn) *Conn {
	c := &Conn{TCPConn: tcp, sockets: s, remote: tcp.RemoteAddr().String(), since: time.Now()}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.live[c.remote] = c
	return c
}

// Close closes the connection and takes it off the list; again it gives net.ErrClosed.
func (c *Conn) Close() error {
	err := net.ErrClosed
	c.closing.Do(func() {
		s := c.sockets
		s.mu.Lock()
		if s.live[c.remote] == c { // the same address may come again as soon as the socket is closed
			delete(s.live, c.remote)
		}
		if len(s.live) == 0 && s.none != nil {
			close(s.none)
			s.none = nil
		}
		s.mu.Unlock()
		err = c.TCPConn.Close()
	})
	return err
}
