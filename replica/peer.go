package replica

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/rpc"
)

// peer is what the client knows of one node: its connections, how quick it is, and whether
// it was found silent.
type peer struct {
	node  honeyant.NodeID
	slots chan struct{} // one per connection in use, but for chains passing through

	mu       sync.Mutex // guards what follows
	idle     []*stream  // the last one was used last
	latency  time.Duration
	measured time.Time // when latency was last
	avoid    time.Time
	closed   bool
}

const (
	idleTime = 30 * time.Second // a connection idle for longer is closed when the next one falls idle
	fadeTime = 10 * time.Second // in which a latency that is not measured again halves
)

// peer finds or makes the entry of a node.
func (c *Client) peer(node honeyant.NodeID) *peer {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.peers[node]
	if p == nil {
		p = &peer{node: node, slots: make(chan struct{}, c.o.Conns), closed: c.closed}
		c.peers[node] = p
	}
	return p
}

// get takes an idle stream to the node or makes one, within limit; fresh ones only if fresh
// is set. The caller gives it back with put. Errors: Unavailable, Permission.
func (c *Client) get(ctx context.Context, p *peer, address string, fresh bool, limit time.Duration) (*stream, error) {
	select {
	case p.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, unavailable("replica.Connect", p.node, ctx.Err())
	}
	s, err := c.connect(ctx, p, address, fresh, limit)
	if err != nil {
		<-p.slots
		return nil, err
	}
	s.slot = true
	return s, nil
}

// connect is get without a slot, for chains that pass through here: the server bounds them, and if they waited
// for those that begin here, chains that run round in a circle would all stand still [P5].
func (c *Client) connect(ctx context.Context, p *peer, address string, fresh bool, limit time.Duration) (*stream, error) {
	const op = "replica.Connect"
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil, unavailable(op, p.node, net.ErrClosed)
	}
	if n := len(p.idle); n > 0 && !fresh {
		s := p.idle[n-1]
		p.idle = p.idle[:n-1]
		p.mu.Unlock()
		return s, nil
	}
	p.mu.Unlock()
	if here, ok := c.o.Map().Node(p.node); ok {
		address = here.Address
	}
	if address == "" {
		return nil, unavailable(op, p.node, errors.New("its address is not known"))
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	conn, err := c.o.Network.Dial(ctx, address, p.node, rpc.ProtoChunk)
	if err != nil {
		return nil, unavailable(op, p.node, err)
	}
	return &stream{conn: conn}, nil
}

// put gives a stream back; only one whose request ended in good order may be used again.
func (c *Client) put(p *peer, s *stream, good bool) {
	slot := s.slot
	s.used, s.since, s.slot = true, time.Now(), false
	var shut []*stream
	p.mu.Lock()
	switch {
	case !good:
		// Its idle siblings probably broke together with it.
		shut = append(p.idle, s)
		p.idle = nil
	case p.closed || len(p.idle) >= c.o.Idle:
		shut = []*stream{s}
	default:
		p.idle = append(p.idle, s)
		for time.Since(p.idle[0].since) > idleTime { // s itself is younger
			shut = append(shut, p.idle[0])
			p.idle = p.idle[1:]
		}
	}
	p.mu.Unlock()
	for _, s := range shut {
		s.conn.Close()
	}
	if slot {
		<-p.slots
	}
}

// silent notes that the node was given up.
func (p *peer) silent(avoid time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.avoid = time.Now().Add(avoid)
}

// answered notes that the node answered, and how quickly (0: not measured).
func (p *peer) answered(took time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.avoid = time.Time{}
	if took <= 0 {
		return
	}
	p.measured = time.Now()
	if p.latency == 0 {
		p.latency = took
	} else {
		p.latency += (took - p.latency) / 8
	}
}

// avoided tells whether the node was found silent just now.
func (p *peer) avoided() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return time.Now().Before(p.avoid)
}

// speed is how long the node takes to answer. A figure fades with time, so that a node that
// was slow once is tried again.
func (p *peer) speed() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.latency >> min(time.Since(p.measured)/fadeTime, 62)
}

// close ends the idle streams; those in use end when they are given back.
func (p *peer) close() {
	p.mu.Lock()
	p.closed = true
	idle := p.idle
	p.idle = nil
	p.mu.Unlock()
	for _, s := range idle {
		s.conn.Close()
	}
}

// unavailable keeps the Kinds that mean more than that nobody answered.
func unavailable(op string, node honeyant.NodeID, cause error) error {
	kind := honeyant.Unavailable
	if honeyant.KindOf(cause) == honeyant.Permission {
		kind = honeyant.Permission
	}
	return &honeyant.Error{Op: op, Kind: kind, Node: node, Err: cause}
}
