package meta

import (
	"fmt"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/kv"
)

// run evaluates one call, on the evaluation goroutine.
func (t *tenure) run(p *pending) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.gone || p.ctx.Err() != nil {
		return // its caller has gone, and nothing was done
	}
	call := p.call
	t.leases.evaluating(call)
	defer t.leases.evaluated()
	var s *session
	if call.Session != 0 && !ReadOnly(call.Op) {
		s = t.sessions.get(call.Session)
		if s == nil || s.closing {
			t.answer(p, nil, errFenced(call.Session), nil)
			return
		}
		if err := s.loadSlots(t.view); err != nil {
			t.answer(p, nil, err, nil)
			return
		}
		if t.repeated(p, s) {
			return
		}
	}
	switch call.Op.(type) {
	case *Reap:
		t.reaping.Lock()
		defer t.reaping.Unlock()
	case *Flush: // what a session holds that comes from an earlier epoch, or was out of touch, is known when it has said so
		if c := t.leases.unclaimed(call.Session); c != nil {
			p.done <- outcome{wait: []<-chan struct{}{c}}
			return
		}
	}
	for t.carryOut(p, s) {
	}
}

// carryOut evaluates a call and concludes it; again says that this has to be done once more.
func (t *tenure) carryOut(p *pending, s *session) (again bool) {
	call := p.call
	ev := t.evaluateCall(call, s)
	if (ev.err != nil || ev.changes.Len() == 0) && (s == nil || !call.Retry) {
		if g, wait := t.leases.after(call, ev); len(wait) > 0 {
			p.done <- outcome{wait: wait}
		} else {
			t.answer(p, ev.reply, ev.err, g)
		}
		return false
	}
	var rec *slotRecord
	if s != nil {
		var tooLarge error
		if rec, tooLarge = newSlotRecord(call, ev.reply, ev.err); tooLarge != nil {
			t.answer(p, nil, tooLarge, nil)
			return false
		}
	}
	if ev.changes == nil {
		ev.changes = &kv.Batch{}
	}
	g, wait, again := t.leases.change(t.cur.seq, call, ev)
	if again {
		return true
	}
	if len(wait) > 0 {
		p.done <- outcome{wait: wait}
		return false
	}
	if rec != nil {
		t.keep(s, call, rec, ev.changes)
	}
	t.join(call, ev, g)
	t.cur.waiters = append(t.cur.waiters, waiter{p: p, reply: ev.reply, err: ev.err, gate: g})
	return false
}

// evaluated is a call as evaluated, which is to be accepted or to be thrown away.
type evaluated struct {
	tx      *Tx
	reply   Reply
	changes *kv.Batch // nil with an error
	err     error
}

// answer gives an answer that changes nothing. Together with changes it rides on their batch, whose commit
// proves that this node led; alone its caller has to make sure.
func (t *tenure) answer(p *pending, reply Reply, err error, g *gate) {
	if t.cur.batch.Len() > 0 {
		t.cur.waiters = append(t.cur.waiters, waiter{p: p, reply: reply, err: err, gate: g})
		return
	}
	p.done <- outcome{reply: reply, err: err, unsure: true, after: t.last, gate: g}
}

// repeated deals with a seq that the slot knows (M4): the last one gets the stored answer when its batch is
// applied, lower ones are refused. Higher ones run: errors that changed nothing may have taken numbers.
func (t *tenure) repeated(p *pending, s *session) bool {
	call := p.call
	sl := s.slots[call.Slot]
	if sl == nil || call.Seq > sl.record.Seq {
		return false
	}
	if call.Seq < sl.record.Seq {
		t.answer(p, nil, honeyant.E("meta.Do", honeyant.Stale, call.Op.Code().String(), fmt.Errorf("slot %d is at %d, not %d", call.Slot, sl.record.Seq, call.Seq)), nil)
		return true
	}
	reply, err := sl.record.answer(call.Op)
	if mk, ok := call.Op.(*Make); ok && mk.Open && err == nil {
		// The registration of the first try may have been lost with the leader's memory.
		if entry, ok := reply.(*EntryReply); ok {
			t.opens.add(s.id, OpenFile{mk.Volume, entry.Attr.Ino}, call.Stamp)
		}
	}
	g := sl.gate
	if _, flush := call.Op.(*Flush); g == nil && !flush { // of an earlier epoch, whose leases may be in use
		g = t.leases.afterGrace()
	}
	if sl.flight == t.cur {
		t.cur.waiters = append(t.cur.waiters, waiter{p: p, reply: reply, err: err, gate: g})
		return true
	}
	t.answer(p, reply, err, g)
	return true
}

// evaluateCall runs the operation over the overlay. A lock that a suspect session holds is taken from it by
// ending that session (rule 18).
func (t *tenure) evaluateCall(call *Call, s *session) *evaluated {
	for range 16 { // as many sessions may hold parts of one range
		ev := &evaluated{tx: newTx(t.view, t.env(call, s))}
		ev.reply, ev.changes, ev.err = evaluate(ev.tx, call.Op)
		lock, ok := ev.reply.(*LockReply)
		if ev.err != nil || !ok || lock.Granted || !t.endSuspect(lock.Conflict.Session) {
			return ev
		}
	}
	return &evaluated{tx: newTx(t.view, Env{}), err: honeyant.E("meta.Do", honeyant.Conflict, call.Op.Code().String(), nil)}
}

func (t *tenure) env(call *Call, s *session) Env {
	env := Env{
		Now: honeyant.TimeOf(t.l.o.Now()), Session: call.Session, Epoch: t.epoch,
		StoreUp: t.l.o.StoreUp, Opens: stamped{t.opens, call.Stamp, t.leases},
		Incarnation: t.incarnation.Load(),
	}
	switch call.Op.(type) {
	case *Take, *Flush:
		env.Full = t.l.o.Full()
		env.Leases = &leaseView{t: t.leases, id: call.Session, may: call.Lease && call.Session != 0}
	}
	if s != nil {
		env.LowWater = s.lowWater
	}
	return env
}

// endSuspect closes a session that has been silent for too long, or is dead with its locks not cleaned up.
func (t *tenure) endSuspect(id honeyant.SessionID) bool {
	s := t.sessions.get(id)
	if s != nil && !s.closing && (t.sessions.silence(s) <= t.l.o.SessionTTL || t.stalled()) {
		return false
	}
	end := &Call{Op: &CloseSession{Session: id}}
	ev := &evaluated{tx: newTx(t.view, t.env(end, nil))}
	ev.reply, ev.changes, ev.err = evaluate(ev.tx, end.Op)
	if ev.err != nil || ev.changes.Len() == 0 {
		return false
	}
	g, _, _ := t.leases.change(t.cur.seq, end, ev)
	t.l.o.Log.Warn("a silent session held what another wants: it is closed", "session", id)
	t.join(end, ev, g)
	return true
}

// keep stores the answer of a change with it (M4).
func (t *tenure) keep(s *session, call *Call, rec *slotRecord, changes *kv.Batch) {
	if commit, ok := call.Op.(*Commit); ok && !rec.Failed {
		s.lowWater = max(s.lowWater, commit.LowWater)
	}
	if flush, ok := call.Op.(*Flush); ok && !rec.Failed {
		s.lowWater = max(s.lowWater, flush.LowWater)
	}
	rec.LowWater = s.lowWater
	tx := Tx{}
	tx.store(slotKey(s.id, call.Slot), rec.fields)
	changes.Put(tx.changes[0].Key, tx.changes[0].Value)
	s.slots[call.Slot] = &slot{record: *rec}
}

// join adds the changes of one call, which g stands for, to the present batch, and notes what the leader's memory has
// to learn.
func (t *tenure) join(call *Call, ev *evaluated, g *gate) {
	t.leases.accepted()
	f := t.cur
	f.batch.Append(ev.changes)
	t.overlay.Apply(f.seq, ev.changes)
	t.view.learn(ev.changes)
	f.gates = append(f.gates, g)
	if s := t.sessions.get(call.Session); s != nil && s.slots[call.Slot] != nil {
		s.slots[call.Slot].flight, s.slots[call.Slot].gate = f, g
	}
	if feedsReaper(ev.changes) {
		f.effects = append(f.effects, t.wakeReaper)
	}
	t.learn(call.Op, ev.reply, f)
}

// learn keeps the tables of the tenure in step with what operations change.
func (t *tenure) learn(op Op, reply Reply, f *flight) {
	switch op := op.(type) {
	case *OpenSession:
		if r, ok := reply.(*SessionReply); ok {
			t.sessions.add(r.Session, op.Node, op.Name)
		}
	case *CloseSession:
		t.close(op.Session, f)
	case *RemoveNode:
		for _, s := range t.sessions.list() {
			if s.node == op.ID {
				t.close(s.id, f)
			}
		}
	case *Bootstrap:
		t.incarnation.Store(1)
	case *RaiseIncarnation:
		t.incarnation.CompareAndSwap(op.From, op.From+1)
		for _, s := range t.sessions.list() {
			t.close(s.id, f)
		}
	}
}

// feedsReaper tells whether the changes leave something to delete.
func feedsReaper(b *kv.Batch) bool {
	for _, ch := range b.Changes() {
		if !ch.Delete && (ch.Key[0] == tabOrphan || ch.Key[0] == tabQueue || ch.Key[0] == tabRetag) {
			return true
		}
	}
	return false
}

// close refuses a session's changes from now on, and forgets it when that is applied.
func (t *tenure) close(id honeyant.SessionID, f *flight) {
	if s := t.sessions.get(id); s != nil {
		s.closing = true
	}
	f.effects = append(f.effects, func() {
		t.sessions.remove(id)
		t.opens.forget(id)
		t.leases.finish(id)
		t.wakeReaper()
		select {
		case t.dead <- id: // what was left of it is cleaned up
		default:
		}
	})
}
