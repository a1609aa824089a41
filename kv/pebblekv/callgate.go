package pebblekv

import "sync"

// callGate counts the calls inside, so that Close can refuse new ones and wait for the
// rest. A call may be made from inside another one.
type callGate struct {
	mu     sync.Mutex // guards all below
	inside int
	closed bool
	empty  *sync.Cond
}

func (g *callGate) init() { g.empty = sync.NewCond(&g.mu) }

// enter counts a call in; false if the gate is closed.
func (g *callGate) enter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return false
	}
	g.inside++
	return true
}

func (g *callGate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.inside--; g.inside == 0 {
		g.empty.Broadcast()
	}
}

// close refuses new calls; false if it was closed before.
func (g *callGate) close() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	was := g.closed
	g.closed = true
	return !was
}

// wait returns when nobody is inside.
func (g *callGate) wait() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for g.inside > 0 {
		g.empty.Wait()
	}
}
