package origin

import (
	"io"
	"net"
	"net/textproto"
	"sync"

	"github.com/honeyant/honeyant/gateway/ledger"
)

type (
	connOnly        = net.Conn
	textHeader      = textproto.MIMEHeader
	readWriteCloser = io.ReadWriteCloser
)

// tunnel is the origin's side of an upgraded connection: both directions pass through it, and
// it ends when neither has had a byte for the limit tunnel_idle.
type tunnel struct {
	io.ReadWriteCloser
	a    *attempt
	gate *ledger.Gate
	once sync.Once
}

// halfTunnel is a tunnel whose sending side can be closed alone.
type halfTunnel struct {
	*tunnel
	half interface{ CloseWrite() error }
}

// CloseWrite closes the sending side.
func (t *halfTunnel) CloseWrite() error { return t.half.CloseWrite() }

func newTunnel(a *attempt, rw io.ReadWriteCloser) io.ReadWriteCloser {
	t := &tunnel{ReadWriteCloser: rw, a: a}
	t.gate = a.req.Gate(ledger.Tunnel, func(why *ledger.Ending) {
		a.end(why)
		t.Close()
	})
	a.req.OnKill(func() { t.ReadWriteCloser.Close() })
	t.gate.Enter()
	if half, ok := rw.(interface{ CloseWrite() error }); ok {
		return &halfTunnel{tunnel: t, half: half}
	}
	return t
}

// Read takes bytes from the origin.
func (t *tunnel) Read(p []byte) (int, error) {
	n, err := t.ReadWriteCloser.Read(p)
	t.gate.Progress(n)
	t.a.req.AddOut(n)
	return n, err
}

// Write gives bytes to the origin.
func (t *tunnel) Write(p []byte) (int, error) {
	n, err := t.ReadWriteCloser.Write(p)
	t.gate.Progress(n)
	t.a.req.AddIn(n)
	return n, err
}

// Close ends the tunnel.
func (t *tunnel) Close() error {
	var err error
	t.once.Do(func() {
		t.gate.Leave(0)
		err = t.ReadWriteCloser.Close()
		t.a.cancel(nil)
	})
	return err
}
