package rpc

import (
	"context"
	"sync"
	"time"

	"github.com/honeyant/honeyant"
)

// sender writes the frames of one connection from one goroutine: whatever was queued
// while the last Write ran goes out together with the next.
type sender struct {
	conn    Conn
	silence time.Duration // a piece that takes longer to write means that the peer is gone

	mu     sync.Mutex // guards what follows
	queue  []byte
	spare  []byte
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
)

func newSender(c Conn, silence time.Duration) *sender {
	return &sender{conn: c, silence: silence, wake: make(chan struct{}, 1)}
}

// send queues one frame, copying payload. It waits for room until ctx ends; with a nil
// ctx it never waits.
func (s *sender) send(ctx context.Context, f frame, payload []byte) error {
	f.length = uint32(len(payload))
	var head [headerSize]byte
	f.put(head[:])
	for {
		s.mu.Lock()
		if s.failed != nil {
			defer s.mu.Unlock()
			return s.failed
		}
		if len(s.queue) < sendQueue || ctx == nil {
			first := len(s.queue) == 0
			s.queue = append(append(s.queue, head[:]...), payload...)
			s.mu.Unlock()
			if first {
				s.poke()
			}
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
			out := s.queue
			s.queue, s.spare = s.spare[:0], nil
			s.openLocked()
			s.mu.Unlock()
			if len(out) == 0 {
				s.keepSpare(out)
				break
			}
			if err := s.write(out); err != nil {
				s.fail(err)
				return err
			}
			s.keepSpare(out)
		}
	}
	return nil
}

func (s *sender) keepSpare(b []byte) {
	if cap(b) > keepQueue {
		return
	}
	s.mu.Lock()
	s.spare = b[:0]
	s.mu.Unlock()
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
