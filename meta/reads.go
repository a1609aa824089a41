package meta

import (
	"context"
	"sync"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/kv"
)

// read evaluates a read over the applied state on the caller's goroutine, while the quorum is asked whether
// this node leads (rule 39). Both may overlap, and the read may even come first:
//
//   - Everything acknowledged by this tenure before the call began was applied here before it was
//     acknowledged (M2), so the read sees it.
//   - Everything acknowledged by an earlier leader stands in the log before this tenure's epoch-open, which
//     was applied before the tenure began to serve.
//   - A later leader acknowledged nothing before the call began: it would have needed the votes of a
//     quorum, and one of those voters also belongs to the quorum that confirmed, in a round begun after the
//     call, that this node leads.
//
// What matters is therefore only that the round begins after the call does, and that the answer waits for it.
func (t *tenure) read(ctx context.Context, call *Call) (Reply, error) {
	switch op := call.Op.(type) {
	case *Release:
		return t.release(call, op)
	case *Open:
		return t.open(ctx, call, op)
	}
	round := t.verifier.join()
	var ev *evaluated
	var g *gate
	for {
		var wait []<-chan struct{}
		if ev, g, wait = t.evaluateApplied(call); len(wait) == 0 {
			break
		}
		if err := t.park(ctx, call, wait); err != nil {
			return nil, err
		}
	}
	if e := t.verifier.await(ctx, round); e != nil {
		return nil, e
	}
	if e := t.await(ctx, call, g); e != nil {
		return nil, e
	}
	return ev.reply, ev.err
}

// evaluateApplied evaluates a read over the applied state, and registers the opens and leases that it asks for. The
// answer waits for the gate; or the read has to be evaluated again after what it has to wait for.
func (t *tenure) evaluateApplied(call *Call) (ev *evaluated, g *gate, wait []<-chan struct{}) {
	ev = &evaluated{}
	e := t.l.state.consistent(func(r kv.Reader) {
		ev.tx = newTx(r, t.env(call, nil))
		ev.reply, _, ev.err = evaluate(ev.tx, call.Op)
		g, wait = t.leases.read(call, t.l.state.appliedIn(t.epoch), ev)
	})
	if e != nil {
		return &evaluated{err: e}, nil, nil
	}
	return ev, g, wait
}

// open registers the open before it makes sure that no evaluated Reap has deleted the inode; a Reap does it
// the other way round, under the lock. If one has, the answer has to come from the evaluation goroutine,
// and waits for the Reap to be applied.
func (t *tenure) open(ctx context.Context, call *Call, op *Open) (Reply, error) {
	round := t.verifier.join()
	reply, g, gone, err := t.openApplied(ctx, call, op)
	if t.overMeanwhile(call.Session) {
		return t.fenced(ctx, call.Session)
	}
	if gone && err == nil {
		return t.do(ctx, call)
	}
	if e := t.verifier.await(ctx, round); e != nil {
		return nil, e
	}
	if e := t.await(ctx, call, g); e != nil {
		return nil, e
	}
	return reply, err
}

// openApplied evaluates an open over the applied state; gone says that a Reap has deleted the inode since.
func (t *tenure) openApplied(ctx context.Context, call *Call, op *Open) (reply Reply, g *gate, gone bool, err error) {
	for {
		t.reaping.RLock()
		ev, g, wait := t.evaluateApplied(call)
		reply, err := ev.reply, ev.err
		if err == nil && len(wait) == 0 {
			var there bool
			_, there, err = t.overlay.Get(inoKey(tabInode, op.Volume, op.Ino))
			gone = !there
		}
		if gone || err != nil {
			t.opens.remove(call.Session, OpenFile{op.Volume, op.Ino}, call.Stamp)
		}
		t.reaping.RUnlock()
		if len(wait) == 0 {
			return reply, g, gone, err
		}
		if err := t.park(ctx, call, wait); err != nil {
			return nil, nil, false, err
		}
	}
}

// overMeanwhile tells whether a session whose opens have just been registered is over. It may have ended between the
// moment it was heard and the registration, which then nobody would take back.
func (t *tenure) overMeanwhile(s honeyant.SessionID) bool {
	if s == 0 || t.sessions.get(s) != nil {
		return false
	}
	t.opens.forget(s)
	return true
}

// release changes only memory, so it needs no quorum.
func (t *tenure) release(call *Call, op *Release) (Reply, error) {
	t.opens.remove(call.Session, OpenFile{op.Volume, op.Ino}, call.Stamp)
	t.releasedOrphan(OpenFile{op.Volume, op.Ino})
	return &Done{}, nil
}

// releasedOrphan wakes the reaper if the file was only waiting for its last user.
func (t *tenure) releasedOrphan(f OpenFile) {
	if _, orphan, err := t.overlay.Get(inoKey(tabOrphan, f.Volume, f.Ino)); orphan && err == nil {
		t.wakeReaper()
	}
}

// verifier asks the quorum whether this node leads, once for all that wait meanwhile. Safe for concurrent use.
type verifier struct {
	ctx     context.Context // of the tenure
	verify1 func(context.Context) error
	rounds  sync.WaitGroup

	mu      sync.Mutex // guards below
	running int
	over    bool   // no round begins any more
	next    *round // gathers calls until a round may begin
}

// round is one question to the quorum.
type round struct {
	done chan struct{}
	err  error
}

// maxRounds is how many rounds may overlap: with one alone a call would wait for one and a half on average.
const maxRounds = 2

// join takes part in a round that begins after the call.
func (v *verifier) join() *round {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.next == nil {
		v.next = &round{done: make(chan struct{})}
	}
	r := v.next
	if v.running < maxRounds && !v.over && v.ctx.Err() == nil {
		v.running++
		v.next = nil
		v.rounds.Add(1)
		go v.run(r)
	}
	return r
}

// run asks for r and then for those that have gathered meanwhile.
func (v *verifier) run(r *round) {
	defer v.rounds.Done()
	for r != nil {
		r.err = v.verify1(v.ctx)
		close(r.done)
		v.mu.Lock()
		r = v.next
		v.next = nil
		if r == nil || v.ctx.Err() != nil {
			r = nil
			v.running--
		}
		v.mu.Unlock()
	}
}

// end returns when no round runs any more; the context has ended.
func (v *verifier) end() {
	v.mu.Lock()
	v.over = true
	v.mu.Unlock()
	v.rounds.Wait()
}

// await waits for the round's end.
func (v *verifier) await(ctx context.Context, r *round) error {
	const op = "meta.Verify"
	select {
	case <-r.done:
		if r.err != nil {
			return honeyant.E(op, honeyant.NotLeader, "", r.err)
		}
		return nil
	case <-ctx.Done():
		return honeyant.E(op, honeyant.Unavailable, "", context.Cause(ctx))
	case <-v.ctx.Done():
		return honeyant.E(op, honeyant.NotLeader, "", errLeadershipLost)
	}
}

// verify is join and await.
func (v *verifier) verify(ctx context.Context) error { return v.await(ctx, v.join()) }
