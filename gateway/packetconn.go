package gateway

import (
	"errors"
	"net"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/quic-go/quic-go"
	"golang.org/x/net/ipv4"

	"github.com/honeyant/honeyant/gateway/ledger"
)

// packetConnModule enters the QUIC connections of a server in the ledger and bounds their
// handshake and idle time. It belongs before other wrappers:
//
//	servers {
//		packet_conn_wrappers {
//			honeyant
//		}
//	}
//
// Caddy keeps a UDP socket over reloads, and the wrapper with it: connections go on. They have
// the limits of the configuration that opened the socket until their first request, afterwards
// those of the newest, which handles their requests.
type packetConnModule struct {
	// Limits of connections before their first request: client_tls, client_idle and close.
	Deadlines Deadlines `json:"deadlines,omitzero"`

	shared *shared
}

// CaddyModule is Caddy's.
func (m *packetConnModule) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "caddy.packetconns." + listenerName, New: func() caddy.Module { return &packetConnModule{shared: m.shared} }}
}

// WrapPacketConn is Caddy's.
func (m *packetConnModule) WrapPacketConn(c net.PacketConn) net.PacketConn {
	follow := m.shared.ledger.FollowQUIC(c.LocalAddr(), m.Deadlines.Or(ledger.Defaults()))
	bare := c
	for {
		wrapper, ok := bare.(interface{ Unwrap() net.PacketConn })
		if !ok {
			break
		}
		bare = wrapper.Unwrap()
	}
	if udp, ok := bare.(*net.UDPConn); ok {
		return &followedUDP{UDPConn: udp, batch: ipv4.NewPacketConn(udp), follow: follow}
	}
	return &followed{c, follow}
}

// UnmarshalCaddyfile reads `honeyant { NAME TIME ... }`.
func (m *packetConnModule) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	return m.Deadlines.parseBlock(d)
}

// followedUDP is a UDP socket as quic-go likes it best: it reads several datagrams with one call
// to the system, and sends several.
type followedUDP struct {
	*net.UDPConn
	batch  *ipv4.PacketConn // also reads sockets of IPv6
	follow *ledger.QUIC
}

// ReadBatch is how quic-go reads. A datagram that is dropped is left as an empty one, which
// quic-go passes over: its buffers stand in the order of the messages.
func (c *followedUDP) ReadBatch(ms []ipv4.Message, flags int) (int, error) {
	n, err := c.batch.ReadBatch(ms, flags)
	for i := range ms[:max(n, 0)] {
		m := &ms[i]
		from, ok := m.Addr.(*net.UDPAddr)
		if !ok {
			continue
		}
		if to := c.follow.Received(m.Buffers[0][:m.N], from); to != nil {
			m.Addr = to
		} else {
			m.N = 0
		}
	}
	closeIfOver(c.follow, err)
	return n, err
}

// WriteMsgUDP is how quic-go writes.
func (c *followedUDP) WriteMsgUDP(p, oob []byte, to *net.UDPAddr) (n, oobn int, err error) {
	c.follow.Sent(p, to)
	return c.UDPConn.WriteMsgUDP(p, oob, to)
}

// followed is any other socket, such as one that is wrapped already.
type followed struct {
	net.PacketConn
	follow *ledger.QUIC
}

// ReadFrom reads the next datagram that is not dropped.
func (c *followed) ReadFrom(p []byte) (int, net.Addr, error) {
	for {
		n, addr, err := c.PacketConn.ReadFrom(p)
		closeIfOver(c.follow, err)
		from, ok := addr.(*net.UDPAddr)
		if err != nil || !ok {
			return n, addr, err
		}
		if to := c.follow.Received(p[:n], from); to != nil {
			return n, to, nil
		}
	}
}

// WriteTo writes a datagram.
func (c *followed) WriteTo(p []byte, addr net.Addr) (int, error) {
	if to, ok := addr.(*net.UDPAddr); ok {
		c.follow.Sent(p, to)
	}
	return c.PacketConn.WriteTo(p, addr)
}

// closeIfOver ends the connections after an error that quic-go takes for the end of the socket.
// Caddy closes the socket itself, not what wraps it.
func closeIfOver(follow *ledger.QUIC, err error) {
	var passing interface{ Temporary() bool }
	if err != nil && !(errors.As(err, &passing) && passing.Temporary()) {
		follow.Close()
	}
}

var (
	_ caddy.PacketConnWrapper   = (*packetConnModule)(nil)
	_ caddyfile.Unmarshaler     = (*packetConnModule)(nil)
	_ quic.OOBCapablePacketConn = (*followedUDP)(nil)
)
