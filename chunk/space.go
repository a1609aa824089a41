package chunk

import (
	"errors"
	"fmt"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/disk"
)

// Records of a class share a segment: the sync of a small chunk need not wait for the
// bytes of a large one.
const (
	classSmall = iota
	classLarge
	classes

	smallChunk = 256 << 10 // bytes; up to here a chunk is small

	// fillStep is how much room for small chunks is filled with zeros at a time, in bytes. Syncing what makes a file longer, or
	// goes into room that is only reserved, takes the file system a transaction of its journal; into what is written already it takes the write
	// alone (ext4: 1.2 and 0.4 ms for 128 KiB). Large chunks take so long that it does not count.
	fillStep = 1 << 20
)

// zeros is what room is filled with.
var zeros [256 << 10]byte

// stepPart: no more than one part in so many of the room that is left is reserved ahead for one class, since the other one
// can not use it.
const stepPart = 8

// place is room for one record.
type place struct {
	seg     *segment
	sector  uint32
	sectors uint32
}

func (p place) offset() int64 { return int64(p.sector) * sectorSize }

// limit is how much of a capacity may be filled [C8].
func limit(capacity int64) int64 { return capacity - capacity/reservePart }

// capacity is the configured one, or what the disk gives if that is less; mu is held.
func (s *Store) capacity(free int64) int64 {
	reach := s.used + free
	if !s.noReserve.Load() {
		reach += s.spare // not in free any more
	}
	if s.options.Capacity == 0 || s.options.Capacity > reach {
		return reach
	}
	return s.options.Capacity
}

// ahead is what is reserved for chunks of one class, whichever has more: one of the other class can not have it; mu is held.
func (s *Store) ahead() (most int64) {
	for _, seg := range s.active {
		if seg != nil {
			most = max(most, int64(seg.allocated-seg.end)*sectorSize)
		}
	}
	return most
}

// diskFree is what the file system has left, 0 if it does not say.
func (s *Store) diskFree() int64 {
	space, err := s.fs.Space()
	if err != nil {
		s.log.Warn("free space unknown", "error", err)
		return 0
	}
	return space.Free
}

// reserve finds room for a record of n sectors and keeps its segment open; finish ends that.
func (s *Store) reserve(op string, n uint32) (place, error) {
	class := classLarge
	if int64(n)*sectorSize <= smallChunk {
		class = classSmall
	}
	for {
		s.mu.Lock()
		if err := s.mayChange(op); err != nil {
			s.mu.Unlock()
			return place{}, err
		}
		if p, ok := s.take(class, n); ok {
			s.mu.Unlock()
			return p, nil
		}
		s.wg.Add(1)
		s.mu.Unlock()
		err := s.grow(class, n)
		s.wg.Done()
		if err != nil {
			return place{}, honeyant.E(op, honeyant.Other, "", err)
		}
	}
}

// take gives out room that is already reserved on disk; mu is held.
func (s *Store) take(class int, n uint32) (place, bool) {
	seg := s.active[class]
	if seg == nil || seg.end+n > seg.allocated {
		return place{}, false
	}
	p := place{seg, seg.end, n}
	seg.end += n
	seg.writers++
	seg.acquire()
	s.used += int64(n) * sectorSize
	s.spare -= int64(n) * sectorSize
	return p, true
}

// grow reserves room for at least n more sectors of a class.
func (s *Store) grow(class int, n uint32) error {
	timeout := time.NewTimer(waitForPlace)
	defer timeout.Stop()
	select {
	case s.growToken <- struct{}{}:
		defer func() { <-s.growToken }()
	case <-timeout.C:
		return honeyant.E("chunk.Store", honeyant.Unavailable, "", fmt.Errorf("no space reserved within %v", waitForPlace))
	}
	free := s.diskFree()
	s.mu.RLock()
	seg := s.active[class]
	if seg != nil && seg.end+n <= seg.allocated {
		s.mu.RUnlock()
		return nil // somebody else did it meanwhile
	}
	room := limit(s.capacity(free)) - s.used - s.spare
	most := uint32(s.options.SegmentSize / sectorSize)
	roll := seg == nil || seg.end+n > most
	need, have := n+1, uint32(0)
	if !roll {
		need, have = seg.end+n-seg.allocated, seg.allocated
	}
	s.mu.RUnlock()

	if int64(need)*sectorSize > room {
		return honeyant.E("chunk.Store", honeyant.NoSpace, "", fmt.Errorf("want %d bytes, have %d", int64(need)*sectorSize, max(0, room)))
	}
	step := max(need, uint32(min(s.options.ReserveStep, room/stepPart)/sectorSize))
	step = min(step, most-have)
	fill := class == classSmall
	if fill {
		step = max(need, min(step, fillStep/sectorSize))
	}
	if !roll {
		return s.extend(seg, step, need, fill)
	}
	return s.roll(class, step, need, fill)
}

// reserveRoom reserves sectors of a segment for the records to come, and fills them if wanted; not synced.
func (s *Store) reserveRoom(f disk.File, sector, n uint32, fill bool) error {
	off, size := int64(sector)*sectorSize, int64(n)*sectorSize
	if err := s.reserveBlocks(f, off, size); err != nil || !fill {
		return err
	}
	for end := off + size; off < end; {
		n, err := f.WriteAt(zeros[:min(int64(len(zeros)), end-off)], off)
		if err != nil {
			return err
		}
		off += int64(n)
	}
	return nil
}

// extend makes the active segment's reservation longer by step sectors, at least by need.
func (s *Store) extend(seg *segment, step, need uint32, fill bool) error {
	// Only the holder of the token changes allocated while the segment is active.
	err := s.reserveRoom(seg.file, seg.allocated, step, fill)
	if errors.Is(err, honeyant.NoSpace) && step > need {
		step = need
		err = s.reserveRoom(seg.file, seg.allocated, step, fill)
	}
	if err != nil {
		return s.growError(seg, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	seg.allocated += step
	s.spare += int64(step) * sectorSize
	return nil
}

// growError turns all but a full disk into a failing store.
func (s *Store) growError(seg *segment, err error) error {
	if errors.Is(err, honeyant.NoSpace) {
		return err
	}
	return s.fail(seg, err)
}

// roll makes a new active segment; the old one is sealed when its last writer is done.
func (s *Store) roll(class int, step, need uint32, fill bool) error {
	s.mu.Lock()
	number := s.next
	s.next++
	s.mu.Unlock()
	if number > maxSegment {
		return honeyant.E("chunk.Store", honeyant.NoSpace, "", errors.New("segment numbers are used up"))
	}
	err := s.changeIdentity("chunk.Store", func(id *identity) (bool, error) {
		if number < id.floor {
			return false, nil
		}
		id.floor = min(number+floorStep, maxSegment)
		return true, nil
	})
	if err != nil {
		return err
	}
	seg, blame, err := s.createSegment(number, step, fill)
	if errors.Is(err, honeyant.NoSpace) && step > need {
		step = need
		seg, blame, err = s.createSegment(number, step, fill)
	}
	if blame {
		return s.fail(s.newSegment(number, 0, nil), err)
	}
	if err != nil {
		return err
	}
	s.mu.Lock()
	old := s.active[class]
	s.active[class] = seg
	s.segments[number] = seg
	s.used += seg.footprint()
	s.spare += int64(step-seg.end) * sectorSize
	if old != nil {
		old.active = false
	}
	s.mu.Unlock()
	if old != nil {
		s.settle(old)
	}
	return nil
}

// trim frees what of the place p lies beyond keep sectors. written tells whether anything of the
// record may be on disk already.
func (s *Store) trim(p *place, keep uint32, written bool) {
	s.mu.Lock()
	back := p.sectors - keep
	last := !written && p.seg.active && p.seg.end == p.sector+p.sectors
	if last {
		// Nobody knows of the room: give it out again.
		p.seg.end -= back
		s.used -= int64(back) * sectorSize
		s.spare += int64(back) * sectorSize
	}
	s.mu.Unlock()
	if !last {
		s.punch(p.seg, p.sector+keep, back)
	}
	p.sectors = keep
}

// finish ends a writer's hold on its place.
func (s *Store) finish(p place) {
	s.mu.Lock()
	p.seg.writers--
	s.mu.Unlock()
	s.settle(p.seg)
	p.seg.release()
}

// punch frees sectors of a segment that hold nothing and counts them. Where that can not be done the space comes
// back when the segment goes.
func (s *Store) punch(seg *segment, sector, n uint32) {
	if n == 0 || s.noPunch.Load() {
		return
	}
	err := seg.file.Punch(int64(sector)*sectorSize, int64(n)*sectorSize)
	if err != nil {
		if errors.Is(err, honeyant.Unsupported) {
			s.noPunch.Store(true)
		}
		s.log.Warn("space not freed: it comes back when the segment is empty", "segment", segmentName(seg.number), "error", err)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	seg.punched += int64(n) * sectorSize
	s.used -= int64(n) * sectorSize
}
