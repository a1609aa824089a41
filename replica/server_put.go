package replica

import (
	"context"
	"errors"
	"io"

	"github.com/honeyant/honeyant"
)

// aheadFrames is how many frames a hop holds for the next one beyond the one being sent.
const aheadFrames = 1

// put takes a chunk into a store here and forwards it. What goes wrong in one store, here or
// further on, is told in the answer and stops nothing else [P3]; an error ends the connection.
func (s *Server) put(ctx context.Context, st *stream, r *request) error {
	quiet := s.alive(st)
	defer quiet()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	own := outcome{store: r.store}
	w, err := s.begin(ctx, r)
	if err == nil {
		defer release(s.puts[len(r.hops)])
		defer w.Abort()
	} else {
		own.err, w = err, nil
	}
	if own.err != nil && len(r.hops) == 0 && !r.eager {
		quiet()
		return st.send(msgDone, encodeOutcomes([]outcome{own}), s.o.Silence)
	}
	if !r.eager {
		if err := st.send(msgReady, nil, s.o.Silence); err != nil {
			return err
		}
	}
	f := s.forward(ctx, r)
	if err := s.receive(st, r, w, &own, f); err != nil {
		cancel() // first: the next hop is not to blame
		f.abort()
		<-f.done
		return err
	}
	f.end()
	if own.err == nil {
		commit, cancel := context.WithTimeout(ctx, s.o.Patience)
		own.generation, own.sum, own.err = w.Commit(commit)
		cancel()
	}
	<-f.done
	quiet()
	return st.send(msgDone, encodeOutcomes(append([]outcome{own}, f.outcomes...)), s.o.Silence)
}

// begin finds room for a chunk and for its stream; after nil the slot is the caller's.
func (s *Server) begin(ctx context.Context, r *request) (Writer, error) {
	store, err := s.store(r)
	if err != nil {
		return nil, err
	}
	if err := acquire(ctx, s.puts[len(r.hops)], s.o.Patience); err != nil {
		return nil, err
	}
	w, err := store.Create(r.chunk, r.length)
	if err != nil {
		release(s.puts[len(r.hops)])
	}
	return w, err
}

// receive takes the frames in, into w and to f. The store's own faults go to own.
func (s *Server) receive(st *stream, r *request, w Writer, own *outcome, f *forwarding) error {
	for n := uint32(0); ; n++ {
		size := expectedFrame(n, r.length)
		if size == 0 {
			return nil
		}
		if err := st.wait(s.o.Patience); err != nil {
			return err
		}
		h, err := st.recv()
		if err != nil {
			return err
		}
		if h.kind != msgData || h.arg != n || int(h.length) != size {
			return corrupt("message %d, frame %d of %d bytes; frame %d of %d bytes is due", h.kind, h.arg, h.length, n, size)
		}
		buf := framePool.Get().(*[honeyant.FrameSize]byte)
		if own.err != nil {
			err = st.frame(h, r.chunk, buf[:size])
		} else if _, err = io.ReadFull(st.conn, buf[:size]); err == nil {
			own.err = w.WriteFrame(buf[:size], h.crc) // checks it
			if errors.Is(own.err, honeyant.Corrupt) {
				err = own.err // it came damaged: forward nothing of it
			}
		}
		if err != nil {
			framePool.Put(buf)
			return err
		}
		f.give(heldFrame{buf: buf, size: size, crc: h.crc})
	}
}

// heldFrame is a frame on its way through this node.
type heldFrame struct {
	buf  *[honeyant.FrameSize]byte
	size int
	crc  uint32
}

// forwarding sends what a hop receives to the next one. It is the source of that put.
type forwarding struct {
	frames   chan heldFrame // bounded: memory [P5]
	done     chan struct{}  // closed with outcomes complete
	outcomes []outcome
	aborted  bool // set before frames is closed

	taken bool // a frame went to the sender
	last  heldFrame
	crc   [1]uint32
}

// forward starts sending to the hops that follow, if there are any.
func (s *Server) forward(ctx context.Context, r *request) *forwarding {
	f := &forwarding{done: make(chan struct{})}
	if len(r.hops) == 0 {
		close(f.done)
		return f
	}
	f.frames = make(chan heldFrame, aheadFrames)
	next := request{op: opPut, incarnation: r.incarnation, chunk: r.chunk, length: r.length}
	go func() { // put waits for done
		defer close(f.done)
		f.outcomes = s.c.putChain(ctx, &next, r.hops, f)
	}()
	return f
}

// give hands a frame over, and its buffer with it.
func (f *forwarding) give(h heldFrame) {
	if f.frames == nil {
		framePool.Put(h.buf)
		return
	}
	f.frames <- h // somebody takes until it is closed: sendAll, then drain
}

// end tells that the frames given were all.
func (f *forwarding) end() {
	if f.frames != nil {
		close(f.frames)
	}
}

// abort tells that the rest will not come.
func (f *forwarding) abort() {
	f.aborted = true
	f.end()
}

func (f *forwarding) next() ([]byte, []uint32, error) {
	f.free()
	h, ok := <-f.frames
	if !ok {
		if f.aborted {
			return nil, nil, errors.New("the sender broke off")
		}
		return nil, nil, io.EOF
	}
	f.taken, f.last, f.crc[0] = true, h, h.crc
	return h.buf[:h.size], f.crc[:], nil
}

// free gives the buffer of the last frame back.
func (f *forwarding) free() {
	if f.last.buf != nil {
		framePool.Put(f.last.buf)
		f.last.buf = nil
	}
}

func (f *forwarding) rewind() bool { return !f.taken }

func (f *forwarding) drain() {
	f.free()
	for h := range f.frames {
		framePool.Put(h.buf)
	}
}
