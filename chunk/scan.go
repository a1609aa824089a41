package chunk

import (
	"io"
)

const scanWindow = 256 << 10 // bytes read at once where records are small

// scanned is what a scan found in a segment.
type scanned struct {
	records []*record // in order of place; without their frame CRCs
	end     uint32    // first sector after the last record
	gaps    []gap     // runs of zero sectors between records
	future  bool      // something of a later version is in it
	holes   bool      // sectors could not be read: records may be missing
}

// gap is a run of sectors.
type gap struct{ sector, n uint32 }

// scan looks at every record of a segment [C4].
func (s *Store) scan(seg *segment) (*scanned, error) {
	size, err := seg.file.Size()
	if err != nil {
		return nil, err
	}
	return scanRecords(seg.file, size, seg.number, seg.seed), nil
}

// scanRecords hops from record to record by reserved length; where there is none it looks at the
// next sector. Sectors that can not be read count as no record, or as an unreadable state.
func scanRecords(r io.ReaderAt, size int64, number uint64, seed uint32) *scanned {
	w := window{r: r}
	out := &scanned{end: 1}
	total := uint32(min((size+sectorSize-1)/sectorSize, maxSector+1))
	var zero gap
	closeGap := func() {
		if zero.n > 0 {
			out.gaps = append(out.gaps, zero)
		}
		zero = gap{}
	}
	for at := uint32(1); at < total; {
		gen := generation(number, at)
		header, state := w.sector(at), w.sector(at+1)
		rec, ok := joinRecord(header, state, gen, seed)
		if !ok {
			switch {
			case header == nil:
				out.holes = true
				closeGap()
			case !isZero(header):
				closeGap()
			case zero.n == 0:
				zero = gap{at, 1}
			default:
				zero.n++
			}
			w.small = true
			at++
			continue
		}
		closeGap()
		rec.crcs = nil
		out.records = append(out.records, rec)
		out.future = out.future || rec.future
		w.small = rec.sectors*sectorSize < scanWindow/2
		at += rec.sectors
		out.end = at
	}
	return out // a gap at the end is the tail
}

// window reads a file in pieces, large ones while small holds.
type window struct {
	r     io.ReaderAt
	small bool
	bufs  [2][]byte // taken in turn: the sector handed out before stays valid
	buf   []byte
	off   int64
	n     int
}

// sector gives a sector, short of nothing: what lies past the end is zero. Nil if it can
// not be read. Valid until the call after the next.
func (w *window) sector(n uint32) []byte {
	off := int64(n) * sectorSize
	if off < w.off || off+sectorSize > w.off+int64(w.n) {
		w.fill(off)
	}
	if off < w.off || off+sectorSize > w.off+int64(w.n) {
		return nil
	}
	in := off - w.off
	return w.buf[in : in+sectorSize]
}

// fill reads from off on; a window that can not be read shrinks to the one sector.
func (w *window) fill(off int64) {
	want := metaSectors * sectorSize
	if w.small {
		want = scanWindow
	}
	w.bufs[0], w.bufs[1] = w.bufs[1], w.bufs[0]
	if len(w.bufs[0]) < want {
		w.bufs[0] = make([]byte, want)
	}
	next := w.bufs[0]
	for _, n := range []int{want, sectorSize} {
		got, err := readFull(w.r, next[:n], off)
		if err == nil {
			clear(next[got:n])
			w.buf, w.off, w.n = next, off, n
			return
		}
	}
	w.n = 0
}
