package ledger

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// About is what is known of a request when it comes in.
type About struct {
	Route, Client, Proto, Method, Host, Path string
	Conn                                     *Conn // nil if it is not in the ledger
	Limits                                   Limits
}

// Req is one live request. Made by Ledger.Begin, ended by End.
type Req struct {
	ledger *Ledger
	id     ID
	start  time.Time
	cancel context.CancelCauseFunc

	in, out  atomic.Int64
	progress atomic.Int64 // UnixNano of the last progress
	ending   atomic.Pointer[Ending]

	mu      sync.Mutex // guards the rest
	about   About
	phase   Phase
	phaseAt time.Time
	origin  string
	status  int
	ctype   string
	size    int64
	break_  []func() // what makes blocked I/O return
}

// Begin enters a request. The context it answers is cancelled, with an *Ending as its cause,
// when the request is killed or a deadline fires.
func (l *Ledger) Begin(ctx context.Context, about About) (*Req, context.Context) {
	ctx, cancel := context.WithCancelCause(ctx)
	now := time.Now()
	var req *Req
	l.add(func(id ID) row {
		req = &Req{ledger: l, id: id, start: now, cancel: cancel, about: about, phase: Handling, phaseAt: now, size: -1}
		req.progress.Store(now.UnixNano())
		return req
	})
	return req, ctx
}

// ID is the request's.
func (r *Req) ID() ID { return r.id }

// kill ends the request; the first ending counts.
func (r *Req) kill(why *Ending) {
	if !r.ending.CompareAndSwap(nil, why) {
		return
	}
	r.cancel(why)
	r.mu.Lock()
	breaks := r.break_
	r.mu.Unlock()
	for _, f := range breaks {
		f()
	}
}

func (r *Req) snapshot(now time.Time) Entry {
	r.mu.Lock()
	defer r.mu.Unlock()
	last := time.Unix(0, r.progress.Load())
	e := Entry{
		ID: r.id, Kind: Request, Side: Client, Phase: r.phase, Started: r.start,
		AgeSeconds: now.Sub(r.start).Seconds(), PhaseSeconds: now.Sub(r.phaseAt).Seconds(),
		IdleSeconds: now.Sub(last).Seconds(), LastProgress: last,
		InBytes: r.in.Load(), OutBytes: r.out.Load(), SizeBytes: r.size,
		Route: r.about.Route, Client: r.about.Client, Origin: r.origin, Proto: r.about.Proto,
		Method: r.about.Method, Host: r.about.Host, Path: r.about.Path, Status: r.status, Type: r.ctype,
	}
	if age := e.AgeSeconds; age > 0 {
		e.Rate = float64(e.InBytes+e.OutBytes) / age
	}
	if r.about.Conn != nil {
		e.Conn = r.about.Conn.id
	}
	return e
}

// End takes the request out of the ledger.
func (r *Req) End(done Outcome) {
	r.cancel(nil)
	e := r.snapshot(time.Now())
	e.Phase, e.Done = Ended, &done
	r.ledger.remove(e)
}
