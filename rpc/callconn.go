package rpc

import (
	"bufio"
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/honeyant/honeyant"
)

// callConn is the client's end of a connection that carries calls.
type callConn struct {
	conn  Conn
	node  honeyant.NodeID
	o     Options
	send  *sender
	slots chan struct{} // one per call under way

	heard atomic.Int64 // ns since start at which bytes last came
	start time.Time
	busy  chan struct{} // capacity 1: wakes the watch when the first call waits

	mu      sync.Mutex // guards what follows
	waiting map[uint32]*waiting
	next    uint32
	failed  error
	dead    chan struct{} // closed with failed
}

// waiting is a call whose answer has not come.
type waiting struct{ result chan result } // capacity 1: the reader never blocks

type result struct {
	resp []byte
	err  error
}

var errSilent = errors.New("no answer, not even to pings")

func newCallConn(conn Conn, node honeyant.NodeID, o Options) *callConn {
	return &callConn{
		conn: conn, node: node, o: o, send: newSender(conn, o.Silence), slots: make(chan struct{}, o.Concurrency),
		start: time.Now(), busy: make(chan struct{}, 1), waiting: map[uint32]*waiting{}, dead: make(chan struct{}),
	}
}

// run serves the connection until it fails or fail is called, then calls ended, and then
// lets every call that waits fail.
func (c *callConn) run(ended func()) error {
	var wg sync.WaitGroup
	wg.Add(2)
	go func() {
		defer wg.Done()
		if err := c.send.run(); err != nil {
			c.fail(err)
		}
	}()
	go func() {
		defer wg.Done()
		c.watch()
	}()
	c.fail(c.receive())
	wg.Wait()
	ended()
	c.mu.Lock()
	err, orphans := c.failed, c.waiting
	c.waiting = nil
	c.mu.Unlock()
	for _, w := range orphans {
		w.result <- result{err: unavailable("rpc.Call", c.node, err)}
	}
	return err
}

// fail ends the connection. The first reason counts.
func (c *callConn) fail(err error) {
	c.mu.Lock()
	first := c.failed == nil
	if first {
		c.failed = err
		close(c.dead)
	}
	c.mu.Unlock()
	if first {
		c.conn.Close()
		c.send.fail(err)
	}
}

// call makes one call.
func (c *callConn) call(ctx context.Context, m Method, req []byte) ([]byte, error) {
	const op = "rpc.Call"
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	case <-c.dead:
		return nil, unavailable(op, c.node, c.reason())
	case <-ctx.Done():
		return nil, unavailable(op, c.node, ctx.Err())
	}
	w := &waiting{result: make(chan result, 1)}
	id, err := c.enter(w)
	if err != nil {
		return nil, unavailable(op, c.node, err)
	}
	deadline, limited := ctx.Deadline()
	f := frame{kind: frameRequest, method: m, call: id}
	if limited {
		f.timeout = millis(time.Until(deadline), true)
	}
	if err := c.send.send(ctx, f, req); err != nil && c.leave(id) {
		return nil, unavailable(op, c.node, err)
	}
	select {
	case r := <-w.result:
		return r.resp, r.err
	case <-ctx.Done():
	}
	if c.leave(id) {
		c.send.post(frame{kind: frameCancel, call: id}, nil) // if that fails, the call dies with the connection
		return nil, unavailable(op, c.node, ctx.Err())
	}
	r := <-w.result // it came at the same moment
	return r.resp, r.err
}

func (c *callConn) reason() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.failed
}

// enter registers a call and wakes the watch if it is the only one.
func (c *callConn) enter(w *waiting) (uint32, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failed != nil {
		return 0, c.failed
	}
	c.next++
	for c.waiting[c.next] != nil {
		c.next++
	}
	c.waiting[c.next] = w
	if len(c.waiting) == 1 {
		select {
		case c.busy <- struct{}{}:
		default:
		}
	}
	return c.next, nil
}

// leave takes a call back; false if its result is there or on its way.
func (c *callConn) leave(id uint32) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, ok := c.waiting[id]
	delete(c.waiting, id)
	return ok
}

// receive reads answers until the connection ends, and returns why.
func (c *callConn) receive() error {
	r := bufio.NewReaderSize(&heardReader{c}, 8<<10)
	var head [headerSize]byte
	for {
		f, err := readFrame(r, head[:], c.o.MaxMessage)
		if err != nil {
			return err
		}
		switch f.kind {
		case framePong:
			continue
		case frameAnswer, frameFault:
		default:
			return corruptFrame("type %d from a server", f.kind)
		}
		var body []byte
		if f.length > 0 {
			body = make([]byte, f.length)
			if _, err := io.ReadFull(r, body); err != nil {
				return err
			}
		}
		c.mu.Lock()
		w := c.waiting[f.call]
		delete(c.waiting, f.call)
		c.mu.Unlock()
		if w == nil {
			continue // the caller gave up
		}
		res := result{resp: body}
		if f.kind == frameFault {
			res = result{err: DecodeError(body, c.node)}
		}
		w.result <- res
	}
}

// heardReader notes when bytes came.
type heardReader struct{ c *callConn }

func (h *heardReader) Read(p []byte) (int, error) {
	n, err := h.c.conn.Read(p)
	if n > 0 {
		h.c.heard.Store(int64(time.Since(h.c.start)))
	}
	return n, err
}

// watch pings while calls wait and nothing comes, and gives the connection up after
// Silence. An idle connection costs nothing; the network's keep-alive looks after it.
func (c *callConn) watch() {
	every := max(c.o.Silence/4, time.Millisecond)
	timer := time.NewTimer(every)
	timer.Stop()
	defer timer.Stop()
	for {
		select {
		case <-c.dead:
			return
		case <-c.busy:
		}
		since := time.Since(c.start) // silence before calls waited does not count
		for c.isBusy() {
			timer.Reset(every)
			select {
			case <-c.dead:
				return
			case <-timer.C:
			}
			quiet := time.Since(c.start) - max(since, time.Duration(c.heard.Load()))
			if quiet >= c.o.Silence {
				c.fail(errSilent)
				return
			}
			if quiet >= every {
				c.send.post(frame{kind: framePing}, nil) // a failed sender ends the connection by itself
			}
		}
	}
}

func (c *callConn) isBusy() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.waiting) > 0
}
