package meta

import (
	"slices"
	"time"

	"github.com/honeyant/honeyant"
)

// exclusives is what a leaseTable knows of exclusive leases. Unlike shared ones they outlive the term of their
// session's leases: while it has none they are suspect, and the first who wants one gets it (rule 18). Guarded by the
// table's lock.
type exclusives struct {
	sessions map[honeyant.SessionID]map[OpenFile]*exclusive
	held     int
	wanted   map[*exclusive]struct{} // recalled because somebody waits
	cooling  map[OpenFile]cooling
	claims   map[honeyant.SessionID]chan struct{} // sessions that may hold what they have not said yet; closed when they have
	lapsed   map[honeyant.SessionID]chan struct{} // sessions whose term was over while they held something: likewise
	over     map[honeyant.SessionID]bool          // sessions that have ended
	calm     chan struct{}                        // closed when the grace is over

	recalled uint64 // recalls made, for status
	taken    uint64 // leases taken from a session that did not give them back
}

// exclusive is one exclusive lease.
type exclusive struct {
	id       honeyant.SessionID
	file     OpenFile
	stamp    uint64        // newest of the session's when it got it: an older Return does not mean it
	recalled bool          // the session was asked to give it back
	since    time.Time     // when somebody began to want it; zero: nobody does
	seq      uint64        // of the recall in the session's queue; 0: it is not there
	waiting  []*gate       // answers to the session itself
	ended    chan struct{} // closed when it is over
}

// cooling keeps an inode that several use from wandering about: for a while after a conflict nobody gets it.
type cooling struct {
	until time.Time
	pause time.Duration
}

const (
	firstCooling = time.Second
	mostCooling  = 8 * time.Second
	maxCooling   = 4096 // inodes
)

func newExclusives(old []honeyant.SessionID) exclusives {
	x := exclusives{
		sessions: map[honeyant.SessionID]map[OpenFile]*exclusive{}, wanted: map[*exclusive]struct{}{},
		cooling: map[OpenFile]cooling{}, claims: map[honeyant.SessionID]chan struct{}{}, over: map[honeyant.SessionID]bool{},
		lapsed: map[honeyant.SessionID]chan struct{}{},
		calm:   make(chan struct{}),
	}
	for _, id := range old {
		x.claims[id] = make(chan struct{})
	}
	return x
}

// inTheWay lists what an operation has to wait for before it is evaluated again; none: it may be accepted. What
// other sessions hold exclusively of the inodes is recalled. While the grace lasts nobody knows who holds what.
func (t *leaseTable) inTheWay(call *Call, lists ...[]OpenFile) (wait []<-chan struct{}) {
	switch call.Op.(type) {
	case *OpenSession, *CloseSession:
		return nil
	}
	for _, list := range lists {
		if t.grace && len(list) > 0 {
			return []<-chan struct{}{t.x.calm}
		}
		for _, f := range list {
			e := t.inodes[f]
			if e == nil || e.owner == nil || e.owner.id == call.Session {
				continue
			}
			x := e.owner
			if t.recallOwned(x, true) && !slices.Contains(wait, (<-chan struct{})(x.ended)) {
				wait = append(wait, x.ended)
			}
		}
	}
	return wait
}

// flushing lists the flushes of others that concern the inodes and that a read of the state up to applied does not
// show. Their changes were answered before, so whoever asks must see them.
func (t *leaseTable) flushing(call *Call, applied uint64, read []OpenFile) (wait []<-chan struct{}) {
	for _, f := range read {
		e := t.inodes[f]
		if e == nil {
			continue
		}
		for _, g := range e.gates {
			if g.flush != 0 && g.flush != call.Session && g.seq > applied {
				wait = append(wait, g.done)
			}
		}
	}
	return wait
}

// recallOwned asks for an exclusive lease back, and tells whether it still lasts. wanted says that another session, or
// nobody's, waits for it. One whose session is out of touch ends at once.
func (t *leaseTable) recallOwned(x *exclusive, wanted bool) (lasts bool) {
	s := t.sessions[x.id]
	if s != nil && t.lapsed(s) {
		t.drop(s)
		s = nil
	}
	if !t.owns(x) {
		return false
	}
	if s == nil {
		t.endOwned(x, wanted)
		return false
	}
	if wanted && x.since.IsZero() {
		x.since = time.Now()
		t.x.wanted[x] = struct{}{}
		t.stir()
	}
	if !x.recalled {
		x.recalled = true
		t.x.recalled++
		s.seq++
		x.seq = s.seq
		s.queue = append(s.queue, recallItem{seq: s.seq, file: x.file, exclusive: true})
		s.notify(true)
	}
	return true
}

// stir makes watchLeases look when it has to come again.
func (t *leaseTable) stir() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// owns tells whether the lease still lasts.
func (t *leaseTable) owns(x *exclusive) bool {
	e := t.inodes[x.file]
	return e != nil && e.owner == x
}

// own gives a session the exclusive lease on an inode that nobody else has any lease on.
func (t *leaseTable) own(id honeyant.SessionID, f OpenFile, stamp uint64) {
	e := t.inodes[f]
	if e == nil {
		e = &leasedInode{}
		t.inodes[f] = e
	}
	if e.owner != nil {
		e.owner.stamp = max(e.owner.stamp, stamp)
		return
	}
	x := &exclusive{id: id, file: f, stamp: stamp, ended: make(chan struct{})}
	e.owner = x
	if t.x.sessions[id] == nil {
		t.x.sessions[id] = map[OpenFile]*exclusive{}
	}
	t.x.sessions[id][f] = x
	t.x.held++
	t.held++
	if s := t.sessions[id]; s != nil { // it covers what a shared one does
		if i := slices.IndexFunc(e.holders, func(h leaseHolder) bool { return h.s == s && h.recall == 0 }); i >= 0 {
			t.remove(s, f)
		}
	}
}

// endOwned ends an exclusive lease. taken says that its session has not given it back, and has lost it to somebody.
func (t *leaseTable) endOwned(x *exclusive, taken bool) {
	t.inodes[x.file].owner = nil
	delete(t.x.sessions[x.id], x.file)
	if len(t.x.sessions[x.id]) == 0 {
		delete(t.x.sessions, x.id)
	}
	t.x.held--
	t.held--
	if s := t.sessions[x.id]; s != nil && x.seq != 0 && len(s.queue) > 0 && x.seq >= s.queue[0].seq {
		s.queue[x.seq-s.queue[0].seq].void = true
	}
	if taken || !x.since.IsZero() {
		t.cool(x.file)
	}
	if taken {
		t.lapse(x.id, t.terms, []OpenFile{x.file})
		t.x.taken++
		t.o.log.Warn("an exclusive lease is taken from a session that does not give it back", "session", x.id,
			"volume", x.file.Volume, "inode", uint64(x.file.Ino))
	}
	delete(t.x.wanted, x)
	close(x.ended)
	waiting := x.waiting
	x.waiting = nil
	t.release(waiting)
	t.tidy(x.file)
	t.noHolder(x.file)
}

// cool notes that sessions want the same inode.
func (t *leaseTable) cool(f OpenFile) {
	now := time.Now()
	c, again := t.x.cooling[f]
	if again = again && now.Sub(c.until) < mostCooling; again {
		c.pause = min(2*c.pause, mostCooling)
	} else {
		c.pause = firstCooling
	}
	c.until = now.Add(c.pause)
	if len(t.x.cooling) >= maxCooling {
		for f, c := range t.x.cooling {
			if len(t.x.cooling) >= maxCooling || now.Sub(c.until) >= mostCooling {
				delete(t.x.cooling, f)
			}
		}
	}
	t.x.cooling[f] = c
}

// mayTake tells whether a session may get the exclusive lease on an inode now.
func (t *leaseTable) mayTake(id honeyant.SessionID, f OpenFile, dir, child bool) bool {
	s := t.sessions[id]
	if t.grace || s == nil || s.dismissed || t.retired[id] || t.x.over[id] || t.lapsed(s) || len(s.queue) > maxRecallQueue {
		return false
	}
	if e := t.inodes[f]; e != nil {
		if e.owner != nil {
			return e.owner.id == id && !e.owner.recalled && !child
		}
		for i := range e.holders {
			if e.holders[i].s != s || e.holders[i].recall != 0 {
				return false
			}
		}
		if len(e.gates) > 0 {
			return false
		}
	}
	if t.held >= t.o.max || time.Now().Before(t.x.cooling[f].until) {
		return false
	}
	switch {
	case child:
		return !t.opens.isOpen(f)
	case !dir:
		return !t.opens.elsewhere(id, f)
	}
	return true
}

// take grants what was found that a Take may have, and tells what it may not have after all. The state stands still
// meanwhile, so a change that is not in what the Take has read is known here, or will find the leases.
func (t *leaseTable) take(call *Call, op *Take, dir bool, held []honeyant.Ino) (denied []honeyant.Ino) {
	for n, ino := range held {
		f := OpenFile{op.Volume, ino}
		if !t.mayTake(call.Session, f, dir, n > 0) {
			if denied = append(denied, ino); n == 0 {
				return denied
			}
			continue
		}
		t.own(call.Session, f, call.Stamp)
	}
	return denied
}

// leaseView is the table from the view of one call.
type leaseView struct {
	t   *leaseTable
	id  honeyant.SessionID
	may bool // the call asks for leases
	dir bool // what it asks for is a directory
}

// Holds implements LeaseView.
func (v *leaseView) Holds(f OpenFile) bool {
	v.t.mu.Lock()
	defer v.t.mu.Unlock()
	return v.t.x.sessions[v.id][f] != nil
}

// MayTake implements LeaseView.
func (v *leaseView) MayTake(f OpenFile, dir, child bool) bool {
	if !child {
		v.dir = dir
	}
	v.t.mu.Lock()
	defer v.t.mu.Unlock()
	return v.may && v.t.mayTake(v.id, f, dir, child)
}

// owned tells whether a session holds the inode exclusively, or may hold it and has not said so yet: nobody
// registers such a one as open. An orphan waits for the end of the lease, which is not recalled: whoever holds it gives
// it back with the last close.
func (t *leaseTable) owned(f OpenFile) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.inodes[f]
	held := e != nil && e.owner != nil
	if held && t.unsaid.reaping {
		t.unsaid.wanted[f] = struct{}{}
	}
	return held || len(t.x.claims) > 0
}

// giveBack ends leases of a session, each unless it got it after stamp.
func (t *leaseTable) giveBack(id honeyant.SessionID, stamp uint64, files []OpenFile) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, f := range files {
		if x := t.x.sessions[id][f]; x != nil && x.stamp <= stamp {
			t.endOwned(x, false)
		}
	}
}

// unclaimed is closed when the session has said what it holds; nil: it has.
func (t *leaseTable) unclaimed(id honeyant.SessionID) <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, m := range []map[honeyant.SessionID]chan struct{}{t.x.claims, t.x.lapsed} {
		if c := m[id]; c != nil {
			return c
		}
	}
	return nil
}

// claimed notes that a session has said what it holds, and tells whether now all have.
func (t *leaseTable) claimed(id honeyant.SessionID) (all bool) {
	c := t.x.claims[id]
	if c == nil {
		return false
	}
	close(c)
	delete(t.x.claims, id)
	return len(t.x.claims) == 0
}

// reclaim takes in what a session says it holds, and tells what of that it does not. attr tells of an inode that
// exists, as of the applied state, which stands still.
func (t *leaseTable) reclaim(id honeyant.SessionID, c *Claim, attr func(OpenFile) (*honeyant.Attr, bool)) (lost []OpenFile) {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, unheard := t.unheard[id]
	for n := range c.Files {
		f := &c.Files[n]
		e := t.inodes[f.OpenFile]
		if e != nil && e.owner != nil && e.owner.id == id && !t.x.over[id] && !t.retired[id] {
			e.owner.stamp = max(e.owner.stamp, c.Stamp)
			continue
		}
		a, there := attr(f.OpenFile)
		switch {
		case t.x.over[id] || t.retired[id] || e != nil && e.owner != nil || !f.leftBy(a, there):
			lost = append(lost, f.OpenFile)
		case !there && f.Version != 0: // its own flush has deleted it
		case t.grace && unheard, there && t.untouched(id, f.OpenFile, e):
			// Nobody was let near it: not in this epoch, and had it been changed in one that the session has missed, it would not
			// be as it was left.
			t.own(id, f.OpenFile, c.Stamp)
		case there:
			lost = append(lost, f.OpenFile)
		} // else it gets it with the flush that makes it
	}
	if c.Last {
		t.claimed(id)
		t.revived(id)
	}
	return lost
}

// revived notes that a session has said what it holds since its leases have lapsed.
func (t *leaseTable) revived(id honeyant.SessionID) {
	if c := t.x.lapsed[id]; c != nil {
		close(c)
		delete(t.x.lapsed, id)
	}
}

// untouched tells whether an inode that is as its former holder left it is free.
func (t *leaseTable) untouched(id honeyant.SessionID, f OpenFile, e *leasedInode) bool {
	if e != nil && (len(e.gates) > 0 || slices.ContainsFunc(e.holders, func(h leaseHolder) bool { return h.s.id != id || h.recall != 0 })) {
		return false
	}
	return !t.opens.registeredElsewhere(id, f)
}

// finish ends everything that a closed session holds, as soon as it can not use it any more.
func (t *leaseTable) finish(id honeyant.SessionID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.x.over[id] = true
	t.claimed(id)
	t.revived(id)
	if t.sessions[id] == nil {
		t.disown(id, func(*exclusive) bool { return true })
	}
}

// disown ends those of a session's exclusive leases that fit.
func (t *leaseTable) disown(id honeyant.SessionID, fit func(*exclusive) bool) {
	for _, x := range t.x.sessions[id] {
		if fit(x) && t.owns(x) {
			t.endOwned(x, false)
		}
	}
}

// suspect is called when a session's term is over: what was recalled from it is taken, all else stays until somebody
// wants it or the session is closed.
func (t *leaseTable) suspect(id honeyant.SessionID) {
	if len(t.x.sessions[id]) > 0 && t.x.lapsed[id] == nil && !t.x.over[id] {
		t.x.lapsed[id] = make(chan struct{})
	}
	for _, x := range t.x.sessions[id] {
		x.seq = 0
		switch {
		case !t.owns(x):
		case t.x.over[id]:
			t.endOwned(x, false)
		case x.recalled:
			t.endOwned(x, true)
		}
	}
}

// dismiss ends the terms of sessions that do not give back what somebody waits for: they can not renew them any more,
// and when they have lapsed nothing is used under them. It tells when to come again; 0: there is nothing to wait for.
func (t *leaseTable) dismiss() (again time.Duration) {
	for x := range t.x.wanted {
		s := t.sessions[x.id]
		if s == nil || s.dismissed {
			continue
		}
		left := t.o.recall - time.Since(x.since)
		if left <= 0 {
			s.dismissed = true
			t.o.log.Warn("a session does not give an exclusive lease back: its leases are not renewed", "session", x.id,
				"volume", x.file.Volume, "inode", uint64(x.file.Ino))
		} else if again == 0 || left < again {
			again = left
		}
	}
	return again
}

// holders lists who has leases on an inode.
func (t *leaseTable) holders(f OpenFile) (list []Holder) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.inodes[f]
	if e == nil {
		return nil
	}
	if x := e.owner; x != nil {
		list = append(list, Holder{Session: x.id, Exclusive: true, Recalled: x.recalled})
	}
	for _, h := range e.holders {
		list = append(list, Holder{Session: h.s.id, Recalled: h.recall != 0})
	}
	return list
}
