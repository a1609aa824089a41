package rpc

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/honeyant/honeyant"
)

// Client is a Caller that keeps one connection to each node it was asked for and shares it
// among all calls. Safe for concurrent use; Close it.
type Client struct {
	network Network
	resolve Resolver
	proto   Proto
	o       Options

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu     sync.Mutex // guards what follows
	links  map[honeyant.NodeID]*link
	closed bool
}

var _ Caller = (*Client)(nil)

// link is the client's connection to one node, or the attempt to make one. Its fields are
// guarded by Client.mu.
type link struct {
	conn    *callConn
	dialing chan struct{} // closed when the attempt under way ended; nil if there is none
	failed  error         // of the last attempt
	retryAt time.Time     // before it calls fail at once with failed
	backoff time.Duration
}

const (
	firstBackoff = 20 * time.Millisecond
	maxBackoff   = 500 * time.Millisecond
)

// NewClient makes a client of one protocol. Nothing is connected before the first call.
func NewClient(n Network, r Resolver, p Proto, o Options) *Client {
	ctx, cancel := context.WithCancel(context.Background())
	return &Client{
		network: n, resolve: r, proto: p, o: o.withDefaults(), ctx: ctx, cancel: cancel,
		links: map[honeyant.NodeID]*link{},
	}
}

// Call implements Caller. The answer is the caller's own. Errors of the handler come with
// Kind, text and the node; Unavailable means that no answer came before ctx ended, the
// peer fell silent or the connection broke: whether the call was carried out is unknown.
func (c *Client) Call(ctx context.Context, node honeyant.NodeID, m Method, req []byte) ([]byte, error) {
	if c.o.Local != nil && node == c.o.Self {
		return c.o.Local(ctx, node, m, req)
	}
	if len(req) > c.o.MaxMessage {
		return nil, honeyant.E("rpc.Call", honeyant.Invalid, node.String(), fmt.Errorf("a request of %d bytes", len(req)))
	}
	conn, err := c.connection(ctx, node)
	if err != nil {
		return nil, err
	}
	return conn.call(ctx, m, req)
}

// Close ends all calls and connections and waits. Twice is harmless.
func (c *Client) Close() error {
	c.mu.Lock()
	c.closed = true
	var conns []*callConn
	for _, l := range c.links {
		if l.conn != nil {
			conns = append(conns, l.conn)
		}
	}
	c.mu.Unlock()
	c.cancel()
	for _, conn := range conns {
		conn.fail(net.ErrClosed)
	}
	c.wg.Wait()
	return nil
}

// connection is the live connection to node; it waits for one being made until ctx ends.
func (c *Client) connection(ctx context.Context, node honeyant.NodeID) (*callConn, error) {
	const op = "rpc.Call"
	for {
		c.mu.Lock()
		if c.closed {
			c.mu.Unlock()
			return nil, honeyant.E(op, honeyant.Unavailable, node.String(), net.ErrClosed)
		}
		l := c.links[node]
		if l == nil {
			l = &link{}
			c.links[node] = l
		}
		if l.conn != nil {
			defer c.mu.Unlock()
			return l.conn, nil
		}
		if l.dialing == nil {
			if l.failed != nil && time.Now().Before(l.retryAt) {
				defer c.mu.Unlock()
				return nil, unavailable(op, node, l.failed)
			}
			l.dialing = make(chan struct{})
			c.wg.Add(1)
			go c.dial(node, l)
		}
		dialing := l.dialing
		c.mu.Unlock()
		select {
		case <-dialing:
		case <-ctx.Done():
			return nil, unavailable(op, node, ctx.Err())
		}
		c.mu.Lock()
		conn, err := l.conn, l.failed
		c.mu.Unlock()
		if conn != nil {
			return conn, nil
		}
		if err != nil {
			return nil, unavailable(op, node, err)
		}
	}
}

// dial makes the link's connection and runs it to its end.
func (c *Client) dial(node honeyant.NodeID, l *link) {
	defer c.wg.Done()
	conn, err := c.open(node)
	c.mu.Lock()
	close(l.dialing)
	l.dialing, l.failed = nil, err
	if err == nil && c.closed {
		conn.conn.Close()
		err = net.ErrClosed
		l.failed = err
	}
	if err != nil {
		l.backoff = min(max(2*l.backoff, firstBackoff), maxBackoff)
		l.retryAt = time.Now().Add(l.backoff)
		c.mu.Unlock()
		return
	}
	l.conn, l.backoff = conn, 0
	c.mu.Unlock()

	err = conn.run(func() { // before the waiting calls learn of the end
		c.mu.Lock()
		l.conn = nil
		c.mu.Unlock()
	})
	if c.ctx.Err() == nil {
		c.o.Log.Debug("connection ended", "node", node, "proto", c.proto, "err", err)
	}
}

func (c *Client) open(node honeyant.NodeID) (*callConn, error) {
	addr, ok := c.resolve(node)
	if !ok {
		return nil, errors.New("its address is not known")
	}
	ctx, cancel := context.WithTimeout(c.ctx, c.o.Dial)
	defer cancel()
	conn, err := c.network.Dial(ctx, addr, node, c.proto)
	if err != nil {
		return nil, err
	}
	return newCallConn(conn, node, c.o), nil
}

func unavailable(op string, node honeyant.NodeID, cause error) error {
	return &honeyant.Error{Op: op, Kind: honeyant.Unavailable, Node: node, Err: cause}
}
