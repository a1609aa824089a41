package uring

import (
	"sync/atomic"
	"time"
)

// watch looks after the threads that lead, as long as there is anything to do for them.
type watch struct {
	asleep atomic.Bool
	stirs  chan struct{}
}

const (
	lookEvery = patience / 2
	// restAfter is how many looks without a request end a watch.
	restAfter = 200
)

// stir is called with each request.
func (w *watch) stir() {
	if w.asleep.Load() && w.asleep.CompareAndSwap(true, false) {
		w.stirs <- struct{}{} // has room: only who ends the sleep sends
	}
}

func (s *Server) guard() {
	defer s.threads.Done()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	var last int64
	idle := 0
	for {
		select {
		case <-tick.C:
		case <-s.gone:
			return
		}
		var latest int64
		for _, l := range s.lanes {
			l.relieve(s.now())
			latest = max(latest, l.since.Load())
		}
		if idle++; latest != last {
			last, idle = latest, 0
		}
		if idle < restAfter || s.busy() {
			continue
		}
		tick.Stop()
		s.watch.asleep.Store(true)
		if s.busy() { // one came in between: maybe it did not see the sleep
			s.watch.stir()
		}
		select {
		case <-s.watch.stirs:
		case <-s.gone:
			return
		}
		idle = 0
		tick.Reset(lookEvery)
	}
}

// busy tells whether any thread that leads is in the file system.
func (s *Server) busy() bool {
	for _, l := range s.lanes {
		if l.state.Load()&1 != 0 {
			return true
		}
	}
	return false
}
