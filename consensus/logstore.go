package consensus

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	hraft "github.com/hashicorp/raft"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/kv"
	"github.com/honeyant/honeyant/kv/pebblekv"
	"github.com/honeyant/honeyant/rpc/wire"
)

// Key prefixes of the log database.
const (
	prefixEntry  = 'e' // then the index, big-endian
	prefixStable = 's' // then raft's name of the value
)

const entryVersion = 1

// logStore is raft's log and stable store. The log has no gaps: what lies before one is
// covered by a snapshot and deleted when the entries behind it come.
type logStore struct {
	db      *pebblekv.DB
	halt    func(error) // told the first error of the disk
	stored  func()      // told after entries became durable; may be nil
	trimTop func() uint64
	covered func() (index, term uint64) // of the newest snapshot

	mu       sync.RWMutex // guards all below
	first    uint64       // 0: empty
	last     uint64
	lastTerm uint64
	cache    entryCache
	bytes    int64 // of the entries in the log, about
	grown    int64 // of the entries stored since the last snapshot
}

// openLogStore opens the log in dir.
func openLogStore(dir string, o *Options, halt func(error)) (*logStore, error) {
	db, err := pebblekv.Open(dir, pebblekv.Options{WAL: true, CacheBytes: 1 << 20, FS: o.FS, Log: o.Log})
	if err != nil {
		return nil, err
	}
	s := &logStore{db: db, halt: halt, cache: entryCache{limit: o.Limits.EntryCache}}
	if err := s.load(); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return s, nil
}

// load finds the first and the last entry and adds up their sizes.
func (s *logStore) load() error {
	var fault error
	next := uint64(0)
	err := s.db.Scan([]byte{prefixEntry}, []byte{prefixEntry + 1}, func(k, v []byte) bool {
		var l hraft.Log
		if fault = decodeEntry(k, v, &l); fault != nil {
			return false
		}
		if next != 0 && l.Index != next {
			fault = honeyant.E("consensus.openLog", honeyant.Corrupt, fmt.Sprintf("entry %d", next), errors.New("missing"))
			return false
		}
		if s.first == 0 {
			s.first = l.Index
		}
		s.last, s.lastTerm, next = l.Index, l.Term, l.Index+1
		s.bytes += int64(len(v))
		return true
	})
	s.grown = s.bytes
	return errors.Join(err, fault)
}

func entryKey(index uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{prefixEntry}, index)
}

// encodeEntry writes what doc/format/raft.md says.
func encodeEntry(l *hraft.Log) []byte {
	c := wire.NewEncoder(make([]byte, 0, len(l.Data)+len(l.Extensions)+32))
	entryFields(c, l)
	return c.Encoded()
}

func entryFields(c *wire.Codec, l *hraft.Log) {
	version, at := uint8(entryVersion), int64(0)
	if !l.AppendedAt.IsZero() {
		at = l.AppendedAt.UnixNano()
	}
	wire.Uint(c, &version)
	wire.Uint(c, &l.Type)
	wire.Uint(c, &l.Term)
	wire.Int(c, &at)
	c.View(&l.Extensions, math.MaxInt32)
	c.View(&l.Data, math.MaxInt32)
	if c.Decoding() {
		if version != entryVersion {
			c.Failf("version %d", version)
		}
		if l.AppendedAt = (time.Time{}); at != 0 {
			l.AppendedAt = time.Unix(0, at)
		}
	}
}

func decodeEntry(key, value []byte, l *hraft.Log) error {
	if len(key) != 9 {
		return honeyant.E("consensus.decodeEntry", honeyant.Corrupt, fmt.Sprintf("key %x", key), nil)
	}
	l.Index = binary.BigEndian.Uint64(key[1:])
	if err := wire.Unmarshal(value, func(c *wire.Codec) { entryFields(c, l) }); err != nil {
		return honeyant.E("consensus.decodeEntry", honeyant.Corrupt, fmt.Sprintf("entry %d", l.Index), err)
	}
	return nil
}

// FirstIndex implements raft.LogStore.
func (s *logStore) FirstIndex() (uint64, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.first, nil
}

// LastIndex implements raft.LogStore.
func (s *logStore) LastIndex() (uint64, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.last, nil
}

// durable is the newest entry on stable storage.
func (s *logStore) durable() (index, term uint64) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.last, s.lastTerm
}

// GetLog implements raft.LogStore.
func (s *logStore) GetLog(index uint64, l *hraft.Log) error {
	s.mu.RLock()
	inside := s.first != 0 && index >= s.first && index <= s.last
	cached := s.cache.get(index)
	first := s.first
	s.mu.RUnlock()
	if !inside {
		return s.beforeFirst(index, first, l)
	}
	if cached != nil {
		*l = *cached
		return nil
	}
	key := entryKey(index)
	value, ok, err := s.db.Get(key)
	if err == nil && ok {
		err = decodeEntry(key, value, l)
	}
	if err != nil {
		return s.stop(err)
	}
	if !ok {
		s.mu.RLock()
		gone := index < s.first || index > s.last
		s.mu.RUnlock()
		if !gone {
			return s.stop(honeyant.E("consensus.GetLog", honeyant.Corrupt, fmt.Sprintf("entry %d", index), errors.New("missing")))
		}
		return hraft.ErrLogNotFound // trimmed meanwhile
	}
	return nil
}

// beforeFirst answers for the last entry of the snapshot when the log begins right behind
// it. A follower is asked whether it agrees with the leader there, and must be able to say
// so: raft looks for the term in the log only, and, not finding it, would have a follower
// with uncommitted entries behind its snapshot sent an older snapshot, for ever. Only the
// term is right; nobody can be sent this entry, because the one before it is not here.
func (s *logStore) beforeFirst(index, first uint64, l *hraft.Log) error {
	if s.covered != nil && index > 1 && first == index+1 {
		if at, term := s.covered(); at == index {
			*l = hraft.Log{Index: index, Term: term, Type: hraft.LogNoop}
			return nil
		}
	}
	return hraft.ErrLogNotFound
}

// stop halts the node because of err. raft panics on most errors of its stores; the caller
// is kept for ever instead, as if the machine had died, unless the store was only closed.
func (s *logStore) stop(err error) error {
	s.halt(err)
	if errors.Is(err, honeyant.Unavailable) {
		return err
	}
	select {}
}

// StoreLog implements raft.LogStore.
func (s *logStore) StoreLog(l *hraft.Log) error { return s.StoreLogs([]*hraft.Log{l}) }

// StoreLogs implements raft.LogStore: one sync for all of them.
func (s *logStore) StoreLogs(logs []*hraft.Log) error {
	if len(logs) == 0 {
		return nil
	}
	var b kv.Batch
	added := int64(0)
	for _, l := range logs {
		v := encodeEntry(l)
		added += int64(len(v))
		b.Put(entryKey(l.Index), v)
	}
	s.mu.RLock()
	first, last := s.first, s.last // only raft's main goroutine changes the end
	s.mu.RUnlock()
	gap := last != 0 && logs[0].Index > last+1
	if gap {
		if err := s.db.DeleteRange(entryKey(first), entryKey(last+1)); err != nil {
			s.halt(err)
			return err
		}
	}
	if err := s.db.ApplySync(&b); err != nil {
		s.halt(err)
		return err
	}
	s.mu.Lock()
	if gap {
		s.first, s.bytes = 0, 0
		s.cache.clear()
	}
	if s.first == 0 {
		s.first = logs[0].Index
	}
	end := logs[len(logs)-1]
	s.last, s.lastTerm = end.Index, end.Term
	for _, l := range logs {
		s.cache.add(l)
	}
	s.bytes += added
	s.grown += added
	s.mu.Unlock()
	if s.stored != nil {
		s.stored()
	}
	return nil
}

// DeleteRange implements raft.LogStore: of a prefix that a snapshot made superfluous, of a
// suffix that another leader overwrote, or of all.
func (s *logStore) DeleteRange(lower, upper uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	lower, upper = max(lower, s.first), min(upper, s.last)
	if lower == s.first && upper < s.last && s.trimTop != nil {
		upper = min(upper, s.trimTop())
	}
	if s.first == 0 || lower > upper {
		return nil
	}
	if lower != s.first && upper != s.last {
		return honeyant.E("consensus.DeleteRange", honeyant.Internal, fmt.Sprintf("%d..%d", lower, upper), errors.New("inside the log"))
	}
	// The size of what goes is only estimated: reading it back would cost more than it tells.
	share := float64(upper-lower+1) / float64(s.last-s.first+1)
	if err := s.db.DeleteRange(entryKey(lower), entryKey(upper+1)); err != nil {
		s.halt(err)
		return err
	}
	s.bytes -= int64(share * float64(s.bytes))
	s.cache.drop(lower, upper)
	switch {
	case lower == s.first && upper == s.last:
		s.first, s.last, s.lastTerm, s.bytes = 0, 0, 0, 0
	case lower == s.first:
		s.first = upper + 1
	default:
		s.last = lower - 1
		var l hraft.Log
		value, ok, err := s.db.Get(entryKey(s.last))
		if err == nil && ok {
			err = decodeEntry(entryKey(s.last), value, &l)
		}
		if err != nil {
			s.halt(err)
			return err
		}
		s.lastTerm = l.Term
	}
	return nil
}

// size tells the log's size and growth since the last snapshot, and its number of entries.
func (s *logStore) size() (bytes, grown int64, entries uint64) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.first != 0 {
		entries = s.last - s.first + 1
	}
	return s.bytes, s.grown, entries
}

// snapshotTaken begins to count the growth anew.
func (s *logStore) snapshotTaken() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.grown = 0
}

func stableKey(key []byte) []byte { return append([]byte{prefixStable}, key...) }

// Set implements raft.StableStore; synced.
func (s *logStore) Set(key, val []byte) error {
	var b kv.Batch
	b.Put(stableKey(key), val)
	if err := s.db.ApplySync(&b); err != nil {
		return s.stop(err)
	}
	return nil
}

// Get implements raft.StableStore.
func (s *logStore) Get(key []byte) ([]byte, error) {
	v, _, err := s.db.Get(stableKey(key))
	if err != nil {
		return nil, s.stop(err)
	}
	return v, nil
}

// SetUint64 implements raft.StableStore; synced.
func (s *logStore) SetUint64(key []byte, val uint64) error {
	return s.Set(key, binary.BigEndian.AppendUint64(nil, val))
}

// GetUint64 implements raft.StableStore.
func (s *logStore) GetUint64(key []byte) (uint64, error) {
	v, err := s.Get(key)
	if err != nil || len(v) == 0 {
		return 0, err
	}
	if len(v) != 8 {
		return 0, s.stop(honeyant.E("consensus.GetUint64", honeyant.Corrupt, string(key), nil))
	}
	return binary.BigEndian.Uint64(v), nil
}

func (s *logStore) close() error { return s.db.Close() }

// entryCache holds the newest entries up to a number of bytes, for followers and for the
// state machine, which would else read back what was just written. A run without gaps.
type entryCache struct {
	limit   int64
	bytes   int64
	start   uint64 // index of entries[0]
	entries []*hraft.Log
}

func entrySize(l *hraft.Log) int64 { return int64(len(l.Data)+len(l.Extensions)) + 128 }

func (c *entryCache) get(index uint64) *hraft.Log {
	if index < c.start || index-c.start >= uint64(len(c.entries)) {
		return nil
	}
	return c.entries[index-c.start]
}

func (c *entryCache) clear() { c.bytes, c.start, c.entries = 0, 0, nil }

func (c *entryCache) add(l *hraft.Log) {
	if len(c.entries) == 0 || l.Index != c.start+uint64(len(c.entries)) {
		c.clear()
		c.start = l.Index
	}
	kept := *l // l may be part of a proposal, which is not to be kept
	c.entries = append(c.entries, &kept)
	c.bytes += entrySize(l)
	for c.bytes > c.limit {
		c.bytes -= entrySize(c.entries[0])
		c.entries[0] = nil
		c.entries = c.entries[1:]
		c.start++
	}
}

// drop forgets lower..upper and, if that is a middle part, what comes before.
func (c *entryCache) drop(lower, upper uint64) {
	end := c.start + uint64(len(c.entries))
	switch {
	case len(c.entries) == 0 || upper < c.start || lower >= end:
	case upper+1 >= end && lower > c.start:
		for _, l := range c.entries[lower-c.start:] {
			c.bytes -= entrySize(l)
		}
		clear(c.entries[lower-c.start:])
		c.entries = c.entries[:lower-c.start]
	case upper+1 >= end:
		c.clear()
	default:
		for _, l := range c.entries[:upper+1-c.start] {
			c.bytes -= entrySize(l)
		}
		clear(c.entries[:upper+1-c.start])
		c.entries, c.start = c.entries[upper+1-c.start:], upper+1
	}
}
