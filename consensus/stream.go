package consensus

import (
	"context"
	"net"
	"sync"
	"time"

	hraft "github.com/hashicorp/raft"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/rpc"
)

// streamLayer gives raft's transport its connections. A server's raft address is its node
// ID; where the node is gets resolved at each dial, so that a node may move.
type streamLayer struct {
	n *Node
	rpc.Listener

	mu     sync.Mutex // guards all below
	open   map[*streamConn]struct{}
	closed bool
}

func newStreamLayer(n *Node) *streamLayer {
	return &streamLayer{n: n, Listener: n.o.Network.Listen(rpc.ProtoRaft), open: map[*streamConn]struct{}{}}
}

// nodeAddr is a node ID as raft's address.
type nodeAddr honeyant.NodeID

func (a nodeAddr) Network() string { return "honeyant" }
func (a nodeAddr) String() string  { return honeyant.NodeID(a).String() }

func serverID(id honeyant.NodeID) hraft.ServerID           { return hraft.ServerID(id.String()) }
func serverAddress(id honeyant.NodeID) hraft.ServerAddress { return hraft.ServerAddress(id.String()) }

// nodeOf is the node that a server ID or address names, 0 if none.
func nodeOf[T ~string](s T) honeyant.NodeID {
	id, err := honeyant.ParseNodeID(string(s))
	if err != nil {
		return 0
	}
	return id
}

// Addr implements raft.StreamLayer.
func (s *streamLayer) Addr() net.Addr { return nodeAddr(s.n.o.Self) }

// Dial implements raft.StreamLayer.
func (s *streamLayer) Dial(address hraft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	c, err := s.n.dialNode(ctx, nodeOf(address), rpc.ProtoRaft)
	if err != nil {
		return nil, err
	}
	return s.track(c, false)
}

// Accept implements net.Listener. The hello waits for the first Read: nobody else's connection has to.
func (s *streamLayer) Accept() (net.Conn, error) {
	c, err := s.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return s.track(c, true)
}

// Close ends the listener and every connection made or accepted.
func (s *streamLayer) Close() error {
	s.mu.Lock()
	s.closed = true
	open := s.open
	s.open = map[*streamConn]struct{}{}
	s.mu.Unlock()
	err := s.Listener.Close()
	for c := range open {
		_ = c.Conn.Close() // it is being thrown away; whoever uses it hears of it
	}
	return err
}

type streamConn struct {
	net.Conn
	layer *streamLayer

	greet   sync.Once // of an accepted connection, at its first Read
	refused error     // written inside greet
}

func (s *streamLayer) track(c net.Conn, accepted bool) (net.Conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, honeyant.E("consensus.Connect", honeyant.Unavailable, "", c.Close())
	}
	t := &streamConn{Conn: c, layer: s}
	if !accepted {
		t.greet.Do(func() {})
	}
	s.open[t] = struct{}{}
	return t, nil
}

// Read implements net.Conn. Nothing that comes before the hello is heard.
func (c *streamConn) Read(p []byte) (int, error) {
	c.greet.Do(func() { c.refused = c.layer.n.greet(c.Conn) })
	if c.refused != nil {
		return 0, c.refused
	}
	return c.Conn.Read(p)
}

// Close implements net.Conn.
func (c *streamConn) Close() error {
	c.layer.mu.Lock()
	delete(c.layer.open, c)
	c.layer.mu.Unlock()
	return c.Conn.Close()
}
