package chunk

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/disk"
)

// The defaults of Options, in bytes, and fixed numbers.
const (
	DefaultSegmentSize = 256 << 20
	DefaultReserveStep = 16 << 20
	DefaultStreams     = 16

	syncEvery    = 8 << 20 // bytes written to a segment before a sync is due (rule 37)
	reservePart  = 20      // one of so many parts of the capacity stays free
	recordsKept  = 1024    // parsed states kept in memory
	waitForPlace = 30 * time.Second
)

// Options of a store. The zero value means the defaults.
type Options struct {
	Capacity    int64        // bytes on disk, 0 = all the disk gives
	Log         *slog.Logger // nil: nothing is logged
	SegmentSize int64        // bytes, 0 = DefaultSegmentSize, less for a capacity below 4 GiB
	ReserveStep int64        // bytes, 0 = DefaultReserveStep, less for a capacity below 1 GiB
	Streams     int          // write buffers of 256 KiB, 0 = DefaultStreams; further writers write without one
	OnFailing   func(error)  // called once, without a lock held, when the store turns failing
}

// Validate names every fault.
func (o *Options) Validate() error {
	var faults []error
	if o.Capacity < 0 || o.Capacity > 0 && o.Capacity < 1<<20 {
		faults = append(faults, fmt.Errorf("capacity %d: want 0 or at least 1 MiB", o.Capacity))
	}
	if o.SegmentSize < 0 || o.SegmentSize%sectorSize != 0 || o.SegmentSize > (maxSector+1)*sectorSize || o.SegmentSize > 0 && o.SegmentSize < 64<<10 {
		faults = append(faults, fmt.Errorf("segment size %d: want a multiple of 4 KiB from 64 KiB to 64 GiB", o.SegmentSize))
	}
	if o.ReserveStep < 0 || o.ReserveStep%sectorSize != 0 {
		faults = append(faults, fmt.Errorf("reserve step %d: want a multiple of 4 KiB", o.ReserveStep))
	}
	if o.Streams < 0 {
		faults = append(faults, fmt.Errorf("streams %d: want at least 1", o.Streams))
	}
	if err := errors.Join(faults...); err != nil {
		return honeyant.E("chunk.Options", honeyant.Invalid, "", err)
	}
	return nil
}

func (o Options) withDefaults() Options {
	clamp := func(v, low, high int64) int64 { return min(max(v, low), high) &^ (sectorSize - 1) }
	share := func(parts, low, high int64) int64 {
		if o.Capacity == 0 {
			return high
		}
		return clamp(o.Capacity/parts, low, high)
	}
	if o.SegmentSize == 0 {
		o.SegmentSize = share(16, 32<<20, DefaultSegmentSize)
	}
	if o.ReserveStep == 0 {
		o.ReserveStep = share(64, 1<<20, DefaultReserveStep)
	}
	o.ReserveStep = min(o.ReserveStep, o.SegmentSize)
	if o.Streams == 0 {
		o.Streams = DefaultStreams
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// Store is the chunks in one directory. Safe for concurrent use.
type Store struct {
	fs      disk.FS
	options Options
	log     *slog.Logger
	lock    io.Closer
	wg      sync.WaitGroup
	slabs   chan *slab // bounded by Options.Streams; nil entries are not yet made
	frames  framePool
	cache   [recordsKept]atomic.Pointer[record]

	growToken  chan struct{} // held while segments are made or made longer
	identToken chan struct{} // held while STORE is written
	noReserve  atomic.Bool
	noPunch    atomic.Bool

	// mu guards the rest and what segment.go says.
	mu       sync.RWMutex
	ident    identity // its key never changes
	index    index
	segments map[uint64]*segment
	active   [classes]*segment
	next     uint64                             // number of the next segment
	busy     map[honeyant.ChunkID]chan struct{} // put or delete under way; closed at its end
	used     int64                              // sum of footprints, and of files not understood
	spare    int64                              // bytes reserved ahead
	failing  error
	readOnly error // set by Open only
	closed   bool
}

// Open locks the directory at which fs is rooted and brings the index up from what is in
// it; an empty directory becomes a new store. Kinds: Conflict (another process has it),
// Corrupt (it is no store any more), Invalid, and those of disk.
func Open(fs disk.FS, o Options) (*Store, error) {
	const op = "chunk.Open"
	if err := o.Validate(); err != nil {
		return nil, err
	}
	o = o.withDefaults()
	lock, err := fs.Lock("LOCK")
	if err != nil {
		return nil, honeyant.E(op, honeyant.Other, "", err)
	}
	s := &Store{
		fs: fs, options: o, log: o.Log, lock: lock,
		slabs: make(chan *slab, o.Streams), growToken: make(chan struct{}, 1), identToken: make(chan struct{}, 1),
		segments: map[uint64]*segment{}, busy: map[honeyant.ChunkID]chan struct{}{},
	}
	for range o.Streams {
		s.slabs <- nil
	}
	if err := s.load(); err != nil {
		for _, seg := range s.segments {
			seg.release()
		}
		return nil, errors.Join(honeyant.E(op, honeyant.Other, "", err), lock.Close())
	}
	return s, nil
}

func errClosed(op string) error {
	return honeyant.E(op, honeyant.Unavailable, "", errors.New("the store is closed"))
}

// mayChange is nil if the store takes changes; mu is held.
func (s *Store) mayChange(op string) error {
	switch {
	case s.closed:
		return errClosed(op)
	case s.failing != nil:
		return honeyant.E(op, honeyant.Unavailable, "", s.failing)
	case s.readOnly != nil:
		return honeyant.E(op, honeyant.Unsupported, "", s.readOnly)
	}
	return nil
}

// begin counts an operation that Close has to wait for; end it with wg.Done.
func (s *Store) begin(op string) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if err := s.mayChange(op); err != nil {
		return err
	}
	s.wg.Add(1)
	return nil
}

// enter is begin for what must be tidied up even if the store is failing.
func (s *Store) enter() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return false
	}
	s.wg.Add(1)
	return true
}

// Close waits for what is under way, writes sidecars so that the next Open is quick, and
// gives the directory free. Writers that are open lose their chunk. Twice is harmless.
func (s *Store) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	s.mu.Unlock()
	s.wg.Wait()
	var errs []error
	for _, seg := range s.sorted() {
		s.mu.Lock()
		seg.active, seg.writers = false, 0
		seal := !seg.broken && !seg.sidecar && s.readOnly == nil
		s.mu.Unlock()
		if seal {
			if err := s.retire(seg); err != nil {
				errs = append(errs, err)
			}
		}
		seg.release()
	}
	errs = append(errs, s.lock.Close())
	if err := errors.Join(errs...); err != nil {
		return honeyant.E("chunk.Close", honeyant.Other, "", err)
	}
	return nil
}

// Usage is the state of a store. Sizes are in bytes.
type Usage struct {
	Capacity    int64 // what it may hold at all
	Used        int64 // what its records occupy
	Available   int64 // what new chunks of any size may still take, the reserve kept
	Chunks      int
	Failing     bool
	ReadOnly    bool  // a newer version wrote here
	MemoryBytes int64 // index, parsed states and write buffers
}

// Usage tells how full the store is.
func (s *Store) Usage() Usage {
	free := s.diskFree()
	s.mu.RLock()
	defer s.mu.RUnlock()
	u := Usage{Capacity: s.capacity(free), Used: s.used, Chunks: s.index.count, Failing: s.failing != nil, ReadOnly: s.readOnly != nil}
	if !u.Failing && !u.ReadOnly {
		u.Available = max(0, limit(u.Capacity)-s.used-s.ahead())
	}
	u.MemoryBytes = s.index.bytes() + int64(s.options.Streams)*slabSize
	for i := range s.cache {
		if r := s.cache[i].Load(); r != nil {
			u.MemoryBytes += 80 + 4*int64(len(r.crcs))
		}
	}
	return u
}
