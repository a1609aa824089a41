package meta

import (
	"sync"

	"github.com/honeyant/honeyant"
)

// OpenFile names an inode that a session has open.
type OpenFile struct {
	Volume honeyant.VolumeID
	Ino    honeyant.Ino
}

// openTable is the leader's memory of one epoch: which sessions have which inodes open (rule 22). A session
// has an inode open or not; how often is its own business. Each registration carries the session's stamp,
// so that a release that arrives late does not take back a later open, and retries do no harm.
// Safe for concurrent use.
type openTable struct {
	mu      sync.Mutex // guards all below
	by      map[OpenFile]map[honeyant.SessionID]uint64
	of      map[honeyant.SessionID]map[OpenFile]struct{}
	lapsed  lapsedOpens
	late    lateOpens
	unknown map[honeyant.SessionID]struct{} // sessions of earlier epochs that have not said yet what they have open
}

func newOpenTable() *openTable {
	return &openTable{
		by: map[OpenFile]map[honeyant.SessionID]uint64{}, of: map[honeyant.SessionID]map[OpenFile]struct{}{},
		unknown: map[honeyant.SessionID]struct{}{}, lapsed: lapsedOpens{}, late: lateOpens{},
	}
}

// isOpen answers true for everything while it is not known what all sessions have open.
func (t *openTable) isOpen(f OpenFile) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.unknown) > 0 || len(t.by[f]) > 0 || t.lapsed.has(f)
}

// elsewhere tells whether another session has the inode open, or may have it and has not said so yet.
func (t *openTable) elsewhere(s honeyant.SessionID, f OpenFile) bool {
	t.mu.Lock()
	_, silent := t.unknown[s]
	others := len(t.unknown)
	t.mu.Unlock()
	return others > 1 || others == 1 && !silent || t.registeredElsewhere(s, f)
}

// registeredElsewhere tells whether another session has said that it has the inode open.
func (t *openTable) registeredElsewhere(s honeyant.SessionID, f OpenFile) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	by := t.by[f]
	_, own := by[s]
	return len(by) > 1 || len(by) == 1 && !own || t.lapsed.elsewhere(s, f)
}

// known tells whether every live session has said what it has open.
func (t *openTable) known() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.unknown) == 0
}

func (t *openTable) expect(s honeyant.SessionID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.unknown[s] = struct{}{}
}

// settled notes that all opens of the session are known, and tells whether now all sessions' are.
func (t *openTable) settled(s honeyant.SessionID) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, was := t.unknown[s]; !was {
		return false
	}
	delete(t.unknown, s)
	return len(t.unknown) == 0
}

func (t *openTable) add(s honeyant.SessionID, f OpenFile, stamp uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.late.late(s, f, stamp) {
		return
	}
	if t.by[f] == nil {
		t.by[f] = map[honeyant.SessionID]uint64{}
	}
	t.by[f][s] = max(t.by[f][s], stamp)
	if t.of[s] == nil {
		t.of[s] = map[OpenFile]struct{}{}
	}
	t.of[s][f] = struct{}{}
}

// remove takes a registration back unless it is newer than stamp.
func (t *openTable) remove(s honeyant.SessionID, f OpenFile, stamp uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.late.released(s, f, stamp)
	if at, ok := t.by[f][s]; ok && at <= stamp {
		t.unlink(s, f)
		delete(t.of[s], f)
		if len(t.of[s]) == 0 {
			delete(t.of, s)
		}
	}
}

func (t *openTable) unlink(s honeyant.SessionID, f OpenFile) {
	delete(t.by[f], s)
	if len(t.by[f]) == 0 {
		delete(t.by, f)
	}
}

// forget drops a session that is over.
func (t *openTable) forget(s honeyant.SessionID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for f := range t.of[s] {
		t.unlink(s, f)
	}
	delete(t.of, s)
	delete(t.unknown, s)
	delete(t.lapsed, s)
	delete(t.late, s)
}

// size is how many registrations there are.
func (t *openTable) size() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.by)
}

// stamped is the table as one call sees it.
type stamped struct {
	*openTable
	stamp  uint64
	leases *leaseTable
}

// IsOpen implements OpenTable, for the evaluation goroutine. What leases stand for is registered before they go, so
// registrations are looked at after them, and before, to leave leases on what stays anyway alone.
func (o stamped) IsOpen(v honeyant.VolumeID, ino honeyant.Ino) bool {
	f := OpenFile{v, ino}
	return o.isOpen(f) || o.leases.owned(f) || o.leases.mayBeOpen(f) || o.isOpen(f)
}

// Add implements OpenTable.
func (o stamped) Add(s honeyant.SessionID, v honeyant.VolumeID, ino honeyant.Ino) {
	o.add(s, OpenFile{v, ino}, o.stamp)
}

// Remove implements OpenTable.
func (o stamped) Remove(s honeyant.SessionID, v honeyant.VolumeID, ino honeyant.Ino) {
	o.remove(s, OpenFile{v, ino}, o.stamp)
}
