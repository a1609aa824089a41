package meta

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/kv"
	"github.com/honeyant/honeyant/rpc/wire"
)

// StateOptions configure a State.
type StateOptions struct {
	// Reopen opens the database in a directory that Restore was given. Needed only for Restore.
	Reopen func(dir string) (kv.DB, error)
	// Applied, if set, is called after each command that took effect, on the goroutine of Apply and with
	// the changes of a batch; it must be quick and must not keep its argument.
	Applied func(*kv.Batch)
}

// State is what every replica runs: a database and how far the log has been applied to it. It applies
// bytes and knows nothing of operations. Apply, Restore, Checkpoint and Close come from one goroutine at a
// time; everything else is safe for concurrent use.
type State struct {
	o       StateOptions
	db      atomic.Pointer[openDB]
	apply   sync.RWMutex // held by readers who need several reads at one moment, taken whole by Apply
	mu      sync.Mutex   // guards applied
	applied appliedRecord
}

// EpochOpened is what Apply answers for an epoch-open that took effect.
type EpochOpened struct{ Epoch uint64 }

var appliedKey = []byte{tabApplied}

// OpenState takes db over; Close closes it.
func OpenState(db kv.DB, options ...StateOptions) (*State, error) {
	s := &State{}
	if len(options) > 0 {
		s.o = options[0]
	}
	if err := s.adopt(db); err != nil {
		return nil, err
	}
	return s, nil
}

// adopt makes db the present one; the one before is closed when nobody reads it any more.
func (s *State) adopt(db kv.DB) error {
	var applied appliedRecord
	tx := newTx(db, Env{})
	if tx.load(appliedKey, applied.fields); tx.err != nil {
		return honeyant.E("meta.OpenState", honeyant.Other, "", tx.err)
	}
	s.mu.Lock()
	s.applied = applied
	s.mu.Unlock()
	fresh := &openDB{db: db}
	fresh.users.Store(1)
	if old := s.db.Swap(fresh); old != nil {
		return old.release()
	}
	return nil
}

// AppliedIndex is the log index up to which everything has been applied. After a crash it may be lower
// than it was, together with all effects (M3).
func (s *State) AppliedIndex() (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.applied.Index, nil
}

// Epoch is the epoch in force: the log index of the newest epoch-open that was applied.
func (s *State) Epoch() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.applied.Epoch
}

// appliedIn is the seq of the last batch of an epoch that has been applied; if a later epoch has begun, all have.
func (s *State) appliedIn(epoch uint64) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.applied.Epoch != epoch {
		return ^uint64(0)
	}
	return s.applied.Seq
}

// Apply carries out one log entry. The result is EpochOpened, nil for a batch that took effect, or
// honeyant.Superseded for one that did not: it was not exactly (epoch in force, last seq + 1), or the entry
// was applied before. An error means that this replica can not go on (rule 9): stop its metadata role.
func (s *State) Apply(index, term uint64, cmd []byte) (result any, err error) {
	const op = "meta.Apply"
	s.mu.Lock()
	next := s.applied
	s.mu.Unlock()
	if index <= next.Index {
		return honeyant.Superseded, nil
	}
	m, err := decodeCommand(cmd)
	if err != nil {
		return nil, honeyant.E(op, honeyant.Corrupt, fmt.Sprintf("entry %d", index), err)
	}
	batch := &m.Batch
	next.Index, next.Term = index, term
	switch {
	case m.Kind == commandEpoch:
		next.Epoch, next.Seq = index, 0
		result = EpochOpened{Epoch: index}
	case m.Epoch == next.Epoch && m.Seq == next.Seq+1 && next.Epoch != 0:
		next.Seq++
	default:
		batch = &kv.Batch{}
		result = honeyant.Superseded
	}
	if err := s.write(batch, next); err != nil {
		return nil, honeyant.E(op, honeyant.Other, fmt.Sprintf("entry %d", index), err)
	}
	if s.o.Applied != nil && result != any(honeyant.Superseded) {
		s.o.Applied(batch)
	}
	return result, nil
}

// write applies the changes and how far they go as one (M3).
func (s *State) write(batch *kv.Batch, next appliedRecord) error {
	batch.Put(appliedKey, wire.Marshal(next.fields))
	s.apply.Lock()
	defer s.apply.Unlock()
	if err := s.db.Load().db.Apply(batch); err != nil {
		return err
	}
	s.mu.Lock()
	s.applied = next
	s.mu.Unlock()
	return nil
}

// Flush returns when everything applied before the call is on stable storage.
func (s *State) Flush() error {
	d, err := s.acquire()
	if err != nil {
		return err
	}
	return errors.Join(d.db.Flush(), d.release())
}

// Checkpoint makes dir, which must not exist, a complete and durable copy of the present state.
func (s *State) Checkpoint(dir string) error {
	d, err := s.acquire()
	if err != nil {
		return err
	}
	return errors.Join(d.db.Checkpoint(dir), d.release())
}

// Restore puts the database in dir, a checkpoint, in the place of the present one, which is closed when the
// last reader has left it.
func (s *State) Restore(dir string) error {
	const op = "meta.Restore"
	if s.o.Reopen == nil {
		return honeyant.E(op, honeyant.Internal, dir, errors.New("no Reopen option"))
	}
	db, err := s.o.Reopen(dir)
	if err != nil {
		return honeyant.E(op, honeyant.Other, dir, err)
	}
	s.apply.Lock()
	defer s.apply.Unlock()
	if err := s.adopt(db); err != nil {
		return honeyant.E(op, honeyant.Other, dir, err)
	}
	return nil
}

// Close closes the database when the last reader has left it. Twice is harmless.
func (s *State) Close() error {
	if old := s.db.Swap(nil); old != nil {
		return old.release()
	}
	return nil
}

// View reads the applied state, on leaders and followers alike: committed, but on a follower perhaps old,
// and each call for itself. Safe for concurrent use, also across Restore; Unavailable after Close.
func (s *State) View() kv.Reader { return stateView{s} }

// consistent runs read over the state of one moment. Nothing is applied meanwhile, so be quick, and do not nest.
func (s *State) consistent(read func(kv.Reader)) error {
	d, err := s.acquire()
	if err != nil {
		return err
	}
	defer d.release()
	s.apply.RLock()
	defer s.apply.RUnlock()
	read(d.db)
	return nil
}

// Query evaluates a read-only operation over the applied state of this replica, for status on followers:
// what it answers is committed but may be old.
func (s *State) Query(op Op) (reply Reply, err error) {
	if !ReadOnly(op) {
		return nil, honeyant.E("meta.Query", honeyant.Invalid, op.Code().String(), errors.New("it changes something"))
	}
	if e := s.consistent(func(r kv.Reader) { reply, _, err = evaluate(newTx(r, Env{}), op) }); e != nil {
		return nil, e
	}
	return reply, err
}

// acquire keeps the present database open until release.
func (s *State) acquire() (*openDB, error) {
	for {
		d := s.db.Load()
		if d == nil {
			return nil, honeyant.E("meta.State", honeyant.Unavailable, "", errors.New("closed"))
		}
		if n := d.users.Load(); n > 0 && d.users.CompareAndSwap(n, n+1) {
			return d, nil
		}
	}
}

// openDB is a database and how many use it; the State itself is one of them.
type openDB struct {
	db    kv.DB
	users atomic.Int64
}

func (d *openDB) release() error {
	if d.users.Add(-1) == 0 {
		return d.db.Close()
	}
	return nil
}

// stateView is a kv.Reader over whatever database is the present one.
type stateView struct{ s *State }

func (v stateView) Get(key []byte) ([]byte, bool, error) {
	d, err := v.s.acquire()
	if err != nil {
		return nil, false, err
	}
	defer d.release()
	return d.db.Get(key)
}

func (v stateView) Scan(lower, upper []byte, fn func(key, value []byte) bool) error {
	d, err := v.s.acquire()
	if err != nil {
		return err
	}
	defer d.release()
	return d.db.Scan(lower, upper, fn)
}

func (v stateView) ScanReverse(lower, upper []byte, fn func(key, value []byte) bool) error {
	d, err := v.s.acquire()
	if err != nil {
		return err
	}
	defer d.release()
	return d.db.ScanReverse(lower, upper, fn)
}
