package volume

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

// extentCache remembers what covers a file at one Version. Guarded by its inode's mu.
type extentCache struct {
	ext    []honeyant.Extent // ascending, not overlapping
	chunks map[honeyant.ChunkID]honeyant.ChunkRef
	known  []span // ascending, not touching: where ext tells all there is
}

func (c *extentCache) reset() { *c = extentCache{} }

// add takes in the answer for [from, until); extents may stand out on either side.
func (c *extentCache) add(from, until int64, ext []honeyant.Extent, refs []honeyant.ChunkRef) {
	if len(c.ext)+len(ext) > maxExtents {
		c.reset()
	}
	c.cut(from, until)
	inside := make([]honeyant.Extent, 0, len(ext))
	for i := range ext {
		if a, b := max(from, int64(ext[i].Offset)), min(until, int64(ext[i].End())); a < b {
			inside = append(inside, part(ext[i], a, b))
		}
	}
	c.join(inside, refs)
	c.cover(from, until)
}

// patch takes in extents that this volume committed itself.
func (c *extentCache) patch(ext []honeyant.Extent, refs []honeyant.ChunkRef) {
	if len(c.ext)+len(ext) > maxExtents {
		c.reset()
		return
	}
	for i := range ext {
		c.cut(int64(ext[i].Offset), int64(ext[i].End()))
		c.cover(int64(ext[i].Offset), int64(ext[i].End()))
	}
	c.join(ext, refs)
}

func (c *extentCache) join(ext []honeyant.Extent, refs []honeyant.ChunkRef) {
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
func (c *extentCache) after(off int64) int {
	return sort.Search(len(c.ext), func(i int) bool { return int64(c.ext[i].End()) > off })
}

// cut forgets the extents in [from, to), keeping what stands out on either side.
func (c *extentCache) cut(from, to int64) {
	i := c.after(from)
	j := i
	var keep []honeyant.Extent
	for ; j < len(c.ext) && int64(c.ext[j].Offset) < to; j++ {
		if e := c.ext[j]; int64(e.Offset) < from {
			keep = append(keep, part(e, int64(e.Offset), from))
		}
		if e := c.ext[j]; int64(e.End()) > to {
			keep = append(keep, part(e, to, int64(e.End())))
		}
	}
	if i < j {
		c.ext = slices.Replace(c.ext, i, j, keep...)
	}
}

// part is the piece [from, to) of e.
func part(e honeyant.Extent, from, to int64) honeyant.Extent {
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
func (c *extentCache) cover(from, to int64) {
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

// knownFrom tells up to where all is known from off on; off itself if nothing is.
func (c *extentCache) knownFrom(off int64) int64 {
	i := sort.Search(len(c.known), func(i int) bool { return c.known[i].to > off })
	if i < len(c.known) && c.known[i].from <= off {
		return c.known[i].to
	}
	return off
}

// piece is a part of a read: dst is to be filled from off of the chunk on.
type piece struct {
	dst []byte
	ref honeyant.ChunkRef
	off uint32
}

// resolve fills holes and inline bytes of the span into p, which stands for the file from base
// on, and appends the rest as pieces. The span must be known.
func (c *extentCache) resolve(p []byte, base int64, s span, pieces []piece) []piece {
	for i := c.after(s.from); s.from < s.to; i++ {
		if i == len(c.ext) || int64(c.ext[i].Offset) >= s.to {
			clear(p[s.from-base : s.to-base])
			break
		}
		e := &c.ext[i]
		if int64(e.Offset) > s.from {
			clear(p[s.from-base : int64(e.Offset)-base])
			s.from = int64(e.Offset)
		}
		upto := min(s.to, int64(e.End()))
		dst, skip := p[s.from-base:upto-base], s.from-int64(e.Offset)
		if e.Chunk.IsZero() {
			copy(dst, e.Inline[skip:])
		} else {
			pieces = append(pieces, piece{dst: dst, ref: c.chunks[e.Chunk], off: e.ChunkOffset + uint32(skip)})
		}
		s.from = upto
	}
	return pieces
}

// chunksOf appends the parts of chunks that the span needs. The span must be known.
func (c *extentCache) chunksOf(s span, parts []chunkPart) []chunkPart {
	for i := c.after(s.from); i < len(c.ext) && int64(c.ext[i].Offset) < s.to; i++ {
		e := &c.ext[i]
		if e.Chunk.IsZero() {
			continue
		}
		from, to := max(s.from, int64(e.Offset)), min(s.to, int64(e.End()))
		parts = append(parts, chunkPart{ref: c.chunks[e.Chunk], at: from, off: e.ChunkOffset + uint32(from-int64(e.Offset)), length: uint32(to - from)})
	}
	return parts
}
