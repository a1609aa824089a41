package ledger

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// About is what is known of a request when it comes in.
type About struct {
	Message
	Route, Client string
	Conn          *Conn // nil if its connection is not in the ledger
	Limits        Limits
}

// Req is one live request. Made by Ledger.Begin, ended by End. Its methods are safe for
// concurrent use.
type Req struct {
	watch
	ledger *Ledger
	id     ID
	start  time.Time
	ctx    context.Context // ends with the request
	cancel context.CancelCauseFunc

	in, out atomic.Int64
	ending  atomic.Pointer[Ending]
	total   *Gate
	fire    func(*Ending) // kill, made once

	mu     sync.Mutex // guards the rest; taken before watch.mu
	about  About
	origin string
	status int
	ctype  string
	size   int64
	facts  Facts
	after  []func() // called once it has ended
	breaks []func() // what makes blocked I/O return; nil once ended
	gates  []*Gate  // all that were made

	room struct { // for what nearly every request needs
		total  Gate
		gates  [3]Gate
		list   [3]*Gate
		breaks [1]func()
	}
}

// StackLabel is the profiler's label that names the request a goroutine works for; goroutines
// inherit it from those that start them. Its value is the ID.
const StackLabel = "honeyant_request"

type requestKey struct{}

// From answers the request of a context, nil if it is in no ledger.
func From(ctx context.Context) *Req {
	r, _ := ctx.Value(requestKey{}).(*Req)
	return r
}

// Begin enters a request. The context it answers carries it for From, and is cancelled with
// an *Ending as its cause when the request is killed or a deadline of the client's side fires.
func (l *Ledger) Begin(ctx context.Context, about About) (*Req, context.Context) {
	ctx, cancel := context.WithCancelCause(ctx)
	now := time.Now()
	r := &Req{ledger: l, id: l.newID(), start: now, ctx: ctx, cancel: cancel, about: about, size: -1}
	r.watch = newWatch(Handling, now)
	r.watch.over = func(_ *Gate, e *Ending) { l.noteFired(r.snapshot(time.Now()), e) }
	r.fire = r.kill
	r.total = &r.room.total
	*r.total = Gate{w: &r.watch, idle: LimitTotal, limit: about.Limits.Total, fire: r.fire}
	r.gates, r.breaks = r.room.list[:0], r.room.breaks[:0]
	if r.total.limit > 0 {
		r.total.Enter()
	}
	l.enter(r.id, r)
	if about.Conn != nil {
		// A connection that was killed may still bring requests: QUIC's are not cut off at once.
		if why := about.Conn.Ending(); why != nil {
			r.kill(why)
		}
	}
	return r, context.WithValue(ctx, requestKey{}, r)
}

func (r *Req) conn() *Conn {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.about.Conn
}

// ID is the request's.
func (r *Req) ID() ID { return r.id }

// Started is when it came in.
func (r *Req) Started() time.Time { return r.start }

// Limits are those of the request's route.
func (r *Req) Limits() Limits {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.about.Limits
}

// SetRoute says which route handles the request, and its limits, also for what is already
// waited for.
func (r *Req) SetRoute(route string, limits Limits) {
	r.mu.Lock()
	if route != "" {
		r.about.Route = route
	}
	r.about.Limits = limits
	for _, g := range r.gates {
		g.adopt(&limits)
	}
	r.mu.Unlock()
	r.total.Leave(0)
	r.watch.mu.Lock()
	r.total.limit = limits.Total - time.Since(r.start)
	if limits.Total <= 0 {
		r.total.limit = Never
	} else if r.total.limit <= 0 {
		r.total.limit = 1
	}
	r.watch.mu.Unlock()
	if limits.Total > 0 {
		r.total.Enter()
	}
}

// Gate makes a gate for a phase with the route's limits. fire breaks the wait when a limit
// fires; nil ends the whole request.
func (r *Req) Gate(p Phase, fire func(*Ending)) *Gate {
	if fire == nil {
		fire = r.fire
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	var g *Gate
	if n := len(r.gates); n < len(r.room.gates) {
		g = &r.room.gates[n]
	} else {
		g = new(Gate)
	}
	r.watch.set(g, p, &r.about.Limits, fire)
	r.gates = append(r.gates, g)
	return g
}

// AddIn counts bytes of the request body, AddOut of the response body.
func (r *Req) AddIn(n int) { r.in.Add(int64(n)) }

// AddOut counts bytes of the response body.
func (r *Req) AddOut(n int) { r.out.Add(int64(n)) }

// SetOrigin says where the request goes.
func (r *Req) SetOrigin(address string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.origin = address
}

// SetResponse says what the client is sent: size is -1 if not known.
func (r *Req) SetResponse(status int, contentType string, size int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status, r.ctype, r.size = status, contentType, size
}

// OnKill adds what makes blocked reads and writes of the request return. f is not called once
// End has returned.
func (r *Req) OnKill(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.breaks = append(r.breaks, f)
	if r.ending.Load() != nil {
		f()
	}
}

// Kill ends the request for the reason given; the first one counts.
func (r *Req) Kill(why *Ending) { r.kill(why) }

func (r *Req) kill(why *Ending) {
	if !r.ending.CompareAndSwap(nil, why) {
		return
	}
	r.cancel(why)
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, f := range r.breaks {
		f()
	}
}

// Ending is why the gateway or an operator ended the request, nil if neither did.
func (r *Req) Ending() *Ending { return r.ending.Load() }

// Gone tells whether the request was given up by the client: its context ended, and neither
// the gateway nor an operator did it.
func (r *Req) Gone() bool { return r.ctx.Err() != nil && r.ending.Load() == nil }

// EndingOf finds the reason in an error or in the cause of a context.
func EndingOf(err error) *Ending {
	var e *Ending
	if errors.As(err, &e) {
		return e
	}
	return nil
}

func (r *Req) snapshot(now time.Time) Entry {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := Entry{
		ID: r.id, Kind: Request, Side: Client, Started: r.start,
		Progress: Progress{AgeSeconds: now.Sub(r.start).Seconds(), InBytes: r.in.Load(), OutBytes: r.out.Load(), SizeBytes: r.size},
		Message:  r.about.Message,
		Route:    r.about.Route, Client: r.about.Client, Origin: r.origin,
	}
	e.Status, e.Type = r.status, r.ctype
	r.watch.mu.Lock()
	r.watch.fill(&e, now)
	r.watch.mu.Unlock()
	if r.about.Conn != nil {
		e.Conn = r.about.Conn.id
	}
	return e
}

// After adds what is called on End's goroutine once the request has ended.
func (r *Req) After(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.after = append(r.after, f)
}

// End takes the request out of the ledger and answers its last snapshot. Only the first call
// counts.
func (r *Req) End(done Outcome) Entry {
	r.watch.stop()
	r.mu.Lock()
	r.breaks = nil
	after := r.after
	r.after = nil
	r.mu.Unlock()
	r.cancel(nil)
	e := r.snapshot(time.Now())
	e.Phase, e.Deadline, e.Done = Ended, nil, &done
	r.ledger.remove(e)
	for _, f := range after {
		f()
	}
	return e
}
