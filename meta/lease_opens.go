package meta

import (
	"slices"

	"github.com/honeyant/honeyant"
)

// A session that holds a lease on an inode may have it open without having said so: it says so before it acknowledges
// the recall, and when it comes back after its leases ended by its silence (Reassert). So whoever deletes an inode
// asks here first (rule 22).
type unsaidOpens struct {
	reaping bool                  // a Reap is being evaluated
	asker   honeyant.SessionID    // of the change that is being evaluated
	cover   []OpenFile            // the asker vouches for not having these open unsaid
	closed  []OpenFile            // may be deleted by it: nobody gets a lease on these until it is evaluated
	kept    []OpenFile            // are kept by leases, if it is accepted
	wanted  map[OpenFile]struct{} // deletion waits for the last lease; there are no new ones

	// over tells whether a session has ended, wake is called when a wanted inode has no lease any more. Both are called
	// with the table's lock held.
	over func(honeyant.SessionID) bool
	wake func()
}

// evaluating begins the evaluation of a change, accepted is called when it is to be carried out, and evaluated ends it;
// what it deletes is known by then (change).
func (t *leaseTable) evaluating(call *Call) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.unsaid.asker, t.unsaid.cover, t.unsaid.reaping = call.Session, call.Cover, call.Op.Code() == CodeReap
}

func (t *leaseTable) accepted() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, f := range t.unsaid.kept {
		t.unsaid.wanted[f] = struct{}{}
	}
}

func (t *leaseTable) evaluated() {
	t.mu.Lock()
	defer t.mu.Unlock()
	u := &t.unsaid
	u.asker, u.cover, u.reaping, u.closed, u.kept = 0, nil, false, nil, nil
}

// mayBeOpen tells whether a session holds a lease on an inode, but for the one that asks and vouches for it. If not,
// nobody gets one before evaluated. An orphan is recalled, for nothing else would end its leases. Of the evaluation
// goroutine.
func (t *leaseTable) mayBeOpen(f OpenFile) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	u, open := &t.unsaid, false
	if e := t.inodes[f]; e != nil {
		for i := range e.holders {
			h := &e.holders[i]
			if h.s.id == u.asker && slices.Contains(u.cover, f) {
				continue
			}
			open = true
			if u.reaping {
				t.recall(f, h, nil)
			}
		}
	}
	switch {
	case !open:
		delete(u.wanted, f)
		u.closed = append(u.closed, f)
	case u.reaping:
		u.wanted[f] = struct{}{}
	default:
		u.kept = append(u.kept, f)
	}
	return open
}

// closedFor tells whether nobody may get a lease on an inode for now. t.mu is held.
func (t *leaseTable) closedFor(f OpenFile) bool {
	_, wanted := t.unsaid.wanted[f]
	return wanted || slices.Contains(t.unsaid.closed, f)
}

// noHolder is called when an inode has lost a lease of either kind. t.mu is held.
func (t *leaseTable) noHolder(f OpenFile) {
	if _, ok := t.unsaid.wanted[f]; !ok {
		return
	}
	if e := t.inodes[f]; e == nil || len(e.holders) == 0 && e.owner == nil {
		t.unsaid.wake()
	}
}

// handOver tells what a session may have open whose term is over. t.mu is held.
func (t *leaseTable) handOver(s *leaseSession) {
	if len(s.files) == 0 {
		return
	}
	files := make([]OpenFile, 0, len(s.files))
	for f := range s.files {
		files = append(files, f)
	}
	t.lapse(s.id, s.term, files)
}

// lapse keeps what a session may have open by leases that have ended without its doing, all of terms up to this one.
func (t *leaseTable) lapse(id honeyant.SessionID, term uint64, files []OpenFile) {
	t.opens.lapse(id, term, files)
	if t.unsaid.over(id) {
		t.opens.forget(id)
	}
}

// lapsedOpens is what sessions may have open that were silent for too long, each until it says what it has. Guarded by
// openTable.mu.
type lapsedOpens map[honeyant.SessionID]*lapsedSession

type lapsedSession struct {
	term  uint64 // the newest one that lapsed
	files map[OpenFile]struct{}
}

func (l lapsedOpens) has(f OpenFile) bool { return l.elsewhere(0, f) }

// elsewhere tells whether one but id may have it open.
func (l lapsedOpens) elsewhere(id honeyant.SessionID, f OpenFile) bool {
	for of, s := range l {
		if _, ok := s.files[f]; ok && of != id {
			return true
		}
	}
	return false
}

// lapse notes that a session may have files open, by leases of a term that is over.
func (t *openTable) lapse(id honeyant.SessionID, term uint64, files []OpenFile) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.lapsed[id]
	if s == nil {
		s = &lapsedSession{files: make(map[OpenFile]struct{}, len(files))}
		t.lapsed[id] = s
	}
	s.term = max(s.term, term)
	for _, f := range files {
		s.files[f] = struct{}{}
	}
}

// returned notes that a session has said all that it has open since before its leases of term began, and tells whether
// anything was held up by its silence.
func (t *openTable) returned(id honeyant.SessionID, term uint64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.lapsed[id]
	if s == nil || s.term >= term {
		return false
	}
	delete(t.lapsed, id)
	return true
}

// sessionOver tells whether a session has ended.
func (t *tenure) sessionOver(id honeyant.SessionID) bool { return t.sessions.get(id) == nil }
