// Package extents remembers where the bytes of a file are.
package extents

import (
	"cmp"
	"slices"
	"sort"

	"github.com/honeyant/honeyant"
)

// maxExtents bounds the extents remembered per inode (about 60 bytes each).
const maxExtents = 8192

// span is a range of file offsets [from, to).
type span struct{ from, to int64 }

// Cache remembers what covers a file at one Version. Not safe for concurrent use.
type Cache struct {
	ext    []honeyant.Extent // ascending, not overlapping
	chunks map[honeyant.ChunkID]honeyant.ChunkRef
	known  []span // ascending, not touching: where ext tells all there is
}

// Reset forgets all.
func (c *Cache) Reset() { *c = Cache{} }

// Add takes in the answer for [from, until); extents may stand out on either side.
func (c *Cache) Add(from, until int64, ext []honeyant.Extent, refs []honeyant.ChunkRef) {
	if len(c.ext)+len(ext) > maxExtents {
		c.Reset()
	}
	c.cut(from, until)
	inside := make([]honeyant.Extent, 0, len(ext))
	for i := range ext {
		if a, b := max(from, int64(ext[i].Offset)), min(until, int64(ext[i].End())); a < b {
			inside = append(inside, Cut(ext[i], a, b))
		}
	}
	c.join(inside, refs)
	c.cover(from, until)
}

// Patch takes in extents that this volume committed itself.
func (c *Cache) Patch(ext []honeyant.Extent, refs []honeyant.ChunkRef) {
	if len(c.ext)+len(ext) > maxExtents {
		c.Reset()
		return
	}
	for i := range ext {
		c.cut(int64(ext[i].Offset), int64(ext[i].End()))
		c.cover(int64(ext[i].Offset), int64(ext[i].End()))
	}
	c.join(ext, refs)
}

func (c *Cache) join(ext []honeyant.Extent, refs []honeyant.ChunkRef) {
	if c.chunks == nil {
		c.chunks = make(map[honeyant.ChunkID]honeyant.ChunkRef, len(refs))
	}
	for _, r := range refs {
		c.chunks[r.ID] = r
	}
	if len(ext) == 0 {
		return
	}
	byOffset := func(a, b honeyant.Extent) int { return cmp.Compare(a.Offset, b.Offset) }
	if !slices.IsSortedFunc(ext, byOffset) {
		ext = slices.SortedFunc(slices.Values(ext), byOffset)
	}
	// From the end on, so that what is behind the last one moves once and what is before the first one not at all: a file written
	// here and there has thousands.
	old := len(c.ext)
	c.ext = slices.Grow(c.ext, len(ext))[:old+len(ext)]
	for to := len(c.ext); len(ext) > 0; {
		last := ext[len(ext)-1]
		from := sort.Search(old, func(i int) bool { return c.ext[i].Offset > last.Offset })
		to -= old - from
		copy(c.ext[to:], c.ext[from:old])
		to--
		c.ext[to], old, ext = last, from, ext[:len(ext)-1]
	}
}

// after is the index of the first extent that ends after off.
func (c *Cache) after(off int64) int {
	return sort.Search(len(c.ext), func(i int) bool { return int64(c.ext[i].End()) > off })
}

// cut forgets the extents in [from, to), keeping what stands out on either side.
func (c *Cache) cut(from, to int64) {
	i := c.after(from)
	j := i
	var keep []honeyant.Extent
	for ; j < len(c.ext) && int64(c.ext[j].Offset) < to; j++ {
		if e := c.ext[j]; int64(e.Offset) < from {
			keep = append(keep, Cut(e, int64(e.Offset), from))
		}
		if e := c.ext[j]; int64(e.End()) > to {
			keep = append(keep, Cut(e, to, int64(e.End())))
		}
	}
	if i < j {
		c.ext = slices.Replace(c.ext, i, j, keep...)
	}
}

// Cut is the piece [from, to) of e.
func Cut(e honeyant.Extent, from, to int64) honeyant.Extent {
	skip := from - int64(e.Offset)
	e.Offset, e.Length = uint64(from), uint32(to-from)
	if e.Chunk.IsZero() {
		e.Inline = e.Inline[skip : skip+to-from]
	} else {
		e.ChunkOffset += uint32(skip)
	}
	return e
}

// cover joins [from, to) to what is known.
func (c *Cache) cover(from, to int64) {
	if from >= to {
		return
	}
	i := sort.Search(len(c.known), func(i int) bool { return c.known[i].to >= from })
	j := i
	for ; j < len(c.known) && c.known[j].from <= to; j++ {
		from, to = min(from, c.known[j].from), max(to, c.known[j].to)
	}
	c.known = slices.Replace(c.known, i, j, span{from, to})
}

// KnownFrom tells up to where all is known from off on; off itself if nothing is.
func (c *Cache) KnownFrom(off int64) int64 {
	i := sort.Search(len(c.known), func(i int) bool { return c.known[i].to > off })
	if i < len(c.known) && c.known[i].from <= off {
		return c.known[i].to
	}
	return off
}

// At is the first extent that ends after off; ok false: there is none.
func (c *Cache) At(off int64) (e honeyant.Extent, ok bool) {
	if i := c.after(off); i < len(c.ext) {
		return c.ext[i], true
	}
	return e, false
}

// Piece is a part of a read: Dst is to be filled from Off of the chunk on.
type Piece struct {
	Dst []byte
	Ref honeyant.ChunkRef
	Off uint32
}

// Resolve fills holes and inline bytes of [from, to) into p, which stands for the file from base on, and appends the rest as
// pieces. All of it must be known.
func (c *Cache) Resolve(p []byte, base int64, from, to int64, pieces []Piece) []Piece {
	for i := c.after(from); from < to; i++ {
		if i == len(c.ext) || int64(c.ext[i].Offset) >= to {
			clear(p[from-base : to-base])
			break
		}
		e := &c.ext[i]
		if int64(e.Offset) > from {
			clear(p[from-base : int64(e.Offset)-base])
			from = int64(e.Offset)
		}
		upto := min(to, int64(e.End()))
		dst, skip := p[from-base:upto-base], from-int64(e.Offset)
		if e.Chunk.IsZero() {
			copy(dst, e.Inline[skip:])
		} else {
			pieces = append(pieces, Piece{Dst: dst, Ref: c.chunks[e.Chunk], Off: e.ChunkOffset + uint32(skip)})
		}
		from = upto
	}
	return pieces
}

// Part of a chunk that a range of a file needs.
type Part struct {
	Ref         honeyant.ChunkRef
	At          int64 // where in the file
	Off, Length uint32
}

// ChunksOf appends the parts of chunks that [from, to) needs. All of it must be known.
func (c *Cache) ChunksOf(from, to int64, parts []Part) []Part {
	for i := c.after(from); i < len(c.ext) && int64(c.ext[i].Offset) < to; i++ {
		e := &c.ext[i]
		if e.Chunk.IsZero() {
			continue
		}
		a, b := max(from, int64(e.Offset)), min(to, int64(e.End()))
		parts = append(parts, Part{Ref: c.chunks[e.Chunk], At: a, Off: e.ChunkOffset + uint32(a-int64(e.Offset)), Length: uint32(b - a)})
	}
	return parts
}
