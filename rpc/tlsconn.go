package rpc

import (
	"crypto/tls"
	"io"
	"net"
	"os"
	"sync"
	"syscall"

	"github.com/honeyant/honeyant"
)

// tlsConn is a Conn over TLS. Each Write reaches the wire before it returns, all its
// records in as few system calls as possible.
type tlsConn struct {
	*tls.Conn
	batch  *batchConn
	peer   honeyant.NodeID
	forget func(*tlsConn)
	once   sync.Once
	closed error
}

// Peer is the node at the other end.
func (c *tlsConn) Peer() honeyant.NodeID { return c.peer }

// Write encrypts p and sends it.
func (c *tlsConn) Write(p []byte) (int, error) {
	if len(p) <= maxRecord { // one record is one system call anyway
		return c.Conn.Write(p)
	}
	c.batch.begin()
	n, err := c.Conn.Write(p)
	if flushErr := c.batch.end(); err == nil {
		err = flushErr
	}
	return n, err
}

// WriteBuffers writes the buffers one after another, gathered like one Write.
func (c *tlsConn) WriteBuffers(bufs ...[]byte) error {
	c.batch.begin()
	var err error
	for _, b := range bufs {
		if _, err = c.Conn.Write(b); err != nil {
			break
		}
	}
	if flushErr := c.batch.end(); err == nil {
		err = flushErr
	}
	return err
}

// WriteBuffers writes the buffers one after another, in as few system calls as c can.
func WriteBuffers(c net.Conn, bufs ...[]byte) error {
	if g, ok := c.(interface{ WriteBuffers(...[]byte) error }); ok {
		return g.WriteBuffers(bufs...)
	}
	for _, b := range bufs {
		if _, err := c.Write(b); err != nil {
			return err
		}
	}
	return nil
}

// Close closes the socket without a TLS goodbye: that could wait for seconds on a peer that
// does not read, and every protocol here tells by itself where its messages end.
func (c *tlsConn) Close() error {
	c.once.Do(func() {
		c.closed = c.batch.Conn.Close()
		if c.forget != nil {
			c.forget(c)
		}
	})
	return c.closed
}

const (
	maxRecord  = 16 << 10  // bytes of payload in one TLS record
	batchBytes = 132 << 10 // records gathered for one system call: two frames of a chunk with all overhead
)

// batchConn lies under a tls.Conn: it reads ahead, and gathers what is written between
// begin and end into few system calls. Writes outside pass straight through. While nothing
// comes and nothing is written it holds no buffer [37].
type batchConn struct {
	net.Conn
	raw syscall.RawConn // nil: reads go straight to Conn

	// Used by the tls.Conn's reader only, which is one at a time.
	ahead   *[aheadBytes]byte // from aheadPool while it holds unread bytes
	unread  []byte            // within ahead
	readErr error             // of the last readAhead
	fill    func(fd uintptr) bool

	mu    sync.Mutex // guards buf, depth and the order of what is sent
	depth int
	buf   *[]byte // from batchPool while something is gathered
}

// aheadBytes is how much one system call reads at most.
const aheadBytes = 128 << 10

var (
	batchPool = sync.Pool{New: func() any { b := make([]byte, 0, batchBytes); return &b }}
	aheadPool = sync.Pool{New: func() any { return new([aheadBytes]byte) }}
)

func newBatchConn(c net.Conn) *batchConn {
	b := &batchConn{Conn: c}
	if sc, ok := c.(syscall.Conn); ok {
		if raw, err := sc.SyscallConn(); err == nil {
			b.raw = raw
		}
	}
	b.fill = b.readAhead
	return b
}

// Read gives what was read ahead, or reads when the socket has something.
func (b *batchConn) Read(p []byte) (int, error) {
	if b.raw == nil || len(p) == 0 {
		return b.Conn.Read(p)
	}
	if len(b.unread) == 0 {
		if err := b.raw.Read(b.fill); err != nil {
			return 0, err
		}
		if b.readErr != nil {
			return 0, b.readErr
		}
	}
	n := copy(p, b.unread)
	if b.unread = b.unread[n:]; len(b.unread) == 0 {
		aheadPool.Put(b.ahead)
		b.ahead, b.unread = nil, nil
	}
	return n, nil
}

// readAhead reads once without waiting; false lets the runtime wait until there is something.
func (b *batchConn) readAhead(fd uintptr) bool {
	buf := aheadPool.Get().(*[aheadBytes]byte)
	n, err := readOnce(fd, buf[:])
	if n > 0 {
		b.ahead, b.unread, b.readErr = buf, buf[:n], nil
		return true
	}
	aheadPool.Put(buf)
	if err == syscall.EAGAIN {
		return false
	}
	if b.readErr = io.EOF; err != nil {
		b.readErr = &net.OpError{Op: "read", Net: "tcp", Source: b.LocalAddr(), Addr: b.RemoteAddr(), Err: os.NewSyscallError("read", err)}
	}
	return true
}

// readOnce is read(2), begun again when a signal interrupts it.
func readOnce(fd uintptr, p []byte) (int, error) {
	for {
		n, err := syscall.Read(int(fd), p)
		if err != syscall.EINTR {
			return n, err
		}
	}
}

func (b *batchConn) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.depth == 0 && b.buf == nil {
		return b.Conn.Write(p)
	}
	if b.buf == nil {
		b.buf = batchPool.Get().(*[]byte)
	}
	if len(*b.buf)+len(p) > cap(*b.buf) {
		if err := b.sendLocked(); err != nil {
			return 0, err
		}
		if len(p) > cap(*b.buf) {
			return b.Conn.Write(p)
		}
	}
	*b.buf = append(*b.buf, p...)
	return len(p), nil
}

func (b *batchConn) begin() {
	b.mu.Lock()
	b.depth++
	b.mu.Unlock()
}

func (b *batchConn) end() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.depth--
	if b.buf == nil {
		return nil
	}
	err := b.sendLocked()
	if b.depth == 0 {
		batchPool.Put(b.buf)
		b.buf = nil
	}
	return err
}

// sendLocked sends what was gathered. After an error the tls.Conn above is useless: its
// next record would not decrypt, so the socket's own error is all that follows.
func (b *batchConn) sendLocked() error {
	_, err := b.Conn.Write(*b.buf)
	*b.buf = (*b.buf)[:0]
	if err != nil {
		b.Conn.Close()
	}
	return err
}
