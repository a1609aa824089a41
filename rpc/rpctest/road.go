package rpctest

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/rpc"
)

// Road is one node's way to the others, for tests in fake time: every question and every answer takes a while, one in fifty a long
// while, and what is under way while it is cut is lost. Safe for concurrent use.
type Road struct {
	To   rpc.Caller
	Mean time.Duration // of one way
	Most time.Duration // of one way that is not one of the slow ones; 0 for no bound
	Slow int           // how many times longer a slow one takes

	mu  sync.Mutex // guards below
	rng *rand.Rand
	cut time.Time // until then
}

// NewRoad makes a road whose delays follow from the seeds.
func NewRoad(to rpc.Caller, mean time.Duration, slow int, seed, stream uint64) *Road {
	return &Road{To: to, Mean: mean, Slow: slow, rng: rand.New(rand.NewPCG(seed, stream))}
}

// Call implements rpc.Caller.
func (r *Road) Call(ctx context.Context, node honeyant.NodeID, m rpc.Method, req []byte) ([]byte, error) {
	if err := r.pass(ctx); err != nil {
		return nil, err
	}
	resp, err := r.To.Call(ctx, node, m, req)
	if err != nil {
		return nil, err
	}
	return resp, r.pass(ctx)
}

func (r *Road) pass(ctx context.Context) error {
	lost := honeyant.E("rpctest.Road", honeyant.Unavailable, "", errors.New("cut"))
	select {
	case <-time.After(r.delay()):
	case <-ctx.Done():
		return lost
	}
	if time.Now().Before(r.CutUntil()) {
		return lost
	}
	return nil
}

func (r *Road) delay() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	d := time.Duration(r.rng.ExpFloat64() * float64(r.Mean))
	if r.Most > 0 {
		d = min(d, r.Most)
	}
	if r.rng.IntN(50) == 0 {
		d *= time.Duration(r.Slow)
	}
	return d
}

// Bound changes Most and Slow while the road is used.
func (r *Road) Bound(most time.Duration, slow int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Most, r.Slow = most, slow
}

// CutFor loses whatever is under way until d from now.
func (r *Road) CutFor(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cut = time.Now().Add(d)
}

// CutUntil is when the last cut ends, or ended.
func (r *Road) CutUntil() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.cut
}

// Within is a Caller that asks a handler of this process, as node from.
func Within(from honeyant.NodeID, h rpc.Handler) rpc.Caller { return within{from, h} }

type within struct {
	from honeyant.NodeID
	h    rpc.Handler
}

func (w within) Call(ctx context.Context, _ honeyant.NodeID, m rpc.Method, req []byte) ([]byte, error) {
	return w.h(ctx, w.from, m, req)
}
