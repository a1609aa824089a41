package uring

import (
	"sync/atomic"
	"time"
)

// habits remember which kinds of request had to wait lately: the file system asked somebody else. Wrong guesses cost
// time only: a wake-up, or patience. Two threads may lose a count.
type habits [64]habit

type habit struct {
	apart atomic.Int32 // so many are answered apart before another one is tried on the spot
	next  atomic.Int32 // how many it was the last time: twice as many when that one has to wait, too
}

const (
	// long is more than any answer from memory takes on a CPU of its own, and less than a network does.
	long = 100 * time.Microsecond
	// copying a byte may take so long: memory that is new must be cleared first.
	copying = 2 * time.Nanosecond
	// Who waits again and again is tried ever more seldom.
	fewApart, mostApart = 16, 1024
	// shortCounts: one that was answered apart and soon did not wait, and counts as much as so many of which that is not known.
	shortCounts = 4
)

// of is what is remembered of a kind; nil: it is always quick.
func (h *habits) of(op uint32) *habit {
	if op >= uint32(len(h)) {
		return nil
	}
	return &h[op]
}

// quick tells whether the next request of this kind can be expected to be answered from memory.
func (h *habits) quick(op uint32) bool {
	k := h.of(op)
	switch {
	case op == opSetLkW:
		return false
	case k == nil || k.apart.Load() <= 0:
		return true
	}
	k.apart.Add(-1)
	return false
}

// waited notes one that had to wait.
func (h *habits) waited(op uint32) {
	if k := h.of(op); k != nil {
		n := min(max(2*k.next.Load(), fewApart), mostApart)
		k.next.Store(n)
		k.apart.Store(n)
	}
}

// went notes one that was answered on the spot, and had not to wait.
func (h *habits) went(op uint32) {
	if k := h.of(op); k != nil {
		if n := k.next.Load(); n > 0 {
			k.next.Store(n / 2)
		}
	}
}

// short notes one that was answered apart, and soon.
func (h *habits) short(op uint32) {
	if k := h.of(op); k != nil {
		k.apart.Add(-shortCounts)
	}
}

// timed answers and tells how long that took, apart from copying data.
func (s *Server) timed(e *entry, began time.Duration) time.Duration {
	size := e.headers.payloadSize
	s.answer(e)
	size = max(size, e.headers.payloadSize)
	return s.now() - began - time.Duration(size)*copying
}
