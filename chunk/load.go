package chunk

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/disk"
)

// load brings the store up from its directory; only Open calls it.
func (s *Store) load() error {
	names, err := s.fs.List()
	if err != nil {
		return err
	}
	var numbers []uint64
	sidecars := map[uint64]bool{}
	for _, name := range names {
		if number, ok := parseName(name, ".seg"); ok {
			numbers = append(numbers, number)
		} else if number, ok := parseName(name, ".idx"); ok {
			sidecars[number] = true
		} else if _, ok := parseName(strings.TrimSuffix(name, ".tmp"), ".idx"); ok || name == identityTemp {
			if err := s.fs.Remove(name); err != nil {
				return err
			}
		}
	}
	if s.ident, err = readIdentity(s.fs, len(numbers)); err != nil {
		return err
	}
	if s.ident.future {
		s.setReadOnly(identityName)
	}
	slices.Sort(numbers)
	s.next = s.ident.floor
	doubles := map[honeyant.ChunkID]bool{}
	for _, number := range numbers {
		s.next = max(s.next, number+1)
		if err := s.loadSegment(number, sidecars[number], doubles); err != nil {
			return err
		}
	}
	for id := range doubles {
		if err := s.settleDouble(id); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) setReadOnly(name string) {
	if s.readOnly == nil {
		s.readOnly = fmt.Errorf("%s was written by a later version", name)
		s.log.Error("store is read-only", "error", s.readOnly)
	}
}

// loadSegment brings up one segment, by its sidecar or by a scan.
func (s *Store) loadSegment(number uint64, hasSidecar bool, doubles map[honeyant.ChunkID]bool) error {
	name := segmentName(number)
	f, err := s.fs.Open(name)
	if err != nil {
		return err
	}
	size, err := f.Size()
	if err != nil {
		return err
	}
	first := make([]byte, sectorSize)
	n, err := readFull(f, first, 0)
	if err != nil {
		s.log.Error("segment header can not be read", "segment", name, "error", err)
	}
	header, ok := decodeSegmentHeader(first[:n])
	var hint sidecar
	if hasSidecar {
		var good bool
		hint, good = s.readSidecar(number)
		if good && !ok {
			s.log.Error("segment header is bad, its sidecar has the salt", "segment", name)
			header, ok = segmentHeader{key: s.ident.key, number: number, salt: hint.salt}, true
		}
		hasSidecar = good && hint.salt == header.salt
	}
	switch {
	case !ok && err == nil && size <= sectorSize:
		// Made, not yet synced: nothing in it was ever acknowledged.
		s.log.Info("segment never used: removed", "segment", name)
		if err := f.Close(); err != nil {
			return err
		}
		return s.fs.Remove(name)
	case !ok || header.key != s.ident.key || header.number != number:
		s.log.Error("file is no segment of this store: left alone", "segment", name, "bytes", size)
		s.used += size
		return f.Close()
	}
	seg := s.newSegment(number, header.salt, f)
	seg.sealed = true
	s.segments[number] = seg
	if header.future {
		s.setReadOnly(name)
	}
	if hasSidecar {
		s.adoptSidecar(seg, &hint, doubles)
		if seg.live == 0 && s.readOnly == nil {
			return s.unlink(seg)
		}
		return nil
	}
	return s.recover(seg, header.future, doubles)
}

// recover brings up a segment without a sidecar.
func (s *Store) recover(seg *segment, future bool, doubles map[honeyant.ChunkID]bool) error {
	// What a killed process left in the page cache is not durable, and what a failed sync left
	// there never will be: only what comes from the disk now counts.
	if err := s.sync(seg); err == nil {
		if err := seg.file.DropCache(0, 0); err != nil {
			s.log.Warn("page cache not dropped", "error", err)
		}
	}
	found, err := s.scan(seg)
	if err != nil {
		return err
	}
	future = future || found.future
	if future {
		s.setReadOnly(segmentName(seg.number))
	}
	s.adopt(seg, found, future, doubles)
	if found.holes {
		// What the disk does not show now may be there tomorrow: keep the file as it is [8].
		s.log.Error("segment can not be read whole: it is neither cut nor removed", "segment", segmentName(seg.number))
		s.mu.Lock()
		seg.broken = true
		s.mu.Unlock()
	}
	if future || seg.broken || s.readOnly != nil {
		return nil
	}
	if seg.live == 0 {
		return s.unlink(seg)
	}
	if err := seg.file.Truncate(int64(seg.end) * sectorSize); err != nil {
		return err
	}
	if err := s.writeSidecar(seg, found, seg.erased); err != nil {
		s.log.Warn("sidecar not written", "segment", segmentName(seg.number), "error", err) // a hint; the disk may be full
	}
	return nil
}

// readSidecar gives the sidecar of a segment if it is good.
func (s *Store) readSidecar(number uint64) (sidecar, bool) {
	b, err := readFile(s.fs, sidecarName(number), sidecarHeader+sidecarEntry*(maxSector/metaSectors))
	if err != nil {
		s.log.Warn("sidecar not read: the segment is scanned", "segment", segmentName(number), "error", err)
		return sidecar{}, false
	}
	x, ok := decodeSidecar(b)
	return x, ok && x.number == number
}

// readFile reads a whole file of at most so many bytes.
func readFile(fs disk.FS, name string, most int64) ([]byte, error) {
	f, err := fs.Open(name)
	if err != nil {
		return nil, err
	}
	size, err := f.Size()
	var b []byte
	if err == nil && size > most {
		err = fmt.Errorf("%d bytes, want at most %d", size, most)
	}
	if err == nil {
		b = make([]byte, size)
		var n int
		n, err = readFull(f, b, 0)
		b = b[:n]
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return b, err
}

// adoptSidecar enters what a sidecar lists.
func (s *Store) adoptSidecar(seg *segment, x *sidecar, doubles map[honeyant.ChunkID]bool) {
	seg.end, seg.allocated, seg.punched, seg.sidecar = x.end, x.end, x.punched, true
	s.used += seg.footprint()
	for _, e := range x.entries {
		s.enroll(seg, e.id, generation(seg.number, e.sector), doubles)
	}
}

// adopt enters what a scan found, and frees what no live record needs.
func (s *Store) adopt(seg *segment, found *scanned, future bool, doubles map[honeyant.ChunkID]bool) {
	seg.end, seg.allocated = found.end, found.end
	s.used += seg.footprint()
	free := func(sector, n uint32) {
		if !future {
			s.punch(seg, sector, n)
		}
	}
	for _, g := range found.gaps {
		free(g.sector, g.n)
	}
	for _, r := range found.records {
		body := uint32(0) // sectors of it that are needed
		switch r.status {
		case live:
			body = sectorsFor(r.sum.Length)
			s.enroll(seg, r.id, r.gen, doubles)
		case suspect:
			s.log.Error("record whose state can not be read", "chunk", r.id.String(), "segment", segmentName(seg.number))
			body = r.sectors - metaSectors
			s.enroll(seg, r.id, r.gen, doubles)
		}
		free(sectorOf(r.gen)+metaSectors+body, r.sectors-metaSectors-body)
	}
}

// enroll puts one record into the index and notes a chunk that is there twice.
func (s *Store) enroll(seg *segment, id honeyant.ChunkID, gen honeyant.Generation, doubles map[honeyant.ChunkID]bool) {
	key := hashID(id)
	var room [4]honeyant.Generation
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.index.generations(key, room[:0])) > 0 {
		doubles[id] = true
	}
	s.index.insert(key, gen)
	seg.live++
}

// settleDouble leaves one record of a chunk that has two: the newest that is whole.
func (s *Store) settleDouble(id honeyant.ChunkID) error {
	key := hashID(id)
	var mine []*record
	for _, gen := range s.index.generations(key, nil) {
		seg, rec, err := s.record(gen)
		if err != nil {
			return err
		}
		seg.release()
		if rec.id == id && (rec.status == live || rec.status == suspect) {
			mine = append(mine, rec)
		}
	}
	if len(mine) < 2 {
		return nil // another ID with the same hash, or a sidecar that was too old
	}
	slices.SortFunc(mine, func(a, b *record) int { return cmp.Compare(b.gen, a.gen) })
	best := slices.IndexFunc(mine, func(r *record) bool {
		seg := s.segments[segmentOf(r.gen)]
		return r.status == live && s.verify(context.Background(), "chunk.Open", seg, r) == nil
	})
	for i, r := range mine {
		switch {
		case i == max(best, 0):
		case best < 0 || s.readOnly != nil || s.failing != nil:
			s.mu.Lock()
			s.index.remove(key, r.gen) // hidden, not deleted: none of them is proven
			s.mu.Unlock()
		default:
			s.log.Warn("chunk was there twice: the other record is erased", "chunk", id.String())
			if err := s.erase(r); err != nil {
				return err
			}
		}
	}
	return nil
}
