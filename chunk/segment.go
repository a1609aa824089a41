package chunk

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/disk"
)

// segment is one segment file.
type segment struct {
	number uint64
	file   disk.File
	seed   uint32 // of record CRCs, from the salt
	salt   uint64
	frames *framePool
	refs   atomic.Int64 // one of the store and one per I/O under way; 0 closes the file

	// Guarded by Store.mu.
	end       uint32 // sectors given out
	allocated uint32 // sectors reserved on disk, >= end
	punched   int64  // bytes before end that are freed
	live      int    // records in the index
	writers   int    // places given out and not finished
	active    bool   // new places come from it
	broken    bool   // a write or sync failed, or parts can not be read: neither appended to, cut, sealed nor unlinked
	sealed    bool   // cut to its end, never appended to again
	sidecar   bool   // an .idx file may be there
	retiring  bool   // a goroutine seals or unlinks it
	erasing   int    // deletes under way
	erased    int    // deletes ever begun

	sidecarToken chan struct{} // held while the sidecar is written or removed
	group        syncGroup
}

// syncGroup is those who wait for the next sync of a segment.
type syncGroup struct {
	mu      sync.Mutex // guards the rest
	waiters []chan error
	running bool
	failed  error // of a write or sync; sticks
	dirty   int64 // bytes written since the last sync began
}

func segmentName(number uint64) string { return fmt.Sprintf("%012x.seg", number) }
func sidecarName(number uint64) string { return fmt.Sprintf("%012x.idx", number) }

// parseName reads what segmentName or sidecarName wrote.
func parseName(name, suffix string) (uint64, bool) {
	if len(name) != 12+len(suffix) || name[12:] != suffix {
		return 0, false
	}
	var number uint64
	for _, c := range name[:12] {
		switch {
		case c >= '0' && c <= '9':
			number = number<<4 | uint64(c-'0')
		case c >= 'a' && c <= 'f':
			number = number<<4 | uint64(c-'a'+10)
		default:
			return 0, false
		}
	}
	return number, number > 0 && number <= maxSegment
}

func (s *Store) newSegment(number, salt uint64, file disk.File) *segment {
	seg := &segment{number: number, salt: salt, seed: saltSeed(salt), file: file, frames: &s.frames, sidecarToken: make(chan struct{}, 1)}
	seg.refs.Store(1)
	return seg
}

// createSegment makes a segment with room for sectors, filled if wanted; on stable storage when it returns. blame tells an error
// that makes the store failing from one that leaves it as it was (a full disk, no file to be had).
func (s *Store) createSegment(number uint64, sectors uint32, fill bool) (seg *segment, blame bool, err error) {
	var salt [8]byte
	_, _ = rand.Read(salt[:]) // never fails
	h := segmentHeader{key: s.ident.key, number: number, salt: binary.BigEndian.Uint64(salt[:])}
	name := segmentName(number)
	f, err := s.fs.Create(name)
	if err != nil {
		return nil, false, err
	}
	if err = s.reserveRoom(f, 0, sectors, fill); err == nil {
		_, err = f.WriteAt(h.encode(), 0)
	}
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = s.fs.SyncDir()
	}
	if err != nil {
		blame = !errors.Is(err, honeyant.NoSpace)
		if left := errors.Join(f.Close(), s.fs.Remove(name)); left != nil {
			s.log.Warn("unused segment stays until the next start", "segment", name, "error", left)
		}
		return nil, blame, err
	}
	seg = s.newSegment(number, h.salt, f)
	seg.end, seg.allocated, seg.active = 1, sectors, true
	return seg, false, nil
}

// reserveBlocks is Reserve where the file system can do it, and nothing elsewhere.
func (s *Store) reserveBlocks(f disk.File, off, n int64) error {
	if s.noReserve.Load() {
		return nil
	}
	err := f.Reserve(off, n)
	if errors.Is(err, honeyant.Unsupported) {
		s.noReserve.Store(true)
		s.log.Warn("the file system can not reserve space: a full disk shows only while writing")
		return nil
	}
	return err
}

// acquire keeps the file open until release; false if the segment is gone.
func (seg *segment) acquire() bool {
	for {
		n := seg.refs.Load()
		if n == 0 {
			return false
		}
		if seg.refs.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// release gives acquire back. The error of closing a file that was synced or is gone says nothing.
func (seg *segment) release() {
	if seg.refs.Add(-1) == 0 {
		_ = seg.file.Close()
	}
}

// footprint is what it occupies without what is reserved ahead, in bytes; Store.mu.
func (seg *segment) footprint() int64 { return int64(seg.end)*sectorSize - seg.punched }

// sync returns when everything written to the segment before the call is on stable
// storage. All who wait meanwhile share the next fdatasync [C1].
func (s *Store) sync(seg *segment) error {
	wait := make(chan error, 1)
	seg.group.mu.Lock()
	if seg.group.failed != nil {
		defer seg.group.mu.Unlock()
		return seg.group.failed
	}
	seg.group.waiters = append(seg.group.waiters, wait)
	run := !seg.group.running
	seg.group.running = true
	seg.group.mu.Unlock()
	if run {
		s.syncRound(seg)
	}
	return <-wait
}

// syncRound syncs for those that wait now. If others came meanwhile a goroutine goes on, so
// that nobody waits for more than its own round.
func (s *Store) syncRound(seg *segment) {
	seg.group.mu.Lock()
	batch, failed := seg.group.waiters, seg.group.failed
	seg.group.waiters, seg.group.dirty = nil, 0
	seg.group.mu.Unlock()
	if failed == nil {
		if err := seg.file.Sync(); err != nil {
			failed = s.fail(seg, err)
		}
	}
	for _, w := range batch {
		w <- failed
	}
	seg.group.mu.Lock()
	more := len(seg.group.waiters) > 0
	seg.group.running = more
	seg.group.mu.Unlock()
	if more {
		s.wg.Go(func() { s.syncRound(seg) })
	}
}

// fail records that I/O on the segment went wrong: it takes no more, the store is failing
// [C6]. It returns the error that callers are to get.
func (s *Store) fail(seg *segment, cause error) error {
	err := honeyant.E("chunk.Store", honeyant.Unavailable, segmentName(seg.number), fmt.Errorf("the store is failing: %w", cause))
	seg.group.mu.Lock()
	if seg.group.failed == nil {
		seg.group.failed = err
	}
	seg.group.mu.Unlock()
	s.mu.Lock()
	seg.broken = true
	first := s.failing == nil
	if first {
		s.failing = err
	}
	for class, a := range s.active {
		if a == seg {
			s.active[class] = nil
			seg.active = false
		}
	}
	s.mu.Unlock()
	if first {
		s.log.Error("store is failing", "segment", segmentName(seg.number), "error", cause)
		if s.options.OnFailing != nil {
			s.options.OnFailing(err)
		}
	}
	return err
}

// readFull reads len(p) bytes at off, fewer only at the end of the file, which is no error.
func readFull(r io.ReaderAt, p []byte, off int64) (int, error) {
	n, err := r.ReadAt(p, off)
	if err == io.EOF {
		err = nil
	}
	return n, err
}
