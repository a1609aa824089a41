package chunk

import (
	"context"
	"errors"

	"github.com/honeyant/honeyant"
)

// Delete removes a chunk's record of that generation (0: any) and returns when it can not come back.
// Absent is nil; another generation is nil and nothing is done [C2]. A suspect record is removed too. Kinds: Unavailable
// (failing, closed, or ctx ended: then it may yet happen), Unsupported (read-only store).
func (s *Store) Delete(ctx context.Context, id honeyant.ChunkID, gen honeyant.Generation) error {
	const op = "chunk.Delete"
	if err := s.begin(op); err != nil {
		return err
	}
	if err := s.claim(ctx, op, id); err != nil {
		s.wg.Done()
		return err
	}
	return detached(ctx, op, id, func() error {
		defer s.wg.Done()
		defer s.unclaim(id)
		seg, rec, err := s.find(op, id, gen)
		switch {
		case errors.Is(err, honeyant.NotExist), errors.Is(err, honeyant.Stale):
			return nil
		case err != nil:
			return err
		}
		defer seg.release()
		if rec.id.IsZero() { // neither sector readable: the index vouches for the name
			named := *rec
			named.id = id
			rec = &named
		}
		if err := s.erase(rec); err != nil {
			return honeyant.E(op, honeyant.Other, id.String(), err)
		}
		return nil
	})
}

// erase makes the record dead for ever, then frees its body [C5]. The chunk is claimed.
func (s *Store) erase(rec *record) error {
	key := hashID(rec.id)
	s.mu.Lock()
	seg := s.segments[segmentOf(rec.gen)]
	if seg == nil || !s.index.remove(key, rec.gen) {
		s.mu.Unlock()
		return nil
	}
	seg.acquire()
	seg.erasing++
	seg.erased++
	s.mu.Unlock()
	defer seg.release()
	if err := s.markDead(seg, rec); err != nil {
		s.mu.Lock()
		seg.erasing--
		s.index.insert(key, rec.gen) // it may be alive: a later Delete must not say it is gone
		s.mu.Unlock()
		return err
	}
	if slot := &s.cache[cacheSlot(rec.gen)]; slot.Load() == rec {
		slot.CompareAndSwap(rec, nil)
	}
	body := rec.sectors - min(rec.sectors, metaSectors)
	if rec.status == live {
		body = sectorsFor(rec.sum.Length) // the rest was freed at commit
	}
	s.punch(seg, sectorOf(rec.gen)+metaSectors, body)
	s.mu.Lock()
	seg.live--
	seg.erasing--
	s.mu.Unlock()
	s.settle(seg)
	return nil
}

// markDead returns when the dead mark is on stable storage.
func (s *Store) markDead(seg *segment, rec *record) error {
	if err := s.dropSidecar(seg); err != nil {
		return err
	}
	mark := *rec
	mark.status, mark.sum, mark.crcs = dead, honeyant.ChunkSum{}, nil
	mark.sectors = max(mark.sectors, metaSectors)
	b := make([]byte, sectorSize)
	mark.encodeState(b, seg.seed)
	if _, err := seg.file.WriteAt(b, int64(sectorOf(rec.gen)+1)*sectorSize); err != nil {
		return s.writeError(seg, err)
	}
	return s.sync(seg)
}
