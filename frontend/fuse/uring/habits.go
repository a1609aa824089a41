package uring

import (
	"sync/atomic"
	"time"
)

// habits remember which kinds of request took long lately: the file system was asked to wait for somebody. Wrong guesses cost
// time only: a wake-up, or patience.
type habits [64]atomic.Int32

const (
	// long is more than any answer from memory takes on a CPU of its own, and less than a network does.
	long = 100 * time.Microsecond
	// copying a byte may take so long: memory that is new must be cleared first.
	copying = 2 * time.Nanosecond
	// Each long one counts as much as so many short ones, up to a limit.
	longCounts = 4
	mostCounts = 32
)

// quick tells whether a request of this kind can be expected to be answered from memory.
func (h *habits) quick(op uint32) bool {
	return op != opSetLkW && (op >= uint32(len(h)) || h[op].Load() < longCounts)
}

// took notes how long one took. Two threads may lose a count.
func (h *habits) took(op uint32, d time.Duration) {
	if op >= uint32(len(h)) {
		return
	}
	switch n := h[op].Load(); {
	case d >= long:
		h[op].Store(min(n+longCounts, mostCounts))
	case n > 0:
		h[op].Store(n - 1)
	}
}

// timed answers and notes how long that took, apart from copying data.
func (s *Server) timed(e *entry, op uint32, h *habits, began time.Duration) {
	size := e.headers.payloadSize
	s.answer(e)
	size = max(size, e.headers.payloadSize)
	h.took(op, s.now()-began-time.Duration(size)*copying)
}
