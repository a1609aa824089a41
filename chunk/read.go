package chunk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/honeyant/honeyant"
)

// Info is what Stat and Bucket tell of a chunk.
type Info struct {
	ID         honeyant.ChunkID
	Generation honeyant.Generation
	Sum        honeyant.ChunkSum
	// Suspect: the record's state can not be read. Sum is unknown, reads answer Corrupt; whether it is
	// deleted is decided by who knows the other copies [8].
	Suspect bool
}

// claim makes the caller the only one to put or delete the chunk, until unclaim.
func (s *Store) claim(ctx context.Context, op string, id honeyant.ChunkID) error {
	for {
		s.mu.Lock()
		other := s.busy[id]
		if other == nil {
			s.busy[id] = make(chan struct{})
			s.mu.Unlock()
			return nil
		}
		s.mu.Unlock()
		select {
		case <-other:
		case <-ctx.Done():
			return honeyant.E(op, honeyant.Unavailable, id.String(), context.Cause(ctx))
		}
	}
}

func (s *Store) unclaim(id honeyant.ChunkID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.busy[id])
	delete(s.busy, id)
}

// find gives the record of a chunk and keeps its segment open; the caller releases it.
// Generation 0 means any. The record may be suspect.
func (s *Store) find(op string, id honeyant.ChunkID, gen honeyant.Generation) (*segment, *record, error) {
	key := hashID(id)
	var room [4]honeyant.Generation
	s.mu.RLock()
	if s.closed {
		s.mu.RUnlock()
		return nil, nil, errClosed(op)
	}
	found := s.index.generations(key, room[:0])
	s.mu.RUnlock()
	kind := honeyant.NotExist
	for _, g := range found {
		if gen != 0 && g != gen {
			kind = honeyant.Stale
			continue
		}
		seg, rec, err := s.record(g)
		if errors.Is(err, honeyant.NotExist) {
			continue // deleted meanwhile
		}
		if err != nil {
			return nil, nil, err
		}
		if rec.status == suspect && (rec.id.IsZero() || rec.id == id) || rec.status == live && rec.id == id {
			return seg, rec, nil
		}
		if rec.status != live && rec.status != suspect {
			s.forget(key, g, seg, rec)
		}
		seg.release()
	}
	return nil, nil, honeyant.E(op, kind, id.String(), nil)
}

// forget takes an entry out of the index that a sidecar listed and the record denies.
func (s *Store) forget(key uint64, gen honeyant.Generation, seg *segment, rec *record) {
	s.mu.Lock()
	gone := s.failing == nil && s.index.remove(key, gen) // failing: the denial may not be durable
	if gone {
		seg.live--
	}
	s.mu.Unlock()
	if gone {
		s.log.Warn("sidecar listed a chunk that is not there", "chunk", rec.id.String(), "segment", segmentName(seg.number))
		s.settle(seg)
	}
}

// record gives header and state of the record at gen, from memory if it can.
func (s *Store) record(gen honeyant.Generation) (*segment, *record, error) {
	s.mu.RLock()
	seg := s.segments[segmentOf(gen)]
	ok := seg != nil && seg.acquire()
	s.mu.RUnlock()
	if !ok {
		return nil, nil, honeyant.E("chunk.Store", honeyant.NotExist, "", nil)
	}
	if rec := s.cache[cacheSlot(gen)].Load(); rec != nil && rec.gen == gen {
		return seg, rec, nil
	}
	rec := seg.read(gen)
	if rec.status == live {
		s.remember(rec)
	}
	return seg, rec, nil
}

func cacheSlot(gen honeyant.Generation) int { return int(mix64(uint64(gen)) % recordsKept) }

func (s *Store) remember(rec *record) { s.cache[cacheSlot(rec.gen)].Store(rec) }

// read takes header and state from the file. What can not be read makes the record suspect.
func (seg *segment) read(gen honeyant.Generation) *record {
	b := make([]byte, metaSize)
	off := int64(sectorOf(gen)) * sectorSize
	header, state := b[:sectorSize], b[sectorSize:]
	if n, err := readFull(seg.file, b, off); err != nil || n < len(b) {
		// One bad sector must not hide the other.
		if n, err := readFull(seg.file, header, off); err != nil || n < sectorSize {
			header = nil
		}
		if n, err := readFull(seg.file, state, off+sectorSize); err != nil || n < sectorSize {
			state = nil
		}
	}
	rec, _ := joinRecord(header, state, gen, seg.seed)
	return rec
}

// Stat tells what the store has of a chunk; generation 0 means any. Kinds: NotExist; Stale
// (it is here under another generation); Corrupt (its state can not be read).
func (s *Store) Stat(id honeyant.ChunkID, gen honeyant.Generation) (Info, error) {
	const op = "chunk.Stat"
	seg, rec, err := s.find(op, id, gen)
	if err != nil {
		return Info{}, err
	}
	defer seg.release()
	if rec.status == suspect {
		return Info{}, corrupt(op, id.String(), "the record's state can not be read")
	}
	return Info{ID: id, Generation: rec.gen, Sum: rec.sum}, nil
}

// ReadAt reads bytes of a chunk from off on, verified; only the frames touched are read. Generation 0 means any.
// It returns fewer bytes than asked only at the chunk's end, then with io.EOF.
//
// Kinds: NotExist, Stale, Corrupt (a frame does not match, or the disk can not read it).
func (s *Store) ReadAt(id honeyant.ChunkID, gen honeyant.Generation, p []byte, off uint32) (int, error) {
	const op = "chunk.ReadAt"
	seg, rec, err := s.find(op, id, gen)
	if err != nil {
		return 0, err
	}
	defer seg.release()
	if rec.status == suspect {
		return 0, corrupt(op, id.String(), "the record's state can not be read")
	}
	if off >= rec.sum.Length {
		return 0, io.EOF
	}
	n := int(min(uint64(len(p)), uint64(rec.sum.Length-off)))
	if err := seg.readBody(rec, p[:n], off); err != nil {
		return 0, s.readError(op, id, gen, rec, err)
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// readError tells damage from a chunk that was deleted while it was read.
func (s *Store) readError(op string, id honeyant.ChunkID, gen honeyant.Generation, rec *record, err error) error {
	key := hashID(id)
	s.mu.RLock()
	here := s.index.has(key, rec.gen)
	other := len(s.index.generations(key, nil)) > 0
	s.mu.RUnlock()
	switch {
	case here:
		return honeyant.E(op, honeyant.Corrupt, id.String(), err)
	case other && gen != 0:
		return honeyant.E(op, honeyant.Stale, id.String(), nil)
	}
	return honeyant.E(op, honeyant.NotExist, id.String(), nil)
}

// framePool holds frames read for the sake of a part of them.
type framePool struct{ pool sync.Pool }

func (f *framePool) get() *[honeyant.FrameSize]byte {
	if b, ok := f.pool.Get().(*[honeyant.FrameSize]byte); ok {
		return b
	}
	return new([honeyant.FrameSize]byte)
}

func (f *framePool) put(b *[honeyant.FrameSize]byte) { f.pool.Put(b) }

// readBody fills p from off on. Frames wholly wanted are read in place, together; the
// first and last may need a frame of their own.
func (seg *segment) readBody(rec *record, p []byte, off uint32) error {
	for len(p) > 0 {
		frame := off / honeyant.FrameSize
		in := off % honeyant.FrameSize
		size := rec.frameSize(frame)
		if in == 0 && len(p) >= size {
			n := size
			for next := frame + 1; int(next) < len(rec.crcs) && n+rec.frameSize(next) <= len(p); next++ {
				n += rec.frameSize(next)
			}
			if err := seg.readFrames(rec, frame, p[:n]); err != nil {
				return err
			}
			p, off = p[n:], off+uint32(n)
			continue
		}
		b := seg.frames.get()
		err := seg.readFrames(rec, frame, b[:size])
		n := 0
		if err == nil {
			n = copy(p, b[in:size])
		}
		seg.frames.put(b)
		if err != nil {
			return err
		}
		p, off = p[n:], off+uint32(n)
	}
	return nil
}

// frameSize is the number of bytes of a frame.
func (r *record) frameSize(frame uint32) int {
	return int(min(honeyant.FrameSize, r.sum.Length-frame*honeyant.FrameSize))
}

// readFrames reads whole frames from first on into p and checks each.
func (seg *segment) readFrames(rec *record, first uint32, p []byte) error {
	n, err := readFull(seg.file, p, rec.bodyOffset()+int64(first)*honeyant.FrameSize)
	if err != nil {
		return err
	}
	if n < len(p) {
		return fmt.Errorf("the segment ends inside the record")
	}
	for frame := first; len(p) > 0; frame++ {
		size := min(len(p), honeyant.FrameSize)
		if FrameCRC(rec.id, frame, p[:size]) != rec.crcs[frame] {
			return fmt.Errorf("frame %d does not match its checksum", frame)
		}
		p = p[size:]
	}
	return nil
}

// FrameRange is what ReadFrames found.
type FrameRange struct {
	Generation honeyant.Generation
	Sum        honeyant.ChunkSum // of the whole chunk
	N          int               // bytes read
	CRCs       []uint32          // of the frames read; not to be changed
}

// ReadFrames reads whole frames from number first on into p, as many as there are and fit, and gives their CRCs so
// that who gets the bytes can check them again [36]. They are verified here too. At or past the end N is 0. Kinds as ReadAt;
// Invalid if p holds not even one frame (a last one may be short).
func (s *Store) ReadFrames(id honeyant.ChunkID, gen honeyant.Generation, first uint32, p []byte) (FrameRange, error) {
	const op = "chunk.ReadFrames"
	seg, rec, err := s.find(op, id, gen)
	if err != nil {
		return FrameRange{}, err
	}
	defer seg.release()
	if rec.status == suspect {
		return FrameRange{}, corrupt(op, id.String(), "the record's state can not be read")
	}
	r := FrameRange{Generation: rec.gen, Sum: rec.sum}
	if uint64(first) >= uint64(len(rec.crcs)) {
		return r, nil
	}
	last := first
	for int(last) < len(rec.crcs) && r.N+rec.frameSize(last) <= len(p) {
		r.N += rec.frameSize(last)
		last++
	}
	if r.N == 0 {
		return r, honeyant.E(op, honeyant.Invalid, id.String(), errors.New("the buffer is shorter than a frame"))
	}
	if err := seg.readFrames(rec, first, p[:r.N]); err != nil {
		return FrameRange{}, s.readError(op, id, gen, rec, err)
	}
	r.CRCs = rec.crcs[first:last:last]
	return r, nil
}

// Expect tells that frames from number first on, n of them, will be read soon, so that the disk can fetch them together.
// A hint: what is wrong is told by the read.
func (s *Store) Expect(id honeyant.ChunkID, gen honeyant.Generation, first, n uint32) {
	seg, rec, err := s.find("chunk.Expect", id, gen)
	if err != nil {
		return
	}
	defer seg.release()
	from := uint64(first) * honeyant.FrameSize
	to := min(from+uint64(n)*honeyant.FrameSize, uint64(rec.sum.Length))
	if rec.status == live && from < to {
		_ = seg.file.Expect(rec.bodyOffset()+int64(from), int64(to-from)) // see above
	}
}

// Verify reads a chunk back whole, from the disk as far as the kernel allows, and tells
// its sum. Kinds as ReadAt; Interrupted when ctx ends.
func (s *Store) Verify(ctx context.Context, id honeyant.ChunkID, gen honeyant.Generation) (honeyant.ChunkSum, error) {
	const op = "chunk.Verify"
	seg, rec, err := s.find(op, id, gen)
	if err != nil {
		return honeyant.ChunkSum{}, err
	}
	defer seg.release()
	// The state in memory must not vouch for the one on disk.
	_ = seg.file.DropCache(int64(sectorOf(rec.gen))*sectorSize, int64(rec.sectors)*sectorSize) // a hint
	if fresh := seg.read(rec.gen); fresh.status != live || fresh.id != id {
		return honeyant.ChunkSum{}, s.readError(op, id, gen, rec, errors.New("the record's state can not be read"))
	}
	if err := s.verify(ctx, op, seg, rec); err != nil {
		if honeyant.KindOf(err) == honeyant.Interrupted {
			return honeyant.ChunkSum{}, err
		}
		return honeyant.ChunkSum{}, s.readError(op, id, gen, rec, err)
	}
	return rec.sum, nil
}

func (s *Store) verify(ctx context.Context, op string, seg *segment, rec *record) error {
	b := seg.frames.get()
	defer seg.frames.put(b)
	for frame := range rec.crcs {
		if ctx.Err() != nil {
			return honeyant.E(op, honeyant.Interrupted, rec.id.String(), context.Cause(ctx))
		}
		if err := seg.readFrames(rec, uint32(frame), b[:rec.frameSize(uint32(frame))]); err != nil {
			return err
		}
	}
	return nil
}
