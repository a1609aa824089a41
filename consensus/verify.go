package consensus

import (
	"context"
	"sync"
	"time"

	"github.com/honeyant/honeyant"
)

// verifyRound is how long one round may take: an answer may be lost with a connection.
const verifyRound = time.Second

// verifier shares one question to the quorum among all who wait for it: one round is under
// way, and those who come meanwhile are served by the next.
type verifier struct {
	confirm func(context.Context) error
	life    context.Context

	mu      sync.Mutex // guards all below
	next    *verifyWait
	running bool
	work    sync.WaitGroup
}

// verifyWait is what the callers of one round wait for.
type verifyWait struct {
	done chan struct{}
	err  error // set before done is closed
}

// Verify returns nil if a quorum confirms, after the call began, that this node leads;
// NotLeader if it does not, Unavailable if ctx ended before.
func (n *Node) Verify(ctx context.Context) error { return n.verify.wait(ctx) }

func (v *verifier) wait(ctx context.Context) error {
	v.mu.Lock()
	if v.next == nil {
		v.next = &verifyWait{done: make(chan struct{})}
	}
	w := v.next
	if !v.running {
		v.running = true
		v.work.Go(v.run)
	}
	v.mu.Unlock()
	select {
	case <-w.done:
		return w.err
	case <-ctx.Done():
		return honeyant.E("consensus.Verify", honeyant.Unavailable, "", context.Cause(ctx))
	}
}

// run makes rounds while somebody waits.
func (v *verifier) run() {
	for {
		v.mu.Lock()
		w := v.next
		v.next = nil
		if w == nil {
			v.running = false
			v.mu.Unlock()
			return
		}
		v.mu.Unlock()
		ctx, cancel := context.WithTimeout(v.life, verifyRound)
		w.err = v.confirm(ctx)
		cancel()
		close(w.done)
	}
}
