package replica

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/chunk"
	"github.com/honeyant/honeyant/rpc"
	"github.com/honeyant/honeyant/rpc/wire"
)

// Server is the node's side of rpc.ProtoChunk: it serves the stores of this process.
type Server struct {
	c     *Client // forwards and pulls
	o     Options
	reads chan struct{}
	pulls chan struct{}
	puts  [maxHops + 1]chan struct{} // by how many hops still follow [P5]
}

// NewServer makes a server of the stores that c calls local.
func NewServer(c *Client) *Server {
	s := &Server{c: c, o: c.o, reads: make(chan struct{}, c.o.Streams), pulls: make(chan struct{}, max(c.o.Streams/4, 1))}
	for i := range s.puts {
		n := c.o.Streams
		if i > 0 {
			n = max(n/2, 1) // each holds three frames: received, waiting, being sent
		}
		s.puts[i] = make(chan struct{}, n)
	}
	return s
}

// Serve answers all connections that l accepts until ctx ends; then it closes l, ends the
// streams, waits and returns nil.
func (s *Server) Serve(ctx context.Context, l rpc.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(ctx, func() { l.Close() })
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	defer cancel()
	for {
		conn, err := l.Accept()
		if err != nil {
			if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return nil
			}
			return honeyant.E("replica.Serve", honeyant.Other, "", err)
		}
		wg.Go(func() {
			defer conn.Close()
			end := context.AfterFunc(ctx, func() { conn.Close() })
			defer end()
			err := s.serveStream(ctx, &stream{conn: conn})
			s.o.Log.Debug("chunk stream ended", "peer", conn.Peer(), "err", err)
		})
	}
}

// serveStream answers one request after another.
func (s *Server) serveStream(ctx context.Context, st *stream) error {
	for {
		if err := st.conn.SetReadDeadline(time.Time{}); err != nil {
			return err
		}
		h, err := st.recv()
		if err != nil {
			return err
		}
		if h.kind != msgRequest {
			return corrupt("message %d instead of a request", h.kind)
		}
		b, err := st.payload(h)
		if err != nil {
			return err
		}
		r, err := decodeRequest(b)
		if err != nil {
			return err
		}
		if err := s.answer(ctx, st, r); err != nil {
			return err
		}
	}
}

// answer carries out one request. An error ends the connection.
func (s *Server) answer(ctx context.Context, st *stream, r *request) error {
	if r.op == opPut {
		return s.put(ctx, st, r)
	}
	store, err := s.store(r)
	if err != nil {
		return s.fault(st, err)
	}
	if r.op == opRead {
		return s.read(ctx, st, r, store)
	}
	quiet := s.alive(st)
	answer, err := s.small(ctx, r, store)
	quiet()
	if err != nil {
		return s.fault(st, err)
	}
	return st.send(msgDone, answer, s.o.Silence)
}

// small carries out what has a short answer.
func (s *Server) small(ctx context.Context, r *request, store ChunkStore) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, copyTimes*s.o.Patience)
	defer cancel()
	switch r.op {
	case opCopy:
		if err := acquire(ctx, s.pulls, s.o.Patience); err != nil {
			return nil, err
		}
		defer release(s.pulls)
		gen, sum, err := s.c.pull(ctx, r.ref, store)
		return encodeOutcomes([]outcome{{store: r.store, generation: gen, sum: sum, err: err}}), nil
	case opDelete:
		return nil, store.Delete(ctx, r.chunk, r.generation)
	case opVerify:
		sum, err := store.Verify(ctx, r.chunk, r.generation)
		return wire.Marshal(func(c *wire.Codec) { wire.Sum(c, &sum) }), err
	case opStat:
		info, err := store.Stat(r.chunk, r.generation)
		all := []chunk.Info{info}
		return wire.Marshal(infoFields(&all)), err
	case opBuckets:
		b := store.Buckets()
		all := b[:]
		return wire.Marshal(bucketFields(&all)), nil
	case opBucket:
		if r.first >= chunk.Buckets {
			return nil, honeyant.E("replica.Bucket", honeyant.Invalid, fmt.Sprint(r.first), nil)
		}
		all := store.Bucket(int(r.first))
		return wire.Marshal(infoFields(&all)), nil
	}
	return nil, honeyant.E("replica.Serve", honeyant.Unsupported, fmt.Sprint(r.op), nil)
}

// store finds the store of a request and checks that it may obey: a node that may have missed the removal of
// a peer serves none [33].
func (s *Server) store(r *request) (ChunkStore, error) {
	if err := s.o.Fresh(); err != nil {
		return nil, err
	}
	store, ok := s.o.Local.Store(r.store)
	if !ok {
		return nil, honeyant.E("replica.Serve", honeyant.Unavailable, r.store.String(), errors.New("no such store here"))
	}
	return store, admit(store, r.incarnation)
}

func (s *Server) fault(st *stream, err error) error {
	return st.send(msgFault, rpc.EncodeError(err), s.o.Silence)
}

// read sends the frames asked for, a batch at a time.
func (s *Server) read(ctx context.Context, st *stream, r *request, store ChunkStore) error {
	if err := acquire(ctx, s.reads, s.o.Patience); err != nil {
		return s.fault(st, err)
	}
	defer release(s.reads)
	if e, ok := store.(expecter); ok && r.length > framesAtOnce {
		e.Expect(r.chunk, r.generation, r.first, r.length)
	}
	buf := readPool.Get().(*[readBatch]byte)
	defer readPool.Put(buf)
	for n, left := r.first, r.length; left > 0; {
		got, err := store.ReadFrames(r.chunk, r.generation, n, buf[:min(left, readBatch/honeyant.FrameSize)*honeyant.FrameSize])
		if err == nil && got.N == 0 {
			err = honeyant.E("replica.Read", honeyant.Stale, r.chunk.String(), fmt.Errorf("it has no frame %d", n))
		}
		if err != nil {
			return s.fault(st, err)
		}
		if err := st.sendFrames(n, buf[:got.N], got.CRCs, s.o.Patience); err != nil {
			return err
		}
		n, left = n+uint32(len(got.CRCs)), left-uint32(len(got.CRCs))
	}
	return nil
}

// alive sends msgAlive every quarter of Silence until the returned function is called.
func (s *Server) alive(st *stream) (quiet func()) {
	var mu sync.Mutex
	ended := false
	every := s.o.Silence / 4
	var timer *time.Timer
	mu.Lock()
	defer mu.Unlock()
	timer = time.AfterFunc(every, func() {
		mu.Lock()
		defer mu.Unlock()
		if ended {
			return
		}
		if err := st.send(msgAlive, nil, s.o.Silence); err != nil {
			st.conn.Close() // the request's own reads and writes end with it
			return
		}
		timer.Reset(every)
	})
	return func() {
		mu.Lock()
		defer mu.Unlock()
		ended = true
		timer.Stop()
	}
}

// acquire takes a slot within limit.
func acquire(ctx context.Context, slots chan struct{}, limit time.Duration) error {
	select {
	case slots <- struct{}{}:
		return nil
	default:
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case slots <- struct{}{}:
		return nil
	case <-timer.C:
	case <-ctx.Done():
	}
	return honeyant.E("replica.Serve", honeyant.Unavailable, "", errors.New("too many streams"))
}

func release(slots chan struct{}) { <-slots }
