package replica

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/rpc/wire"
)

// reading is one Read under way.
type reading struct {
	c   *Client
	r   request
	ref honeyant.ChunkRef
	p   []byte
	off uint32
}

// Read fills p with the chunk's bytes from off on, checked here [P2]. It asks the own store
// first, then the nodes that answered quickest so far; one that is silent for Options.First costs no more than
// that while others are left.
//
// Kinds: Stale (replicas named are gone: newer extents may know better), Corrupt (all that
// could be asked are damaged), Unavailable, Invalid (the range is not in the chunk).
func (c *Client) Read(ctx context.Context, ref honeyant.ChunkRef, p []byte, off uint32) error {
	const op = "replica.Read"
	if len(p) == 0 {
		return nil
	}
	if uint64(off)+uint64(len(p)) > uint64(ref.Sum.Length) {
		return honeyant.E(op, honeyant.Invalid, ref.ID.String(), fmt.Errorf("%d bytes at %d of %d", len(p), off, ref.Sum.Length))
	}
	rd := &reading{c: c, r: request{op: opRead, chunk: ref.ID}, ref: ref, p: p, off: off}
	if err := c.stamp(&rd.r); err != nil {
		return err
	}
	left := c.nearest(ref.Replicas)
	var errs []error
	limit := c.o.First
	for round := 0; round < 2 && len(left) > 0; round++ {
		var slow []honeyant.Replica
		for i, rep := range left {
			if round == 0 && i == len(left)-1 && len(slow) == 0 {
				limit = c.o.Silence // nobody else to turn to
			}
			err := rd.from(ctx, rep, limit)
			switch {
			case err == nil:
				return nil
			case errors.Is(err, honeyant.Corrupt):
				c.o.OnBad(ref.ID, rep)
			case isTimeout(err) && round == 0:
				slow = append(slow, rep)
			}
			errs = append(errs, err)
			if ctx.Err() != nil {
				return honeyant.E(op, honeyant.Unavailable, ref.ID.String(), errors.Join(errs...))
			}
		}
		left, limit = slow, c.o.Patience // a slow disk is better than none
	}
	return honeyant.E(op, verdict(errs), ref.ID.String(), errors.Join(errs...))
}

// verdict is the Kind for a read that nobody could serve. Without any replica it is Stale.
func verdict(errs []error) honeyant.Kind {
	kind := honeyant.Stale
	for i, err := range errs {
		var k honeyant.Kind
		switch honeyant.KindOf(err) {
		case honeyant.NotExist, honeyant.Stale:
			return honeyant.Stale
		case honeyant.Corrupt:
			k = honeyant.Corrupt
		default:
			k = honeyant.Unavailable
		}
		if i == 0 || k == honeyant.Unavailable {
			kind = k
		}
	}
	return kind
}

// nearest orders replicas: own stores (unless slow just now), nodes by latency (unknown ones first, to learn it),
// nodes that fell silent or that the map calls down last.
func (c *Client) nearest(replicas []honeyant.Replica) []honeyant.Replica {
	if len(replicas) < 2 {
		return replicas
	}
	m := c.o.Map()
	rank := func(r honeyant.Replica) time.Duration {
		if _, ok := c.o.Local.Store(r.Store); ok {
			if c.peer(c.o.Self).avoided() {
				return time.Hour
			}
			return -1
		}
		s, ok := m.Store(r.Store)
		if !ok {
			return 3 * time.Hour
		}
		p := c.peer(s.Node)
		d := p.speed()
		if !m.StoreUp(r.Store) {
			d += time.Hour
		}
		if p.avoided() {
			d += time.Hour
		}
		return d
	}
	sorted := slices.Clone(replicas)
	slices.SortStableFunc(sorted, func(a, b honeyant.Replica) int { return cmp.Compare(rank(a), rank(b)) })
	return sorted
}

// from reads from one replica. limit bounds each wait for the next frame.
func (rd *reading) from(ctx context.Context, rep honeyant.Replica, limit time.Duration) error {
	c := rd.c
	if s, ok := c.o.Local.Store(rep.Store); ok {
		return rd.local(s, rep)
	}
	to, err := c.locate(rep.Store)
	if err != nil {
		kind := honeyant.Stale // it has left the cluster
		if _, known := c.o.Map().Store(rep.Store); !known {
			kind = honeyant.Unavailable // it may have joined a moment ago, and this map not have heard of it
		}
		return honeyant.E("replica.Read", kind, rep.Store.String(), err)
	}
	r := &rd.r
	first := rd.off / honeyant.FrameSize
	last := (rd.off + uint32(len(rd.p)) - 1) / honeyant.FrameSize
	r.store, r.generation, r.first, r.length = rep.Store, rep.Generation, first, last-first+1
	peer := c.peer(to.node)
	for attempt := 0; ; attempt++ {
		s, err := c.get(ctx, peer, to.address, attempt > 0, limit)
		if err != nil {
			c.gaveUp(ctx, peer)
			return err
		}
		reused := s.used
		stop := context.AfterFunc(ctx, func() { s.conn.Close() })
		heard, err := rd.stream(s, peer, limit)
		cut := !stop()
		var remote remoteError
		said := errors.As(err, &remote)
		c.put(peer, s, (err == nil || said) && !cut)
		switch {
		case err == nil:
			return nil
		case said:
			return remote.error
		case reused && !heard && attempt == 0 && !isTimeout(err) && ctx.Err() == nil:
			continue // the connection had ended while it was idle
		}
		if errors.Is(err, honeyant.Corrupt) {
			return err
		}
		c.gaveUp(ctx, peer)
		return unavailable("replica.Read", to.node, eof(err))
	}
}

// local reads from a store of this process. It waits for the disk: a read that was given up
// would still write into p, which is the caller's. A disk that was slow is avoided for a while.
func (rd *reading) local(s ChunkStore, rep honeyant.Replica) error {
	if err := admit(s, rd.r.incarnation); err != nil {
		return err
	}
	start := time.Now()
	n, err := s.ReadAt(rd.ref.ID, rep.Generation, rd.p, rd.off)
	if time.Since(start) > rd.c.o.First {
		rd.c.peer(rd.c.o.Self).silent(rd.c.o.Avoid)
	}
	if n == len(rd.p) && (err == nil || err == io.EOF) {
		return nil
	}
	if err == nil || err == io.EOF {
		err = honeyant.E("replica.Read", honeyant.Corrupt, rd.ref.ID.String(), fmt.Errorf("%s ends at %d", rep.Store, int(rd.off)+n))
	}
	return err
}

// stream asks for the frames and takes them. heard tells that something came.
func (rd *reading) stream(s *stream, peer *peer, limit time.Duration) (heard bool, err error) {
	start := time.Now()
	r := &rd.r
	if err := s.send(msgRequest, wire.Marshal(r.fields), limit); err != nil {
		return false, err
	}
	for n := r.first; n < r.first+r.length; n++ {
		if err := s.wait(limit); err != nil {
			return heard, err
		}
		h, err := s.recv()
		if err != nil {
			return heard, err
		}
		if !heard {
			heard = true
			peer.answered(time.Since(start))
		}
		size := expectedFrame(n, rd.ref.Sum.Length)
		switch {
		case h.kind == msgFault:
			b, err := s.payload(h)
			if err != nil {
				return heard, err
			}
			return heard, remoteError{faultOf(b, peer.node)}
		case h.kind != msgData || h.arg != n || int(h.length) != size:
			return heard, corrupt("message %d, frame %d of %d bytes; frame %d of %d bytes is due", h.kind, h.arg, h.length, n, size)
		}
		if err := rd.take(s, h); err != nil {
			return heard, err
		}
	}
	return heard, nil
}

// take reads one frame: straight into p if p wants all of it.
func (rd *reading) take(s *stream, h head) error {
	at := int64(h.arg)*honeyant.FrameSize - int64(rd.off) // where in p the frame begins
	if at >= 0 && at+int64(h.length) <= int64(len(rd.p)) {
		return s.frame(h, rd.ref.ID, rd.p[at:at+int64(h.length)])
	}
	buf := framePool.Get().(*[honeyant.FrameSize]byte)
	defer framePool.Put(buf)
	if err := s.frame(h, rd.ref.ID, buf[:h.length]); err != nil {
		return err
	}
	if at < 0 {
		copy(rd.p, buf[-at:h.length])
	} else {
		copy(rd.p[at:], buf[:h.length])
	}
	return nil
}
