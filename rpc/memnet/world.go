// Package memnet is an rpc.Network in memory: nodes of one World reach each other over
// buffered pipes whose links can be cut, delayed, reset and healed, and nodes can be killed
// or lose power. It waits only on sync.Cond, channels and timers, so it works, with fake
// time, inside a testing/synctest bubble.
//
// What a link does to a connection follows TCP: while a direction is cut, what is written
// into it piles up to the window and then blocks, and arrives after Heal; Reset breaks
// connections at once and refuses new ones.
//
// Invariants:
//
//	M1  Bytes of a connection arrive whole, in order and at most once, or not at all.
//	M2  Every wait ends with its deadline, with the end of the connection or of its context.
package memnet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/rpc"
)

// window is how many bytes a direction of a connection holds: a socket's two buffers.
const window = 256 << 10

// World is a set of nodes and the links between them. Safe for concurrent use.
type World struct {
	mu    sync.Mutex
	cond  *sync.Cond // on mu: for Dial and Accept; each connection has one of its own
	nodes map[honeyant.NodeID]*Node
	addrs map[string]*Node
	links map[direction]link
	conns map[*conn]struct{} // the dialing end of every connection that is open
}

// direction is a link one way.
type direction struct{ from, to honeyant.NodeID }

// link is the state of one direction.
type link struct {
	cut    bool          // nothing arrives
	reset  bool          // connections break and are refused
	delay  time.Duration // until a byte arrives
	tapped func(rpc.Proto, []byte) []byte
}

// errReset is what the survivor of a broken connection sees.
var errReset = errors.New("connection reset by peer")

// New makes an empty world.
func New() *World {
	w := &World{
		nodes: map[honeyant.NodeID]*Node{}, addrs: map[string]*Node{}, links: map[direction]link{}, conns: map[*conn]struct{}{},
	}
	w.cond = sync.NewCond(&w.mu)
	return w
}

// Node makes the network of a node that others reach at addr. A node that was killed, lost
// power or was closed is made anew by the same call; its old connections stay dead.
func (w *World) Node(id honeyant.NodeID, addr string) *Node {
	w.mu.Lock()
	defer w.mu.Unlock()
	if old := w.nodes[id]; old != nil {
		w.endLocked(old, errReset)
	}
	n := &Node{world: w, id: id, addr: addr, listeners: map[rpc.Proto]*listener{}}
	w.nodes[id], w.addrs[addr] = n, n
	return n
}

// Cut drops everything between a and b silently, both ways, until Heal.
func (w *World) Cut(a, b honeyant.NodeID) {
	w.CutOneWay(a, b)
	w.CutOneWay(b, a)
}

// CutOneWay drops what from sends to to. New connections between the two do not come about.
func (w *World) CutOneWay(from, to honeyant.NodeID) {
	w.change(from, to, func(l *link) { l.cut = true })
}

// Isolate cuts a node from all others that exist now.
func (w *World) Isolate(id honeyant.NodeID) {
	for _, other := range w.others(id) {
		w.Cut(id, other)
	}
}

// Reset breaks the connections between a and b, and refuses new ones until Heal.
func (w *World) Reset(a, b honeyant.NodeID) {
	for _, d := range []direction{{a, b}, {b, a}} {
		w.change(d.from, d.to, func(l *link) { l.reset = true })
	}
	w.Break(a, b)
}

// Break breaks the connections between a and b; new ones are possible at once.
func (w *World) Break(a, b honeyant.NodeID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for c := range w.conns {
		if c.joins(a, b) {
			w.breakLocked(c, errReset)
		}
	}
}

// Delay makes what from sends arrive at to so much later.
func (w *World) Delay(from, to honeyant.NodeID, d time.Duration) {
	w.change(from, to, func(l *link) { l.delay = d })
}

// Tap shows f what from writes to to from now on (nil ends it); what f returns is sent
// instead. f runs under the world's lock: it may close channels, but not call the world.
func (w *World) Tap(from, to honeyant.NodeID, f func(rpc.Proto, []byte) []byte) {
	w.change(from, to, func(l *link) { l.tapped = f })
}

// Heal undoes Cut, Reset, Delay and Tap between a and b.
func (w *World) Heal(a, b honeyant.NodeID) {
	w.change(a, b, func(l *link) { *l = link{} })
	w.change(b, a, func(l *link) { *l = link{} })
}

// HealAll undoes them all.
func (w *World) HealAll() {
	w.mu.Lock()
	defer w.mu.Unlock()
	clear(w.links)
	w.wakeLocked()
}

// Kill ends a node as the death of its process does: peers see their connections reset and
// new ones refused.
func (w *World) Kill(id honeyant.NodeID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if n := w.nodes[id]; n != nil {
		w.endLocked(n, errReset)
	}
}

// PowerOff ends a node as a power cut does: its own connections are closed, peers hear
// nothing any more, and new connections to it hang.
func (w *World) PowerOff(id honeyant.NodeID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if n := w.nodes[id]; n != nil {
		n.dark = true
		w.endLocked(n, nil)
	}
}

func (w *World) change(from, to honeyant.NodeID, f func(*link)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	d := direction{from, to}
	l := w.links[d]
	f(&l)
	w.links[d] = l
	w.wakeLocked()
}

// wakeLocked lets everybody who waits look again.
func (w *World) wakeLocked() {
	w.cond.Broadcast()
	for c := range w.conns {
		c.cond.Broadcast()
	}
}

func (w *World) others(id honeyant.NodeID) []honeyant.NodeID {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []honeyant.NodeID
	for other := range w.nodes {
		if other != id {
			all = append(all, other)
		}
	}
	return all
}

// endLocked takes a node off the network. seen is what peers' connections end with; nil
// leaves them open and silent.
func (w *World) endLocked(n *Node, seen error) {
	n.closed = true
	if !n.dark && w.addrs[n.addr] == n {
		delete(w.addrs, n.addr)
	}
	for _, l := range n.listeners {
		l.closed = true
	}
	for c := range w.conns {
		for _, end := range []*conn{c, c.other} {
			if end.node == n {
				end.failLocked(net.ErrClosed)
				end.other.dark, end.other.broken = seen == nil, seen
			}
		}
	}
	w.wakeLocked()
}

func (w *World) breakLocked(c *conn, err error) {
	c.failLocked(err)
	c.other.failLocked(err)
	delete(w.conns, c)
	c.cond.Broadcast()
}

// Node is one node's rpc.Network. Safe for concurrent use.
type Node struct {
	world *World
	id    honeyant.NodeID
	addr  string

	// guarded by world.mu
	listeners map[rpc.Proto]*listener
	closed    bool
	dark      bool
}

var _ rpc.Network = (*Node)(nil)

// Addr is where others reach the node.
func (n *Node) Addr() string { return n.addr }

// ID is the node.
func (n *Node) ID() honeyant.NodeID { return n.id }

// Close ends the node's listeners and connections as the end of a process does.
func (n *Node) Close() error {
	n.world.mu.Lock()
	defer n.world.mu.Unlock()
	if !n.closed {
		n.world.endLocked(n, errReset)
	}
	return nil
}

// Recheck closes the connections to nodes that authorize refuses, as (*rpc.TLS).Recheck does.
func (n *Node) Recheck(authorize func(honeyant.NodeID) error) {
	w := n.world
	w.mu.Lock()
	defer w.mu.Unlock()
	for c := range w.conns {
		if c.node == n && authorize(c.other.node.id) != nil || c.other.node == n && authorize(c.node.id) != nil {
			w.breakLocked(c, errReset)
		}
	}
}

// Dial implements rpc.Network. While the link is cut it waits until it heals or ctx ends.
func (n *Node) Dial(ctx context.Context, addr string, node honeyant.NodeID, p rpc.Proto) (rpc.Conn, error) {
	const op = "memnet.Dial"
	w := n.world
	stop := context.AfterFunc(ctx, func() {
		w.mu.Lock()
		w.cond.Broadcast()
		w.mu.Unlock()
	})
	defer stop()
	w.mu.Lock()
	defer w.mu.Unlock()
	for {
		if ctx.Err() != nil {
			return nil, honeyant.E(op, honeyant.Unavailable, addr, ctx.Err())
		}
		if n.closed {
			return nil, honeyant.E(op, honeyant.Unavailable, addr, net.ErrClosed)
		}
		to := w.addrs[addr]
		if to == nil {
			return nil, honeyant.E(op, honeyant.Unavailable, addr, errors.New("connection refused"))
		}
		there, back := w.links[direction{n.id, to.id}], w.links[direction{to.id, n.id}]
		if there.reset || back.reset {
			return nil, honeyant.E(op, honeyant.Unavailable, addr, errors.New("connection refused"))
		}
		if to.dark || there.cut || back.cut {
			w.cond.Wait()
			continue
		}
		if node != 0 && to.id != node {
			return nil, honeyant.E(op, honeyant.Permission, addr, fmt.Errorf("%s answers, not %s", to.id, node))
		}
		l := to.listeners[p]
		if l == nil {
			return nil, honeyant.E(op, honeyant.Unavailable, addr, fmt.Errorf("%s is not served", p))
		}
		near, far := pair(n, to, p)
		w.conns[near] = struct{}{}
		l.queue = append(l.queue, far)
		w.cond.Broadcast()
		return near, nil
	}
}

// Listen implements rpc.Network.
func (n *Node) Listen(p rpc.Proto) rpc.Listener {
	w := n.world
	w.mu.Lock()
	defer w.mu.Unlock()
	l := &listener{node: n, proto: p, closed: n.closed}
	if old := n.listeners[p]; old != nil {
		old.closed = true
		w.cond.Broadcast()
	}
	n.listeners[p] = l
	return l
}

// listener hands out the connections of one protocol; its fields are guarded by World.mu.
type listener struct {
	node   *Node
	proto  rpc.Proto
	queue  []*conn
	closed bool
}

// Accept waits for the next connection.
func (l *listener) Accept() (rpc.Conn, error) {
	w := l.node.world
	w.mu.Lock()
	defer w.mu.Unlock()
	for !l.closed && len(l.queue) == 0 {
		w.cond.Wait()
	}
	if l.closed {
		return nil, net.ErrClosed
	}
	c := l.queue[0]
	l.queue = l.queue[1:]
	return c, nil
}

// Close ends Accept; connections nobody accepted are reset.
func (l *listener) Close() error {
	w := l.node.world
	w.mu.Lock()
	defer w.mu.Unlock()
	l.closed = true
	if l.node.listeners[l.proto] == l {
		delete(l.node.listeners, l.proto)
	}
	for _, c := range l.queue {
		w.breakLocked(c.dialer(), errReset)
	}
	l.queue = nil
	w.cond.Broadcast()
	return nil
}
