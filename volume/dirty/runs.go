// Package dirty keeps the ranges of a file that programs wrote and nobody has stored yet.
package dirty

import (
	"slices"
	"sort"

	"github.com/honeyant/honeyant/volume/buffers"
)

// Run is a range of bytes that a program wrote: Buf.B[:N] belongs at Off.
type Run struct {
	Off int64
	N   int
	Buf *buffers.Buffer
}

// End is the offset after its last byte.
func (r *Run) End() int64 { return r.Off + int64(r.N) }

// Bytes are what was written, not copied.
func (r *Run) Bytes() []byte { return r.Buf.B[:r.N] }

// Full tells whether its buffer has no room left.
func (r *Run) Full() bool { return r.N == len(r.Buf.B) }

// Runs are dirty ranges, ascending and not overlapping. Not safe for concurrent use.
type Runs []*Run

// After is the index of the first run that ends after off.
func (rs Runs) After(off int64) int {
	return sort.Search(len(rs), func(i int) bool { return rs[i].End() > off })
}

// End is the end of the last run, 0 if there is none.
func (rs Runs) End() int64 {
	if len(rs) == 0 {
		return 0
	}
	return rs[len(rs)-1].End()
}

// Write puts as much of p as fits without another buffer: over bytes that are dirty already, or
// behind a run that ends at off and has room. It tells how many bytes it took, and how many of these are new.
func (rs Runs) Write(p []byte, off int64) (n, grown int) {
	i := rs.After(off)
	if i < len(rs) && rs[i].Off <= off {
		return copy(rs[i].Bytes()[off-rs[i].Off:], p), 0
	}
	if i == 0 || rs[i-1].End() != off || rs[i-1].Full() {
		return 0, 0
	}
	if i < len(rs) {
		p = p[:min(int64(len(p)), rs[i].Off-off)]
	}
	r := rs[i-1]
	n = copy(r.Buf.B[r.N:], p)
	r.N += n
	return n, n
}

// EndingAt is the run that ends at off, nil if there is none.
func (rs Runs) EndingAt(off int64) *Run {
	if i := rs.After(off); i > 0 && rs[i-1].End() == off {
		return rs[i-1]
	}
	return nil
}

// GapAt is how many bytes from off on are not dirty, at most limit; off itself must not be dirty.
func (rs Runs) GapAt(off, limit int64) int64 {
	if i := rs.After(off); i < len(rs) {
		return min(limit, rs[i].Off-off)
	}
	return limit
}

// Insert adds an empty or filled run that overlaps none.
func (rs Runs) Insert(r *Run) Runs {
	i := sort.Search(len(rs), func(i int) bool { return rs[i].Off > r.Off })
	return slices.Insert(rs, i, r)
}

// Cut drops what lies at or past size, gives the buffers that became free to put, and tells how many bytes went.
func (rs Runs) Cut(size int64, put func(*buffers.Buffer)) (left Runs, gone int64) {
	left = rs
	for len(left) > 0 {
		last := left[len(left)-1]
		if last.End() <= size {
			break
		}
		if last.Off < size {
			gone += last.End() - size
			last.N = int(size - last.Off)
			break
		}
		gone += int64(last.N)
		put(last.Buf)
		left[len(left)-1] = nil
		left = left[:len(left)-1]
	}
	return left, gone
}
