package meta

import (
	"context"
	"encoding/binary"
	"errors"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/kv"
)

// DoLeased is Do that also tells what the session may remember of the answer, also of a negative one, if the
// call says Lease. The session must have renewed its leases (RenewLeases) and poll Recalls.
func (l *Leader) DoLeased(ctx context.Context, call Call) (Reply, Grant, error) {
	reply, err := l.carryOut(ctx, &call)
	return reply, call.granted, err
}

// RenewLeases is Renew for a session that knows of epoch, of which it has forgotten all earlier ones' leases. want
// says that it has use for leases, otherwise it has forgotten all. The leases may be used for Renewal.LeaseTTL from
// when the renewal was sent, unless Renewal.LeaseTerm differs from what it was: then they are gone.
func (l *Leader) RenewLeases(ctx context.Context, s honeyant.SessionID, epoch uint64, want bool) (Renewal, error) {
	t, err := l.tenure()
	if err != nil {
		return Renewal{}, err
	}
	known := t.sessions.hear(s) != nil
	if !known {
		_, err := t.fenced(ctx, s)
		return Renewal{}, err
	}
	term, claimed := t.leases.renew(s, epoch, want)
	if claimed {
		t.wakeReaper()
	}
	// An answer tells the session that everybody still counts it alive, so it must come from the leader.
	if err := t.verifier.verify(ctx); err != nil {
		return Renewal{}, err
	}
	return Renewal{Epoch: t.epoch, TTL: l.o.SessionTTL, LeaseTerm: term, LeaseTTL: l.o.LeaseTTL}, nil
}

// Recalls acknowledges what the session was told to forget, up to ack of its term, and waits until there is
// more, or at most for hold. Each session has one such call under way at a time; a second one ends the first.
// Fenced: the session is dead; NotLeader: ask the leader.
func (l *Leader) Recalls(ctx context.Context, s honeyant.SessionID, term, ack uint64, hold time.Duration) (Recall, error) {
	t, err := l.tenure()
	if err != nil {
		return Recall{}, err
	}
	if t.sessions.get(s) == nil {
		_, err := t.fenced(ctx, s)
		return Recall{}, err
	}
	r, more := t.leases.poll(s, term, ack)
	if more == nil {
		return r, nil
	}
	timer := time.NewTimer(hold)
	defer timer.Stop()
	select {
	case any := <-more:
		if any {
			r, _ = t.leases.poll(s, term, ack)
		}
		return r, nil
	case <-timer.C:
		return r, nil
	case <-ctx.Done():
		return Recall{}, honeyant.E("meta.Recalls", honeyant.Unavailable, "", context.Cause(ctx))
	case <-t.ctx.Done():
		return Recall{}, honeyant.E("meta.Recalls", honeyant.NotLeader, "", errLeadershipLost)
	}
}

// LeaseStatus counts leases at the leader.
type LeaseStatus struct {
	Sessions int    // with leases
	Held     int    // leases
	Recalled uint64 // recalls made in this epoch
	Grace    bool   // answers still wait for leases of earlier epochs to end

	Exclusive         int    // exclusive ones among those held
	ExclusiveRecalled uint64 // recalls of such made in this epoch
	Taken             uint64 // such taken from sessions that did not give them back
}

// Leases tells of the leases of this epoch; zero if this node does not lead.
func (l *Leader) Leases() LeaseStatus {
	t, err := l.tenure()
	if err != nil {
		return LeaseStatus{}
	}
	t.leases.mu.Lock()
	defer t.leases.mu.Unlock()
	return LeaseStatus{
		Sessions: len(t.leases.sessions), Held: t.leases.held, Recalled: t.leases.recalled, Grace: t.leases.grace,
		Exclusive: t.leases.x.held, ExclusiveRecalled: t.leases.x.recalled, Taken: t.leases.x.taken,
	}
}

// watchLeases ends leases of sessions that are silent, and the grace.
func (t *tenure) watchLeases() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-t.ctx.Done():
			return
		case <-timer.C:
		case <-t.leases.wake:
		}
		if again := t.leases.expire(); again > 0 {
			timer.Reset(again)
		}
	}
}

// park waits until what was in an operation's way is over. Before the caller's time is up it is told to ask again, so
// that it does not take this node for silent.
func (t *tenure) park(ctx context.Context, call *Call, wait []<-chan struct{}) error {
	var late <-chan time.Time
	if until, ok := ctx.Deadline(); ok {
		timer := time.NewTimer(time.Until(until) * 4 / 5)
		defer timer.Stop()
		late = timer.C
	}
	for _, over := range wait {
		select {
		case <-over:
		case <-late:
			return honeyant.E("meta.Do", honeyant.Unavailable, call.Op.Code().String(), errParked)
		case <-ctx.Done():
			return t.gaveUp(ctx, call)
		case <-t.ctx.Done():
			return t.over(call)
		}
	}
	return nil
}

var errParked = errors.New("another session's lease on what it concerns is not given back yet; ask again")

// await waits for a gate; nil is none.
func (t *tenure) await(ctx context.Context, call *Call, g *gate) error {
	if g == nil {
		return nil
	}
	select {
	case <-g.done:
		return nil
	case <-ctx.Done():
		return t.gaveUp(ctx, call)
	case <-t.ctx.Done():
		return t.over(call)
	}
}

// retireLeases ends the leases of sessions that an operation is about to close while they may be alive: once
// they are not in the list any more, the next leader would not wait for them. undo is for when it fails.
func (t *tenure) retireLeases(ctx context.Context, call *Call) (undo func(), err error) {
	var retired []honeyant.SessionID
	undo = func() {
		for _, id := range retired {
			t.leases.restore(id)
		}
	}
	for _, s := range t.sessions.list() {
		if op, ok := call.Op.(*RemoveNode); ok && op.ID != s.node {
			continue
		}
		retired = append(retired, s.id)
		ended := t.leases.retire(s.id)
		if ended == nil {
			continue
		}
		select {
		case <-ended:
		case <-ctx.Done():
			return undo, t.gaveUp(ctx, call)
		case <-t.ctx.Done():
			return undo, t.over(call)
		}
	}
	return undo, nil
}

// changed lists inodes whose attributes, entries or extended attributes were changed, and those deleted.
type changed struct{ files, gone []OpenFile }

func touchedBy(b *kv.Batch) changed {
	var list fileList
	var gone []OpenFile
	if b == nil {
		return changed{}
	}
	for _, ch := range b.Changes() {
		if f, ok := list.note(ch.Key); ok && ch.Delete && ch.Key[0] == tabInode {
			gone = append(gone, f)
		}
	}
	return changed{list.files, gone}
}

// fileList gathers the inodes that keys speak of, each once.
type fileList struct {
	files []OpenFile
	seen  map[OpenFile]struct{} // made when there are many
}

func (l *fileList) note(key []byte) (f OpenFile, ok bool) {
	if len(key) < 13 || key[0] != tabInode && key[0] != tabDentry && key[0] != tabXattr {
		return f, false
	}
	f = OpenFile{honeyant.VolumeID(binary.BigEndian.Uint32(key[1:])), honeyant.Ino(binary.BigEndian.Uint64(key[5:]))}
	if l.seen == nil {
		for i := range l.files {
			if l.files[i] == f {
				return f, true
			}
		}
		if len(l.files) >= manyChanges {
			l.seen = make(map[OpenFile]struct{}, 4*manyChanges)
			for _, f := range l.files {
				l.seen[f] = struct{}{}
			}
		}
	}
	if l.seen != nil {
		if _, ok := l.seen[f]; ok {
			return f, true
		}
		l.seen[f] = struct{}{}
	}
	l.files = append(l.files, f)
	return f, true
}
