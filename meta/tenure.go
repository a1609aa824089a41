package meta

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/kv"
)

// tenure is one epoch at its leader. One goroutine (evaluate) runs operations one after another over the
// overlay and gathers their changes into flights; another (land) waits until flights are applied, in order,
// and gives the answers. When a flight fails, the tenure ends and everything in it is dropped.
type tenure struct {
	l        *Leader
	epoch    uint64
	ctx      context.Context // ends with the tenure, with the cause
	fail     context.CancelCauseFunc
	overlay  *kv.Overlay
	sessions *sessionTable
	opens    *openTable
	leases   *leaseTable
	verifier *verifier
	// reaping is held whole while a Reap is evaluated and laid on the overlay, and shared while an open is
	// registered and checked: whichever comes second sees the other.
	reaping sync.RWMutex

	requests chan *pending           // bounded: more wait in Do, each with its deadline
	flying   chan *flight            // to land; holds MaxInFlight
	landed   chan struct{}           // from land, one per flight; holds MaxInFlight
	reaper   chan struct{}           // wakes the reaper; holds 1
	dead     chan honeyant.SessionID // to be cleaned up; holds 64, more wait for the next tenure

	incarnation atomic.Uint32 // of the cluster
	ticked      atomic.Int64  // when watchSessions last looked, in nanoseconds since sessions.born

	// Of the evaluation goroutine alone:
	view     *recent // the overlay with a memory
	cur      *flight // takes changes
	last     *flight // the newest one proposed, nil if it has landed
	inFlight int
}

// pending is a call on its way through a tenure.
type pending struct {
	ctx  context.Context
	call *Call
	done chan outcome // holds 1

	mu   sync.Mutex // held while the operation is evaluated, so that its owner has it back afterwards
	gone bool       // the caller has given up
}

// giveUp keeps the call from being evaluated, or waits until it has been.
func (p *pending) giveUp() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gone = true
}

// outcome is how a call ended.
type outcome struct {
	reply Reply
	err   error
	// unsure: nothing was proposed after the call was evaluated, so the caller must check that this node
	// still led then, and wait for what it has seen.
	unsure bool
	after  *flight
	gate   *gate // to wait for, may be nil
	// wait: it was not carried out, but is to be asked for again after these.
	wait []<-chan struct{}
}

// flight is a batch on its way, and who waits for it.
type flight struct {
	seq     uint64
	batch   kv.Batch
	waiters []waiter
	gates   []*gate  // of its changes
	effects []func() // what the leader's memory learns when it is applied
	landed  chan struct{}
	wait    func() (any, error)
}

type waiter struct {
	p     *pending
	reply Reply
	err   error
	gate  *gate
}

func newTenure(ctx context.Context, l *Leader, epoch uint64) (*tenure, error) {
	t := &tenure{
		l: l, epoch: epoch, overlay: kv.NewOverlay(l.state.View()), opens: newOpenTable(),
		requests: make(chan *pending, 256),
		flying:   make(chan *flight, l.o.MaxInFlight),
		landed:   make(chan struct{}, l.o.MaxInFlight),
		reaper:   make(chan struct{}, 1),
		dead:     make(chan honeyant.SessionID, 64),
	}
	sessions, dead, err := loadSessions(l.state.View())
	if err != nil {
		return nil, err
	}
	t.sessions = sessions
	start := newTx(l.state.View(), Env{})
	t.incarnation.Store(uint32(start.count(counterIncarnation)))
	if start.err != nil {
		return nil, start.err
	}
	var old []honeyant.SessionID
	for _, s := range sessions.list() {
		t.opens.expect(s.id)
		old = append(old, s.id)
	}
	t.leases = newLeaseTable(epoch, leaseLimits{ttl: l.o.LeaseTTL, max: l.o.MaxLeases, recall: l.o.RecallLimit, log: l.o.Log}, t.opens, old)
	t.leases.unsaid.over, t.leases.unsaid.wake = t.sessionOver, t.wakeReaper
	t.ctx, t.fail = context.WithCancelCause(ctx)
	t.verifier = &verifier{ctx: t.ctx, verify1: l.proposer.Verify}
	t.cur = t.newFlight(1)
	t.view = newRecent(t.overlay)
	for _, id := range dead[:min(len(dead), cap(t.dead))] {
		t.dead <- id
	}
	return t, nil
}

func (t *tenure) newFlight(seq uint64) *flight {
	return &flight{seq: seq, landed: make(chan struct{})}
}

// serve runs the tenure to its end and tells the cause.
func (t *tenure) serve() error {
	var all sync.WaitGroup
	for _, run := range []func(){t.evaluate, t.land, t.watchSessions, t.watchLeases, t.reap} {
		all.Go(run)
	}
	<-t.ctx.Done()
	all.Wait()
	t.verifier.end()
	return context.Cause(t.ctx)
}

// do puts a change through the tenure.
func (t *tenure) do(ctx context.Context, call *Call) (Reply, error) {
	if err := t.room(call); err != nil {
		return nil, err
	}
	p := &pending{ctx: ctx, call: call, done: make(chan outcome, 1)}
	for {
		out, err := t.put(ctx, p)
		if err != nil {
			return nil, err
		}
		if out.wait == nil {
			return t.finish(ctx, call, out)
		}
		if err := t.park(ctx, call, out.wait); err != nil {
			return nil, err
		}
	}
}

// put hands a call to the evaluation goroutine and waits for what becomes of it.
func (t *tenure) put(ctx context.Context, p *pending) (outcome, error) {
	select {
	case t.requests <- p:
	case <-ctx.Done():
		return outcome{}, t.gaveUp(ctx, p.call)
	case <-t.ctx.Done():
		return outcome{}, t.over(p.call)
	}
	select {
	case out := <-p.done:
		return out, nil
	case <-ctx.Done():
		p.giveUp()
		return outcome{}, t.gaveUp(ctx, p.call)
	case <-t.ctx.Done():
		p.giveUp()
	}
	select {
	case out := <-p.done: // it was answered before the end
		return out, nil
	default:
		return outcome{}, t.over(p.call)
	}
}

// finish makes sure of an outcome that no later batch vouches for, and waits until nobody remembers what it
// shows to be over.
func (t *tenure) finish(ctx context.Context, call *Call, out outcome) (Reply, error) {
	if err := t.sure(ctx, call, out); err != nil {
		return nil, err
	}
	if err := t.await(ctx, call, out.gate); err != nil {
		return nil, err
	}
	if out.gate != nil && out.err == nil {
		call.granted = out.gate.grant
	}
	return out.reply, out.err
}

func (t *tenure) sure(ctx context.Context, call *Call, out outcome) error {
	if !out.unsure {
		return nil
	}
	if err := t.verifier.verify(ctx); err != nil {
		return err
	}
	if out.after != nil {
		select {
		case <-out.after.landed:
		case <-ctx.Done():
			return t.gaveUp(ctx, call)
		case <-t.ctx.Done():
			return t.over(call)
		}
	}
	return nil
}

func (t *tenure) gaveUp(ctx context.Context, call *Call) error {
	return honeyant.E("meta.Do", honeyant.Unavailable, call.Op.Code().String(), context.Cause(ctx))
}

func (t *tenure) over(call *Call) error {
	return honeyant.E("meta.Do", honeyant.NotLeader, call.Op.Code().String(), errLeadershipLost)
}

// fenced refuses a session that is not in the table. A deposed leader does not know the newest sessions, so
// it must make sure that it leads before it says so.
func (t *tenure) fenced(ctx context.Context, s honeyant.SessionID) (Reply, error) {
	if err := t.verifier.verify(ctx); err != nil {
		return nil, err
	}
	if t.sessions.get(s) != nil {
		return nil, honeyant.E("meta.Do", honeyant.NotLeader, "", errors.New("the session has just begun"))
	}
	return nil, errFenced(s)
}

func errFenced(s honeyant.SessionID) error {
	return honeyant.E("meta.Do", honeyant.Fenced, fmt.Sprintf("session %d", s), nil)
}

// evaluate is the evaluation goroutine. A batch leaves when nothing more waits to join it and a flight is
// free, so that one op on an idle leader goes at once, and under load a batch is what arrived while the
// ones before it were being synced.
func (t *tenure) evaluate() {
	defer close(t.flying)
	for t.ctx.Err() == nil {
		if t.cur.batch.Len() > 0 && t.inFlight < t.l.o.MaxInFlight && (len(t.requests) == 0 || t.full()) {
			t.propose()
		}
		requests := t.requests
		if t.full() {
			requests = nil
		}
		select {
		case p := <-requests:
			t.run(p)
		case <-t.landed:
			t.oneLanded()
		case <-t.ctx.Done():
		}
	}
}

func (t *tenure) full() bool { return t.cur.batch.Size() >= t.l.o.MaxBatch }

func (t *tenure) oneLanded() {
	if t.inFlight--; t.inFlight == 0 {
		t.last = nil
	}
}

// propose sends the present batch off. Only this goroutine proposes (rule 1).
func (t *tenure) propose() {
	f := t.cur
	cmd := command{Kind: commandBatch, Epoch: t.epoch, Seq: f.seq, Batch: f.batch}
	f.wait = t.l.proposer.Propose(cmd.encode())
	t.inFlight++
	t.last = f
	t.flying <- f
	t.cur = t.newFlight(f.seq + 1)
}

// land waits for flights in order. After a failure it still waits for the rest, whose outcome no longer
// matters: their callers have been told that the leadership is lost.
func (t *tenure) land() {
	for f := range t.flying {
		result, err := f.wait()
		if err == nil && result != nil {
			err = fmt.Errorf("batch %d of epoch %d: %v", f.seq, t.epoch, result)
		}
		if err != nil {
			t.fail(err)
			continue
		}
		if t.ctx.Err() != nil {
			continue
		}
		t.overlay.Drop(f.seq, &f.batch)
		for _, effect := range f.effects {
			effect()
		}
		close(f.landed)
		t.leases.applied(f.gates)
		for _, w := range f.waiters {
			w.p.done <- outcome{reply: w.reply, err: w.err, gate: w.gate}
		}
		t.landed <- struct{}{}
	}
}
