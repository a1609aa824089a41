package replica

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/chunk"
	"github.com/honeyant/honeyant/rpc/wire"
)

// Client works on replicas in all stores of the cluster. Safe for concurrent use; Close it.
type Client struct {
	o  Options
	wg sync.WaitGroup // writes into stores of this process

	mu     sync.Mutex // guards what follows
	peers  map[honeyant.NodeID]*peer
	closed bool
}

// New makes a client. Nothing is connected before it is needed.
func New(o Options) *Client {
	return &Client{o: o.withDefaults(), peers: map[honeyant.NodeID]*peer{}}
}

// Close closes idle connections and waits for writes into own stores. Calls under way end
// with their contexts. Twice is harmless.
func (c *Client) Close() error {
	c.mu.Lock()
	c.closed = true
	peers := make([]*peer, 0, len(c.peers))
	for _, p := range c.peers {
		peers = append(peers, p)
	}
	c.mu.Unlock()
	for _, p := range peers {
		p.close()
	}
	c.wg.Wait()
	return nil
}

// Delete removes exactly that generation; on stable storage on return, absent is not an error.
// Kinds: Unavailable (it may or may not have happened), Stale (the store follows a newer incarnation).
func (c *Client) Delete(ctx context.Context, store honeyant.StoreID, id honeyant.ChunkID, gen honeyant.Generation) error {
	_, err := small(ctx, c, &request{op: opDelete, store: store, chunk: id, generation: gen},
		func(s ChunkStore) (struct{}, error) { return struct{}{}, s.Delete(ctx, id, gen) }, nil)
	return err
}

// Verify reads a replica back from its disk and tells its sum. Kinds: NotExist, Stale (another
// generation), Corrupt (reported to OnBad too), Unavailable.
func (c *Client) Verify(ctx context.Context, store honeyant.StoreID, id honeyant.ChunkID, gen honeyant.Generation) (honeyant.ChunkSum, error) {
	sum, err := small(ctx, c, &request{op: opVerify, store: store, chunk: id, generation: gen},
		func(s ChunkStore) (honeyant.ChunkSum, error) { return s.Verify(ctx, id, gen) },
		func(v *honeyant.ChunkSum) func(*wire.Codec) { return func(c *wire.Codec) { wire.Sum(c, v) } })
	if errors.Is(err, honeyant.Corrupt) {
		c.o.OnBad(id, honeyant.Replica{Store: store, Generation: gen})
	}
	return sum, err
}

// Stat tells what a store has of a chunk; generation 0 means any. Kinds: NotExist, Stale, Corrupt, Unavailable.
func (c *Client) Stat(ctx context.Context, store honeyant.StoreID, id honeyant.ChunkID, gen honeyant.Generation) (chunk.Info, error) {
	all, err := small(ctx, c, &request{op: opStat, store: store, chunk: id, generation: gen},
		func(s ChunkStore) ([]chunk.Info, error) {
			info, err := s.Stat(id, gen)
			return []chunk.Info{info}, err
		}, infoFields)
	if err != nil {
		return chunk.Info{}, err
	}
	if len(all) != 1 {
		return chunk.Info{}, corrupt("%d answers", len(all))
	}
	return all[0], nil
}

// Buckets is a store's inventory: chunk.Buckets sums. Kinds: Unavailable.
func (c *Client) Buckets(ctx context.Context, store honeyant.StoreID) ([]uint64, error) {
	return small(ctx, c, &request{op: opBuckets, store: store},
		func(s ChunkStore) ([]uint64, error) {
			b := s.Buckets()
			return b[:], nil
		}, bucketFields)
}

// Bucket lists one bucket of a store's inventory. Kinds: Unavailable.
func (c *Client) Bucket(ctx context.Context, store honeyant.StoreID, n int) ([]chunk.Info, error) {
	if n < 0 || n >= chunk.Buckets {
		return nil, honeyant.E("replica.Bucket", honeyant.Invalid, fmt.Sprint(n), nil)
	}
	return small(ctx, c, &request{op: opBucket, store: store, first: uint32(n)},
		func(s ChunkStore) ([]chunk.Info, error) { return s.Bucket(n), nil }, infoFields)
}

// small carries out a request with a short answer: here if the store is here.
func small[T any](ctx context.Context, c *Client, r *request, here func(ChunkStore) (T, error), fields func(*T) func(*wire.Codec)) (T, error) {
	var v T
	if err := c.stamp(r); err != nil {
		return v, err
	}
	if s, ok := c.o.Local.Store(r.store); ok {
		if err := admit(s, r.incarnation); err != nil {
			return v, err
		}
		return here(s)
	}
	to, err := c.locate(r.store)
	if err != nil {
		return v, err
	}
	answer, err := c.ask(ctx, to, r, c.o.Patience)
	if err == nil && fields != nil {
		err = wire.Unmarshal(answer, fields(&v))
	}
	return v, err
}

// stamp puts the incarnation in.
func (c *Client) stamp(r *request) error {
	m := c.o.Map()
	if m == nil {
		return honeyant.E("replica.Map", honeyant.Unavailable, "", errors.New("the cluster's map is not known yet"))
	}
	r.incarnation = m.Incarnation
	return nil
}

// admit refuses commands of a past incarnation, and lets the store remember a new one [P6].
func admit(s ChunkStore, incarnation uint32) error {
	seen := s.Incarnation()
	if incarnation == seen {
		return nil
	}
	if incarnation < seen {
		return honeyant.E("replica.Admit", honeyant.Unavailable, "", fmt.Errorf("incarnation %d, the store follows %d", incarnation, seen))
	}
	return s.RaiseIncarnation(incarnation)
}

// locate tells where a store is.
func (c *Client) locate(store honeyant.StoreID) (hop, error) {
	m := c.o.Map()
	s, ok := m.Store(store)
	if !ok || s.State == honeyant.StoreRemoved {
		return hop{}, honeyant.E("replica.Locate", honeyant.Unavailable, store.String(), errors.New("no such store"))
	}
	n, ok := m.Node(s.Node)
	if !ok || n.State == honeyant.NodeRemoved {
		return hop{}, honeyant.E("replica.Locate", honeyant.Unavailable, store.String(), errors.New("its node is gone"))
	}
	return hop{store: store, node: s.Node, address: n.Address}, nil
}

// remoteError is what the other node said; the stream is in good order.
type remoteError struct{ error }

// Unwrap gives the error itself.
func (e remoteError) Unwrap() error { return e.error }

// ask sends a request and waits for its answer, at most limit.
func (c *Client) ask(ctx context.Context, to hop, r *request, limit time.Duration) ([]byte, error) {
	p := c.peer(to.node)
	for attempt := 0; ; attempt++ {
		s, err := c.get(ctx, p, to.address, attempt > 0, c.o.Silence)
		if err != nil {
			c.gaveUp(ctx, p)
			return nil, err
		}
		reused := s.used
		stop := context.AfterFunc(ctx, func() { s.conn.Close() })
		var answer []byte
		if err = s.send(msgRequest, wire.Marshal(r.fields), c.o.Silence); err == nil {
			_, answer, err = c.await(s, p.node, time.Now().Add(limit))
		}
		cut := !stop()
		var remote remoteError
		said := errors.As(err, &remote)
		c.put(p, s, (err == nil || said) && !cut)
		switch {
		case err == nil:
			p.answered(0)
			return answer, nil
		case said:
			p.answered(0)
			return nil, remote.error
		case reused && attempt == 0 && !isTimeout(err) && ctx.Err() == nil:
			continue // the connection had ended while it was idle
		}
		c.gaveUp(ctx, p)
		return nil, unavailable("replica.Ask", p.node, err)
	}
}

// gaveUp avoids the node for a while, unless it was the caller who lost patience.
func (c *Client) gaveUp(ctx context.Context, p *peer) {
	if ctx.Err() == nil {
		p.silent(c.o.Avoid)
	}
}

// await reads until msgReady, msgDone or msgFault; the latter becomes a remoteError. A server
// sends something at least every quarter of Silence [P4].
func (c *Client) await(s *stream, node honeyant.NodeID, deadline time.Time) (messageKind, []byte, error) {
	for {
		if err := s.wait(min(c.o.Silence, time.Until(deadline))); err != nil {
			return 0, nil, err
		}
		h, err := s.recv()
		if err != nil {
			return 0, nil, err
		}
		b, err := s.payload(h)
		if err != nil {
			return 0, nil, err
		}
		switch h.kind {
		case msgAlive:
		case msgReady, msgDone:
			return h.kind, b, nil
		case msgFault:
			return h.kind, nil, remoteError{faultOf(b, node)}
		default:
			return 0, nil, corrupt("message %d from a server", h.kind)
		}
	}
}

// eof tells a connection that ended from one that broke, for logs.
func eof(err error) error {
	if errors.Is(err, io.EOF) {
		return errors.New("the connection was closed")
	}
	return err
}
