package volume

import (
	"slices"
	"sort"

	"github.com/honeyant/honeyant/volume/buffers"
)

// run is a range of bytes that a program wrote: buf.B[:n] belongs at off.
type run struct {
	off int64
	n   int
	buf *buffers.Buffer
}

func (r *run) end() int64    { return r.off + int64(r.n) }
func (r *run) bytes() []byte { return r.buf.B[:r.n] }
func (r *run) full() bool    { return r.n == len(r.buf.B) }

// runs are dirty ranges, ascending and not overlapping.
type runs []*run

// after is the index of the first run that ends after off.
func (rs runs) after(off int64) int {
	return sort.Search(len(rs), func(i int) bool { return rs[i].end() > off })
}

// end is the end of the last run, 0 if there is none.
func (rs runs) end() int64 {
	if len(rs) == 0 {
		return 0
	}
	return rs[len(rs)-1].end()
}

// write puts as much of p as fits without another buffer: over bytes that are dirty already, or
// behind a run that ends at off and has room. It tells how many bytes it took, and how many of these are new.
func (rs runs) write(p []byte, off int64) (n, grown int) {
	i := rs.after(off)
	if i < len(rs) && rs[i].off <= off {
		return copy(rs[i].bytes()[off-rs[i].off:], p), 0
	}
	if i == 0 || rs[i-1].end() != off || rs[i-1].full() {
		return 0, 0
	}
	if i < len(rs) {
		p = p[:min(int64(len(p)), rs[i].off-off)]
	}
	r := rs[i-1]
	n = copy(r.buf.B[r.n:], p)
	r.n += n
	return n, n
}

// endingAt is the run that ends at off, nil if there is none.
func (rs runs) endingAt(off int64) *run {
	if i := rs.after(off); i > 0 && rs[i-1].end() == off {
		return rs[i-1]
	}
	return nil
}

// gapAt is how many bytes from off on are not dirty, at most limit; off itself must not be dirty.
func (rs runs) gapAt(off, limit int64) int64 {
	if i := rs.after(off); i < len(rs) {
		return min(limit, rs[i].off-off)
	}
	return limit
}

// insert adds an empty or filled run that overlaps none.
func (rs runs) insert(r *run) runs {
	i := sort.Search(len(rs), func(i int) bool { return rs[i].off > r.off })
	return slices.Insert(rs, i, r)
}

// cut drops what lies at or past size, gives the buffers that became free to put, and tells how many bytes went.
func (rs runs) cut(size int64, put func(*buffers.Buffer)) (left runs, gone int64) {
	left = rs
	for len(left) > 0 {
		last := left[len(left)-1]
		if last.end() <= size {
			break
		}
		if last.off < size {
			gone += last.end() - size
			last.n = int(size - last.off)
			break
		}
		gone += int64(last.n)
		put(last.buf)
		left[len(left)-1] = nil
		left = left[:len(left)-1]
	}
	return left, gone
}

// span is a range of file offsets [from, to).
type span struct{ from, to int64 }

// copyOver puts the dirty bytes of the spans into p, which stands for the file from base on, and
// returns the spans that are left.
func (rs runs) copyOver(p []byte, base int64, spans []span) []span {
	if len(rs) == 0 || len(spans) == 0 {
		return spans
	}
	var left []span
	for _, s := range spans {
		for i := rs.after(s.from); i < len(rs) && rs[i].off < s.to; i++ {
			r := rs[i]
			if r.off > s.from {
				left = append(left, span{s.from, r.off})
				s.from = r.off
			}
			upto := min(s.to, r.end())
			copy(p[s.from-base:upto-base], r.bytes()[s.from-r.off:])
			s.from = upto
		}
		if s.from < s.to {
			left = append(left, s)
		}
	}
	return left
}
