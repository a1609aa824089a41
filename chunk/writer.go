package chunk

import (
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/honeyant/honeyant"
)

const (
	slabBody = 256 << 10 // body bytes gathered for one write
	metaSize = metaSectors * sectorSize
	slabSize = metaSize + slabBody
)

// slab is a write buffer: room for header and state in front, so that a small chunk is one write.
type slab struct {
	buf  [slabSize]byte
	used int // bytes of body in it
}

// Writer takes one chunk. It belongs to one goroutine. It ends with Commit or Abort; Abort after
// Commit is harmless, so it may be deferred.
type Writer struct {
	store   *Store
	rec     record
	place   place
	most    uint32
	slab    *slab
	flushed uint32 // body bytes handed to the file
	length  uint32 // body bytes taken
	frame   uint32 // CRC of the frame being filled
	inFrame uint32 // bytes of it
	written bool   // header is on its way to the disk
	done    bool
	err     error // first fault; sticks
}

// Create begins a chunk of length bytes, exactly or at most, and reserves the room for it.
// Kinds: NoSpace (before any data are taken), Invalid (the zero ID), TooLarge, Unavailable (closed or
// failing), Unsupported (read-only store).
func (s *Store) Create(id honeyant.ChunkID, length uint32) (*Writer, error) {
	const op = "chunk.Create"
	if id.IsZero() {
		return nil, honeyant.E(op, honeyant.Invalid, "the zero chunk", nil)
	}
	sectors := metaSectors + sectorsFor(length)
	if length > MaxLength || int64(sectors+1)*sectorSize > s.options.SegmentSize {
		return nil, honeyant.E(op, honeyant.TooLarge, id.String(), fmt.Errorf("%d bytes", length))
	}
	p, err := s.reserve(op, sectors)
	if err != nil {
		return nil, err
	}
	return &Writer{
		store: s, place: p, most: length, frame: frameSeed(id, 0),
		rec: record{id: id, gen: generation(p.seg.number, p.sector), crcs: make([]uint32, 0, Frames(length))},
	}, nil
}

// Write appends bytes; they may be in a buffer until Commit. Kinds: TooLarge (more than Create
// was told), NoSpace, Unavailable. After an error only Abort is left.
func (w *Writer) Write(p []byte) (int, error) {
	if err := w.admit("chunk.Write", len(p)); err != nil {
		return 0, err
	}
	defer w.store.wg.Done()
	for rest := p; len(rest) > 0; {
		n := min(len(rest), honeyant.FrameSize-int(w.inFrame))
		w.frame = crc32.Update(w.frame, castagnoli, rest[:n])
		w.inFrame += uint32(n)
		if err := w.gather(rest[:n]); err != nil {
			return len(p) - len(rest), err
		}
		if w.inFrame == honeyant.FrameSize {
			w.endFrame()
		}
		rest = rest[n:]
	}
	return len(p), nil
}

// WriteFrame appends one frame whose CRC came with it: honeyant.FrameSize bytes, less only
// for the last. Kind Corrupt if data do not match crc; the others as Write.
func (w *Writer) WriteFrame(data []byte, crc uint32) error {
	const op = "chunk.WriteFrame"
	if err := w.admit(op, len(data)); err != nil {
		return err
	}
	defer w.store.wg.Done()
	if w.inFrame != 0 || len(data) == 0 || len(data) > honeyant.FrameSize {
		return w.stick(honeyant.E(op, honeyant.Invalid, w.rec.id.String(), fmt.Errorf("a frame of %d bytes at %d", len(data), w.length)))
	}
	w.frame = crc32.Update(w.frame, castagnoli, data)
	if w.frame != crc {
		return w.stick(corrupt(op, w.rec.id.String(), "frame %d does not match its checksum", len(w.rec.crcs)))
	}
	w.inFrame = uint32(len(data))
	if err := w.gather(data); err != nil {
		return err
	}
	if len(data) == honeyant.FrameSize {
		w.endFrame()
	}
	return nil
}

// admit refuses what can not be taken; after nil the caller owes a wg.Done.
func (w *Writer) admit(op string, n int) error {
	switch {
	case w.err != nil:
		return w.err
	case w.done:
		return honeyant.E(op, honeyant.BadHandle, w.rec.id.String(), errors.New("the writer has ended"))
	case uint64(w.length)+uint64(n) > uint64(w.most):
		return w.stick(honeyant.E(op, honeyant.TooLarge, w.rec.id.String(), fmt.Errorf("more than the %d bytes announced", w.most)))
	}
	return w.store.begin(op)
}

func (w *Writer) stick(err error) error {
	if err != nil {
		w.err = err
	}
	return err
}

func (w *Writer) endFrame() {
	w.rec.crcs = append(w.rec.crcs, w.frame)
	w.inFrame = 0
	w.frame = frameSeed(w.rec.id, uint32(len(w.rec.crcs)))
}

// gather moves bytes into the slab, and the slab to the file whenever it is full and more
// comes. Without a slab they go to the file at once: a writer never waits for the buffers that others hold, for
// those others may be waiting for a node that waits for us.
func (w *Writer) gather(p []byte) error {
	for len(p) > 0 {
		w.takeSlab()
		if w.slab == nil {
			return w.stick(w.direct(p))
		}
		if w.slab.used == slabBody {
			if err := w.flush(); err != nil {
				return w.stick(err)
			}
		}
		n := copy(w.slab.buf[metaSize+w.slab.used:], p)
		w.slab.used += n
		w.length += uint32(n)
		p = p[n:]
	}
	return nil
}

// takeSlab takes a write buffer if one is free: the pool never grows (rule 37).
func (w *Writer) takeSlab() {
	if w.slab != nil {
		return
	}
	select {
	case w.slab = <-w.store.slabs:
		if w.slab == nil {
			w.slab = new(slab)
		}
		w.slab.used = 0
	default:
	}
}

func (w *Writer) giveSlab() {
	if w.slab != nil {
		w.store.slabs <- w.slab // never blocks: it came from there
		w.slab = nil
	}
}

// direct writes body bytes without a slab.
func (w *Writer) direct(p []byte) error {
	if !w.written {
		if err := w.writeMeta(make([]byte, metaSize)); err != nil {
			return err
		}
	}
	w.length += uint32(len(p))
	at := w.place.offset() + metaSize + int64(w.flushed)
	w.flushed += uint32(len(p))
	return w.writeAt(p, at)
}

// flush writes the slab out, with the header before the first of the body.
func (w *Writer) flush() error {
	body := w.slab.buf[metaSize:][:w.slab.used]
	w.slab.used = 0
	if !w.written {
		w.flushed += uint32(len(body))
		return w.writeMeta(w.slab.buf[:metaSize+len(body)])
	}
	at := w.place.offset() + metaSize + int64(w.flushed)
	w.flushed += uint32(len(body))
	return w.writeAt(body, at)
}

// writeMeta writes header, state and the bytes of body that follow them in b.
func (w *Writer) writeMeta(b []byte) error {
	clear(b[:metaSize])
	w.rec.sectors, w.rec.most = w.place.sectors, w.most
	w.rec.encodeHeader(b[:sectorSize], w.place.seg.seed)
	if w.rec.status == live {
		w.rec.encodeState(b[sectorSize:metaSize], w.place.seg.seed)
	}
	w.written = true
	return w.writeAt(b, w.place.offset())
}

// writeAt writes to the segment, and syncs when much has gathered.
func (w *Writer) writeAt(p []byte, off int64) error {
	if len(p) == 0 {
		return nil
	}
	seg := w.place.seg
	if _, err := seg.file.WriteAt(p, off); err != nil {
		return w.store.writeError(seg, err)
	}
	seg.group.mu.Lock()
	seg.group.dirty += int64(len(p))
	due := seg.group.dirty >= syncEvery
	seg.group.mu.Unlock()
	if due {
		return w.store.sync(seg)
	}
	return nil
}

// writeError keeps a full disk apart from a broken one.
func (s *Store) writeError(seg *segment, err error) error {
	if errors.Is(err, honeyant.NoSpace) {
		return err
	}
	return s.fail(seg, err)
}

// Abort gives the chunk up and frees its room.
func (w *Writer) Abort() {
	if w.done {
		return
	}
	w.done = true
	if !w.store.enter() {
		w.giveSlab()
		w.place.seg.release()
		return
	}
	defer w.store.wg.Done()
	w.drop()
}

// drop frees the place: all of it, or what is behind header and state if they may be on disk.
func (w *Writer) drop() {
	w.giveSlab()
	keep := uint32(0)
	if w.written {
		keep = metaSectors
	}
	if w.written && w.rec.status == live {
		// The live state may have been written. Nobody was told, and a read would fail, but
		// the record is not to be listed after a restart if that can be helped.
		_, _ = w.place.seg.file.WriteAt(make([]byte, sectorSize), w.place.offset()+sectorSize)
	}
	w.store.trim(&w.place, keep, w.written)
	w.store.finish(w.place)
}
