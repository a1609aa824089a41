package transfer

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/honeyant/honeyant"
)

// pipe is a connection over two files: what ssh carries. It measures how fast it takes what
// is written.
type pipe struct {
	in, out *os.File
	first   []byte // read already, before the files
	gauge   gauge
	eof     atomic.Bool
	once    sync.Once
	after   func() // on Close
}

// newPipe takes the files over and makes them fit for deadlines where the kernel allows.
func newPipe(in, out *os.File, after func()) *pipe {
	return &pipe{in: pollable(in), out: pollable(out), after: after}
}

// pollable turns a file that Go was handed blocking, as standard input is, into one whose
// reads end with Close and with a deadline.
func pollable(f *os.File) *os.File {
	if f.SetDeadline(time.Time{}) == nil {
		return f
	}
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return f
	}
	if unix.SetNonblock(fd, true) != nil {
		unix.Close(fd)
		return f
	}
	g := os.NewFile(uintptr(fd), f.Name())
	f.Close()
	return g
}

func (p *pipe) Read(b []byte) (int, error) {
	if len(p.first) > 0 {
		n := copy(b, p.first)
		p.first = p.first[n:]
		return n, nil
	}
	n, err := p.in.Read(b)
	if errors.Is(err, io.EOF) {
		p.eof.Store(true)
	}
	return n, err
}

func (p *pipe) Write(b []byte) (int, error) {
	start := time.Now()
	n, err := p.out.Write(b)
	now := time.Now()
	p.gauge.add(n, now.Sub(start), now)
	return n, err
}

// ended tells whether the other side closed the connection in order.
func (p *pipe) ended() bool { return p.eof.Load() }

func (p *pipe) Close() error {
	p.once.Do(func() {
		p.in.Close()
		p.out.Close()
		if p.after != nil {
			p.after()
		}
	})
	return nil
}

// Peer is node 0: ssh has proved who it is.
func (p *pipe) Peer() honeyant.NodeID { return 0 }

type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "ssh" }

func (p *pipe) LocalAddr() net.Addr  { return pipeAddr{} }
func (p *pipe) RemoteAddr() net.Addr { return pipeAddr{} }

func (p *pipe) SetDeadline(t time.Time) error {
	return errors.Join(p.SetReadDeadline(t), p.SetWriteDeadline(t))
}
func (p *pipe) SetReadDeadline(t time.Time) error  { return able(p.in.SetReadDeadline(t)) }
func (p *pipe) SetWriteDeadline(t time.Time) error { return able(p.out.SetWriteDeadline(t)) }

// able passes over files that know no deadlines.
func able(err error) error {
	if errors.Is(err, os.ErrNoDeadline) {
		return nil
	}
	return err
}
