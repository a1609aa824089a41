package rpc

import (
	"context"
	"sync"
	"time"

	"github.com/honeyant/honeyant"
)

// sender writes the frames of one connection. A small frame that finds nothing queued is
// written by its caller, which spares waking another goroutine; all others go through one
// goroutine, and whatever was queued while the last Write ran goes out together with the next.
type sender struct {
	conn    Conn
	silence time.Duration // a piece that takes longer to write means that the peer is gone

	mu     sync.Mutex // guards what follows
	queue  []byte
	spare  []byte
	busy   bool          // somebody is writing
	room   chan struct{} // closed when a full queue was taken; nil if nobody waits
	failed error

	wake chan struct{} // capacity 1: something was queued, or failed was set
}

const (
	// sendQueue bounds the bytes that wait for the writer; callers wait beyond it. One
	// message larger than that is still taken.
	sendQueue = 1 << 20
	// keepQueue is the largest buffer kept when a connection falls idle.
	keepQueue = 64 << 10
	// directFrame is the largest frame that its caller writes: it fits the kernel's buffer
	// unless the peer has stopped reading, and then the connection is given up soon anyway.
	directFrame = 16 << 10
)

func newSender(c Conn, silence time.Duration) *sender {
	return &sender{conn: c, silence: silence, wake: make(chan struct{}, 1)}
}

// send writes or queues one frame, copying payload. It waits for room until ctx ends.
func (s *sender) send(ctx context.Context, f frame, payload []byte) error {
	f.length = uint32(len(payload))
	var head [headerSize]byte
	f.put(head[:])
	for {
		s.mu.Lock()
		switch {
		case s.failed != nil:
			defer s.mu.Unlock()
			return s.failed
		case !s.busy && len(s.queue) == 0 && headerSize+len(payload) <= directFrame:
			return s.direct(head[:], payload)
		case len(s.queue) < sendQueue:
			s.enqueue(head[:], payload)
			return nil
		}
		if s.room == nil {
			s.room = make(chan struct{})
		}
		room := s.room
		s.mu.Unlock()
		select {
		case <-room:
		case <-ctx.Done():
			return honeyant.E("rpc.Send", honeyant.Unavailable, "", ctx.Err())
		}
	}
}

// post queues one frame, copying payload, and never waits.
func (s *sender) post(f frame, payload []byte) error {
	f.length = uint32(len(payload))
	var head [headerSize]byte
	f.put(head[:])
	s.mu.Lock()
	if s.failed != nil {
		defer s.mu.Unlock()
		return s.failed
	}
	s.enqueue(head[:], payload)
	return nil
}

// enqueue leaves a frame to the goroutine. s.mu is held, and given up.
func (s *sender) enqueue(head, payload []byte) {
	first := len(s.queue) == 0
	s.queue = append(append(s.queue, head...), payload...)
	s.mu.Unlock()
	if first {
		s.poke()
	}
}

// direct writes one frame from the caller's goroutine. s.mu is held, and given up.
func (s *sender) direct(head, payload []byte) error {
	out := append(append(s.spare[:0], head...), payload...)
	s.spare, s.busy = nil, true
	s.mu.Unlock()
	err := s.write(out)
	s.mu.Lock()
	s.busy, s.spare = false, out[:0]
	more := len(s.queue) > 0
	s.mu.Unlock()
	if err != nil {
		s.fail(err)
	} else if more {
		s.poke()
	}
	return err
}

func (s *sender) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// fail ends the sender: queued frames are dropped, later ones get err.
func (s *sender) fail(err error) {
	s.mu.Lock()
	if s.failed == nil {
		s.failed = err
	}
	s.openLocked()
	s.mu.Unlock()
	s.poke()
}

func (s *sender) openLocked() {
	if s.room != nil {
		close(s.room)
		s.room = nil
	}
}

// run writes until fail was called or a Write failed, and returns why.
func (s *sender) run() error {
	for range s.wake {
		for {
			s.mu.Lock()
			if s.failed != nil {
				defer s.mu.Unlock()
				return s.failed
			}
			if s.busy || len(s.queue) == 0 {
				s.mu.Unlock()
				break // a direct writer pokes when it is done
			}
			out := s.queue
			s.queue, s.spare, s.busy = s.spare[:0], nil, true
			s.openLocked()
			s.mu.Unlock()
			err := s.write(out)
			s.written(out)
			if err != nil {
				s.fail(err)
				return err
			}
		}
	}
	return nil
}

// written ends a turn of the goroutine and keeps its buffer for the next.
func (s *sender) written(b []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy = false
	if cap(b) <= keepQueue && s.spare == nil {
		s.spare = b[:0]
	}
}

// write sends out in pieces, each with a deadline of its own: slow is not silent.
func (s *sender) write(out []byte) error {
	for len(out) > 0 {
		if err := s.conn.SetWriteDeadline(time.Now().Add(s.silence)); err != nil {
			return err
		}
		n := min(len(out), batchBytes)
		if _, err := s.conn.Write(out[:n]); err != nil {
			return err
		}
		out = out[n:]
	}
	return nil
}
