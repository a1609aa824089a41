package replica

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/rpc"
	"github.com/honeyant/honeyant/rpc/wire"
)

// source yields the frames of a chunk that is being sent.
type source interface {
	// next gives one or more whole frames, valid until the next call; io.EOF after the last,
	// another error if the rest will never come.
	next() ([]byte, []uint32, error)
	rewind() bool // from the start again; false if that is not possible
	drain()       // nothing more is wanted; returns when nobody is blocked handing frames over
}

// memorySource sends from the caller's own memory.
type memorySource struct {
	data []byte
	crcs []uint32
	at   int // frames
}

func (m *memorySource) next() ([]byte, []uint32, error) {
	if m.at >= len(m.crcs) {
		return nil, nil, io.EOF
	}
	from, to := m.at, min(m.at+framesAtOnce, len(m.crcs))
	m.at = to
	return m.data[from*honeyant.FrameSize : min(to*honeyant.FrameSize, len(m.data))], m.crcs[from:to], nil
}

func (m *memorySource) rewind() bool { m.at = 0; return true }
func (m *memorySource) drain()       {}

// unknown is the outcome of a store behind one that broke: it may have the chunk or not.
func unknown() error {
	return honeyant.E("replica.Put", honeyant.Interrupted, "", errors.New("the chain broke before it"))
}

// putChain sends a chunk to the first hop, which forwards it to the others, and tells what
// came of each. Eager sends the data without asking first: for small ones.
func (c *Client) putChain(ctx context.Context, r *request, to []hop, src source) []outcome {
	defer src.drain()
	all := make([]outcome, len(to))
	for i, h := range to {
		all[i] = outcome{store: h.store, err: unknown()}
	}
	req := *r
	req.store, req.hops = to[0].store, to[1:]
	p := c.peer(to[0].node)
	get := c.get
	if _, passing := src.(*forwarding); passing {
		get = c.connect
	}
	for attempt := 0; ; attempt++ {
		s, err := get(ctx, p, to[0].address, attempt > 0, c.o.Silence)
		if err != nil {
			c.gaveUp(ctx, p)
			all[0].err = err
			return all
		}
		reused := s.used
		stop := context.AfterFunc(ctx, func() { s.conn.Close() })
		got, begun, err := c.putStream(s, p.node, &req, src)
		cut := !stop()
		c.put(p, s, err == nil && !cut)
		if err == nil {
			p.answered(0)
			merge(all, got)
			return all
		}
		if reused && !begun && attempt == 0 && !isTimeout(err) && ctx.Err() == nil && src.rewind() {
			continue // the connection had ended while it was idle
		}
		var remote remoteError
		if errors.As(err, &remote) {
			all[0].err = remote.error
			return all
		}
		c.gaveUp(ctx, p)
		all[0].err = unavailable("replica.Put", p.node, eof(err))
		return all
	}
}

// merge takes over what the head of a chain told of its stores.
func merge(all, got []outcome) {
	for i := range all {
		for _, g := range got {
			if g.store == all[i].store {
				all[i] = g
			}
		}
	}
}

// putStream runs one put on a stream. begun tells that the server had answered something or
// that frames which can not be had again were sent.
func (c *Client) putStream(s *stream, node honeyant.NodeID, r *request, src source) (all []outcome, begun bool, err error) {
	// A chain takes longer: each hop gives the next one time of its own.
	deadline := time.Now().Add(c.o.Patience + time.Duration(len(r.hops))*2*c.o.Silence)
	if err := s.send(msgRequest, wire.Marshal(r.fields), c.o.Silence); err != nil {
		return nil, false, err
	}
	if r.eager {
		if err := c.sendAll(s, src); err != nil {
			return nil, false, err
		}
		kind, b, err := c.await(s, node, deadline)
		if err == nil && kind == msgReady {
			err = corrupt("ready for what was sent")
		}
		if err != nil {
			return nil, false, err
		}
		all, err = decodeOutcomes(b, node)
		return all, true, err
	}
	kind, b, err := c.await(s, node, deadline)
	if err != nil {
		return nil, false, err
	}
	if kind == msgDone { // refused before any data
		all, err = decodeOutcomes(b, node)
		return all, true, err
	}
	type answer struct {
		body []byte
		err  error
	}
	answered := make(chan answer, 1)
	go func() {
		kind, b, err := c.await(s, node, deadline)
		if err == nil && kind != msgDone {
			err = corrupt("ready twice")
		}
		if err != nil {
			s.conn.Close() // ends a blocked Write
		}
		answered <- answer{b, err}
	}()
	sendErr := c.sendAll(s, src)
	if sendErr != nil {
		s.conn.Close()
	}
	a := <-answered
	if isTimeout(a.err) || sendErr == nil {
		sendErr = a.err // the reason, where the other is only its consequence
	}
	if sendErr != nil {
		return nil, true, sendErr
	}
	all, err = decodeOutcomes(a.body, node)
	return all, true, err
}

func (c *Client) sendAll(s *stream, src source) error {
	first := uint32(0)
	for {
		data, crcs, err := src.next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if err := s.sendFrames(first, data, crcs, c.o.Patience); err != nil {
			return err
		}
		first += uint32(len(crcs))
	}
}

func faultOf(b []byte, node honeyant.NodeID) error { return rpc.DecodeError(b, node) }
