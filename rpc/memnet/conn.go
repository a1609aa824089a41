package memnet

import (
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/rpc"
)

// conn is one end of a connection. Its fields are guarded by World.mu.
type conn struct {
	node   *Node
	other  *conn
	cond   *sync.Cond // on World.mu, shared by the two ends
	proto  rpc.Proto
	dialed bool // this end dialed

	inbox    []piece // what the other end sent and this end has not read
	held     int     // bytes of inbox
	finished bool    // the other end closed: EOF after inbox
	failed   error   // this end is over
	broken   error   // the other end is dead, and this one learns it once the link lets it
	dark     bool    // the other end lost power: nothing goes or comes

	readBy, writeBy   time.Time
	readTimer, wTimer *time.Timer
}

// piece is what one Write sent.
type piece struct {
	data []byte
	at   time.Time // not readable before
}

func pair(from, to *Node, p rpc.Proto) (near, far *conn) {
	near, far = &conn{node: from, proto: p, dialed: true}, &conn{node: to, proto: p}
	near.other, far.other = far, near
	near.cond = sync.NewCond(&from.world.mu)
	far.cond = near.cond
	return near, far
}

// Peer is the node at the other end; 0 for the accepting end of ProtoJoin.
func (c *conn) Peer() honeyant.NodeID {
	if c.proto == rpc.ProtoJoin && !c.dialed {
		return 0
	}
	return c.other.node.id
}

func (c *conn) dialer() *conn {
	if c.dialed {
		return c
	}
	return c.other
}

func (c *conn) joins(a, b honeyant.NodeID) bool {
	x, y := c.node.id, c.other.node.id
	return x == a && y == b || x == b && y == a
}

// failLocked ends this end; what it had not read is lost.
func (c *conn) failLocked(err error) {
	if c.failed == nil {
		c.failed = err
	}
	c.inbox, c.held = nil, 0
	stopTimer(&c.readTimer)
	stopTimer(&c.wTimer)
}

// learnLocked tells whether the other end reaches this one, and ends this one if what
// comes is that the connection broke.
func (c *conn) learnLocked() bool {
	w := c.node.world
	if c.dark || w.links[direction{c.other.node.id, c.node.id}].cut {
		return false
	}
	if c.broken != nil && c.failed == nil {
		c.failLocked(c.broken)
		delete(w.conns, c.dialer())
	}
	return true
}

func stopTimer(t **time.Timer) {
	if *t != nil {
		(*t).Stop()
		*t = nil
	}
}

// Read takes what has arrived.
func (c *conn) Read(p []byte) (int, error) {
	w := c.node.world
	w.mu.Lock()
	defer w.mu.Unlock()
	for {
		arrived := c.learnLocked()
		if c.failed != nil {
			return 0, c.opError("read", c.failed)
		}
		if expired(c.readBy) {
			return 0, c.opError("read", os.ErrDeadlineExceeded)
		}
		if len(p) == 0 {
			return 0, nil
		}
		if arrived && len(c.inbox) > 0 {
			first := &c.inbox[0]
			if wait := time.Until(first.at); wait > 0 {
				c.wakeLocked(wait)
				c.cond.Wait()
				continue
			}
			n := copy(p, first.data)
			first.data = first.data[n:]
			c.held -= n
			if len(first.data) == 0 {
				c.inbox[0] = piece{}
				c.inbox = c.inbox[1:]
			}
			c.cond.Broadcast()
			return n, nil
		}
		if arrived && c.finished {
			return 0, io.EOF
		}
		c.cond.Wait()
	}
}

// wakeLocked broadcasts once after d.
func (c *conn) wakeLocked(d time.Duration) {
	w := c.node.world
	time.AfterFunc(d, func() {
		w.mu.Lock()
		c.cond.Broadcast()
		w.mu.Unlock()
	})
}

// Write puts p on its way; it waits while the window is full.
func (c *conn) Write(p []byte) (int, error) {
	w := c.node.world
	w.mu.Lock()
	defer w.mu.Unlock()
	sent := 0
	d := direction{c.node.id, c.other.node.id}
	if tap := w.links[d].tapped; tap != nil {
		if q := tap(c.proto, p); len(q) == len(p) {
			p = q
		}
	}
	for {
		arrived := c.learnLocked()
		if c.failed != nil {
			return sent, c.opError("write", c.failed)
		}
		if arrived && c.finished && c.other.failed != nil {
			return sent, c.opError("write", errReset)
		}
		if expired(c.writeBy) {
			return sent, c.opError("write", os.ErrDeadlineExceeded)
		}
		if sent == len(p) {
			return sent, nil
		}
		room := window - c.other.held
		if room <= 0 {
			c.cond.Wait()
			continue
		}
		n := min(room, len(p)-sent)
		at := time.Time{}
		if delay := w.links[d].delay; delay > 0 {
			at = time.Now().Add(delay)
		}
		c.other.inbox = append(c.other.inbox, piece{append([]byte(nil), p[sent:sent+n]...), at})
		c.other.held += n
		sent += n
		c.cond.Broadcast()
	}
}

// Close ends this end; the other one reads what was sent and then EOF.
func (c *conn) Close() error {
	w := c.node.world
	w.mu.Lock()
	defer w.mu.Unlock()
	if c.failed != nil {
		return nil
	}
	c.failLocked(net.ErrClosed)
	c.other.finished = true
	if c.other.failed != nil {
		delete(w.conns, c.dialer())
	}
	c.cond.Broadcast()
	return nil
}

// SetDeadline sets both deadlines; the zero time is none.
func (c *conn) SetDeadline(t time.Time) error {
	c.setDeadline(&c.readBy, &c.readTimer, t)
	return c.setDeadline(&c.writeBy, &c.wTimer, t)
}

// SetReadDeadline bounds Reads.
func (c *conn) SetReadDeadline(t time.Time) error { return c.setDeadline(&c.readBy, &c.readTimer, t) }

// SetWriteDeadline bounds Writes.
func (c *conn) SetWriteDeadline(t time.Time) error { return c.setDeadline(&c.writeBy, &c.wTimer, t) }

func (c *conn) setDeadline(by *time.Time, timer **time.Timer, t time.Time) error {
	w := c.node.world
	w.mu.Lock()
	defer w.mu.Unlock()
	if c.failed != nil {
		return c.opError("set deadline", c.failed)
	}
	*by = t
	stopTimer(timer)
	if !t.IsZero() {
		*timer = time.AfterFunc(time.Until(t), func() {
			w.mu.Lock()
			c.cond.Broadcast()
			w.mu.Unlock()
		})
	}
	c.cond.Broadcast()
	return nil
}

func expired(t time.Time) bool { return !t.IsZero() && !time.Now().Before(t) }

func (c *conn) opError(what string, err error) error {
	return &net.OpError{Op: what, Net: "memnet", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: err}
}

// LocalAddr is this node's address.
func (c *conn) LocalAddr() net.Addr { return addr(c.node.addr) }

// RemoteAddr is the other node's address.
func (c *conn) RemoteAddr() net.Addr { return addr(c.other.node.addr) }

// addr is a node's address in memory.
type addr string

// Network is "memnet".
func (a addr) Network() string { return "memnet" }

// String is the address.
func (a addr) String() string { return string(a) }
