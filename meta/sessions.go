package meta

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/kv"
)

// sessionTable is the leader's memory of one epoch: the live sessions and when each was last heard of, by the
// monotonic clock of this machine (rules 17, 18). Every session starts with a full TTL. Safe for concurrent use.
type sessionTable struct {
	born time.Time
	mu   sync.RWMutex // guards all
	all  map[honeyant.SessionID]*session
}

// session is one live session.
type session struct {
	id    honeyant.SessionID
	node  honeyant.NodeID
	name  string
	heard atomic.Int64 // nanoseconds since the table was born

	// Of the evaluation goroutine alone:
	closing  bool // its end is evaluated, but perhaps not applied yet
	loaded   bool // slots and lowWater are read from the state
	slots    [MaxSlots]*slot
	lowWater uint64
}

// slot is the newest change of a slot as evaluated.
type slot struct {
	record slotRecord
	flight *flight // carries it; nil if applied before this epoch
	gate   *gate   // its answers wait for; nil as well
}

// loadSessions reads the live sessions and those that are dead but not cleaned up.
func loadSessions(r kv.Reader) (table *sessionTable, dead []honeyant.SessionID, err error) {
	table = &sessionTable{born: time.Now(), all: map[honeyant.SessionID]*session{}}
	tx := newTx(r, Env{})
	eachSession(tx, func(id honeyant.SessionID, rec *sessionRecord) {
		if rec.Dead {
			dead = append(dead, id)
		} else {
			table.add(id, rec.Node, rec.Name)
		}
	})
	return table, dead, tx.err
}

func (t *sessionTable) add(id honeyant.SessionID, node honeyant.NodeID, name string) {
	s := &session{id: id, node: node, name: name}
	s.heard.Store(int64(time.Since(t.born)))
	t.mu.Lock()
	defer t.mu.Unlock()
	t.all[id] = s
}

func (t *sessionTable) get(id honeyant.SessionID) *session {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.all[id]
}

func (t *sessionTable) remove(id honeyant.SessionID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.all, id)
}

// list is a copy, in no order.
func (t *sessionTable) list() []*session {
	t.mu.RLock()
	defer t.mu.RUnlock()
	list := make([]*session, 0, len(t.all))
	for _, s := range t.all {
		list = append(list, s)
	}
	return list
}

// hear notes that the session has been heard of; nil if there is no such live session.
func (t *sessionTable) hear(id honeyant.SessionID) *session {
	s := t.get(id)
	if s != nil {
		s.heard.Store(int64(time.Since(t.born)))
	}
	return s
}

// silence is how long nothing has been heard of the session.
func (t *sessionTable) silence(s *session) time.Duration {
	return time.Since(t.born) - time.Duration(s.heard.Load())
}

// pardon takes all sessions as heard of now.
func (t *sessionTable) pardon() {
	for _, s := range t.list() {
		s.heard.Store(int64(time.Since(t.born)))
	}
}

// loadSlots reads what the session's slots hold, once.
func (s *session) loadSlots(r kv.Reader) error {
	if s.loaded {
		return nil
	}
	tx := newTx(r, Env{})
	eachSlot(tx, s.id, func(n uint32, rec *slotRecord) {
		if n < MaxSlots {
			s.slots[n] = &slot{record: *rec}
			s.lowWater = max(s.lowWater, rec.LowWater)
		}
	})
	s.loaded = tx.err == nil
	return tx.err
}
