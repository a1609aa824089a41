package extents

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/honeyant/honeyant"
)

// scattered are n extents of a page, one in each of n places, from first on.
func scattered(rng *rand.Rand, n int) (ext []honeyant.Extent, refs []honeyant.ChunkRef) {
	ref := honeyant.ChunkRef{ID: honeyant.ChunkID{1}}
	for i := range n {
		ext = append(ext, honeyant.Extent{Offset: rng.Uint64N(1<<16) * 4096, Length: 4096, Chunk: ref.ID, ChunkOffset: uint32(i * 4096)})
	}
	return ext, []honeyant.ChunkRef{ref}
}

// What is committed here and there, in any order, is remembered as a map of pages would.
func TestExtentsThatWereCommitted(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var c Cache
	pages := map[uint64]uint32{}
	for range 200 {
		ext, refs := scattered(rng, 1+rng.IntN(40))
		slices.SortFunc(ext, func(a, b honeyant.Extent) int { return int(a.Offset) - int(b.Offset) })
		ext = slices.CompactFunc(ext, func(a, b honeyant.Extent) bool { return a.Offset == b.Offset })
		if rng.IntN(2) == 0 {
			rng.Shuffle(len(ext), func(i, j int) { ext[i], ext[j] = ext[j], ext[i] })
		}
		c.Patch(ext, refs)
		for _, e := range ext {
			pages[e.Offset] = e.ChunkOffset
		}
	}
	if len(c.ext) != len(pages) {
		t.Fatalf("%d extents, want %d", len(c.ext), len(pages))
	}
	for i, e := range c.ext {
		if i > 0 && e.Offset < c.ext[i-1].End() {
			t.Fatalf("extent %d begins at %d, before the end of the one before it, %d", i, e.Offset, c.ext[i-1].End())
		}
		if at, ok := pages[e.Offset]; !ok || at != e.ChunkOffset {
			t.Fatalf("at %d: %d, want %d", e.Offset, e.ChunkOffset, at)
		}
	}
}

func BenchmarkExtentsCommitted(b *testing.B) {
	for _, n := range []int{100, 8000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			rng := rand.New(rand.NewPCG(1, 2))
			var c Cache
			for len(c.ext) < n-32 {
				c.Patch(scattered(rng, 1))
			}
			whole := slices.Clone(c.ext)
			known := slices.Clone(c.known)
			b.ResetTimer()
			for b.Loop() {
				ext, refs := scattered(rng, 32)
				c.Patch(ext, refs)
				c.ext, c.known = append(c.ext[:0], whole...), append(c.known[:0], known...)
			}
		})
	}
}
