package chunk

import (
	"encoding/binary"

	"github.com/honeyant/honeyant"
)

const (
	sidecarHeader = 64
	sidecarEntry  = 32
)

// sidecar is the content of an .idx file: what a sealed segment holds.
type sidecar struct {
	number  uint64
	salt    uint64
	end     uint32 // sectors
	punched int64  // bytes
	entries []sidecarRecord
}

// sidecarRecord is one live record.
type sidecarRecord struct {
	id      honeyant.ChunkID
	sector  uint32
	sectors uint32
	sum     honeyant.ChunkSum
}

func (x *sidecar) encode() []byte {
	b := make([]byte, sidecarHeader+sidecarEntry*len(x.entries))
	putPrefix(b, magicIndex)
	binary.BigEndian.PutUint64(b[16:], x.number)
	binary.BigEndian.PutUint64(b[24:], x.salt)
	binary.BigEndian.PutUint32(b[32:], x.end)
	binary.BigEndian.PutUint32(b[36:], uint32(len(x.entries)))
	binary.BigEndian.PutUint64(b[40:], uint64(x.punched))
	for i, e := range x.entries {
		p := b[sidecarHeader+sidecarEntry*i:]
		copy(p, e.id[:])
		binary.BigEndian.PutUint32(p[16:], e.sector)
		binary.BigEndian.PutUint32(p[20:], e.sectors)
		binary.BigEndian.PutUint32(p[24:], e.sum.Length)
		binary.BigEndian.PutUint32(p[28:], e.sum.CRC)
	}
	sealCRC(b, 0)
	return b
}

// decodeSidecar reads what encode wrote; false for anything else, including formats of later versions.
func decodeSidecar(b []byte) (sidecar, bool) {
	var x sidecar
	if len(b) < sidecarHeader || string(b[:8]) != magicIndex || !checkCRC(b, 0) || fromFuture(b) {
		return x, false
	}
	x.number = binary.BigEndian.Uint64(b[16:])
	x.salt = binary.BigEndian.Uint64(b[24:])
	x.end = binary.BigEndian.Uint32(b[32:])
	count := binary.BigEndian.Uint32(b[36:])
	x.punched = int64(binary.BigEndian.Uint64(b[40:]))
	if uint64(len(b)) != sidecarHeader+sidecarEntry*uint64(count) || x.end < 1 || x.end > maxSector+1 ||
		x.punched < 0 || x.punched > int64(x.end)*sectorSize {
		return x, false
	}
	x.entries = make([]sidecarRecord, count)
	least := uint32(1)
	for i := range x.entries {
		p := b[sidecarHeader+sidecarEntry*i:]
		e := &x.entries[i]
		copy(e.id[:], p)
		e.sector = binary.BigEndian.Uint32(p[16:])
		e.sectors = binary.BigEndian.Uint32(p[20:])
		e.sum.Length = binary.BigEndian.Uint32(p[24:])
		e.sum.CRC = binary.BigEndian.Uint32(p[28:])
		if e.id.IsZero() || e.sector < least || e.sectors < metaSectors || uint64(e.sector)+uint64(e.sectors) > uint64(x.end) {
			return x, false
		}
		least = e.sector + e.sectors
	}
	return x, true
}

// settle seals or unlinks a segment that takes no more records, in the background.
func (s *Store) settle(seg *segment) {
	s.mu.Lock()
	defer s.mu.Unlock()
	due := !seg.active && seg.writers == 0 && !seg.retiring && !seg.broken && (seg.live == 0 || !seg.sealed)
	if !due || s.closed || s.readOnly != nil || s.segments[seg.number] != seg {
		return
	}
	seg.retiring = true
	s.wg.Go(func() {
		if err := s.retire(seg); err != nil {
			// Sealing only makes the next start quick; what it could not sync is failing already.
			s.log.Warn("segment not sealed", "segment", segmentName(seg.number), "error", err)
		}
		s.mu.Lock()
		seg.retiring = false
		again := seg.live == 0
		s.mu.Unlock()
		if again {
			s.settle(seg)
		}
	})
}

// retire unlinks a segment without live records and seals one with.
func (s *Store) retire(seg *segment) error {
	s.mu.RLock()
	empty := seg.live == 0
	s.mu.RUnlock()
	if empty {
		return s.unlink(seg)
	}
	return s.seal(seg)
}

// unlink removes a segment and its sidecar.
func (s *Store) unlink(seg *segment) error {
	err := s.dropSidecar(seg)
	if err == nil {
		err = s.fs.Remove(segmentName(seg.number))
	}
	if err == nil {
		err = s.fs.SyncDir()
	}
	if err != nil {
		return s.fail(seg, err)
	}
	s.mu.Lock()
	delete(s.segments, seg.number)
	s.used -= seg.footprint()
	s.spare -= int64(seg.allocated-seg.end) * sectorSize
	s.mu.Unlock()
	seg.release()
	return nil
}

// seal cuts a segment to its end and writes its sidecar.
func (s *Store) seal(seg *segment) error {
	seg.sidecarToken <- struct{}{}
	defer func() { <-seg.sidecarToken }()
	s.mu.RLock()
	end := seg.end
	s.mu.RUnlock()
	if err := seg.file.Truncate(int64(end) * sectorSize); err != nil {
		return s.fail(seg, err)
	}
	s.mu.Lock()
	s.spare -= int64(seg.allocated-end) * sectorSize
	seg.allocated, seg.sealed = end, true
	s.mu.Unlock()
	if err := s.sync(seg); err != nil {
		return err
	}
	s.mu.RLock()
	erased := seg.erased
	s.mu.RUnlock()
	found, err := s.scan(seg)
	if err != nil {
		return err
	}
	return s.writeSidecar(seg, found, erased)
}

// writeSidecar needs the sidecar token. erased is seg.erased before the scan: a sidecar must not list what a
// delete under way is about to mark, nor hide it.
func (s *Store) writeSidecar(seg *segment, found *scanned, erased int) error {
	if found.future {
		return nil
	}
	s.mu.Lock()
	if seg.erasing > 0 || seg.erased != erased {
		s.mu.Unlock()
		return nil
	}
	x := sidecar{number: seg.number, salt: seg.salt, end: seg.end, punched: seg.punched}
	seg.sidecar = true
	s.mu.Unlock()
	for _, r := range found.records {
		if r.status == suspect {
			return nil // a sidecar would hide that its state can not be read
		}
		if r.status == live {
			x.entries = append(x.entries, sidecarRecord{r.id, sectorOf(r.gen), r.sectors, r.sum})
		}
	}
	name := sidecarName(seg.number)
	return replaceFile(s.fs, name+".tmp", name, x.encode())
}

// dropSidecar makes sure that no sidecar will be found after a crash. Once for each segment.
func (s *Store) dropSidecar(seg *segment) error {
	seg.sidecarToken <- struct{}{}
	defer func() { <-seg.sidecarToken }()
	s.mu.RLock()
	there := seg.sidecar
	s.mu.RUnlock()
	if !there {
		return nil
	}
	err := ignoreMissing(s.fs.Remove(sidecarName(seg.number)))
	if err == nil {
		err = s.fs.SyncDir()
	}
	if err != nil {
		return s.fail(seg, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	seg.sidecar = false
	return nil
}
