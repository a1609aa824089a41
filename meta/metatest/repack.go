package metatest

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/meta"
)

// repack moves what is used of a few chunks into a new one, as the leader's reclaim does, with other operations
// between finding the extents and moving them. The model knows the bytes of the new chunk, so that a comparison
// finds any extent that was moved to the wrong place, or though it had changed.
func (h *history) repack() error {
	list, err := ask(h, &meta.ListChunks{Volume: h.Volume})
	if err != nil {
		return err
	}
	var chosen []honeyant.ChunkID
	for _, c := range list.Chunks {
		if c.Count > 0 && h.chance(4) && len(chosen) < 5 && c.PolicyAt == 0 {
			chosen = append(chosen, c.ID)
		}
	}
	if len(chosen) == 0 {
		return nil
	}
	found, err := h.find(chosen)
	if err != nil {
		return err
	}
	ref := h.chunk(1)
	moves, bytes := h.lay(found, chosen)
	if len(moves) == 0 {
		return fmt.Errorf("no extents refer to %v", chosen)
	}
	h.m.chunks[ref.ID] = bytes
	ref.Sum.Length = uint32(len(bytes))
	for range h.rng.IntN(4) {
		if err := h.step(h.next()); err != nil {
			return err
		}
	}
	for len(moves) > 0 {
		n := min(len(moves), 1+h.rng.IntN(200))
		if _, err := ask(h, &meta.Repack{Volume: h.Volume, Chunk: ref, Moves: moves[:n]}); honeyant.KindOf(err) == honeyant.Stale {
			return nil // the new chunk died meanwhile
		} else if err != nil {
			return err
		}
		moves = moves[n:]
	}
	return nil
}

// find lists the extents of chunks, in slices of random length.
func (h *history) find(chunks []honeyant.ChunkID) (found []meta.PlacedExtent, err error) {
	for o := (&meta.FindExtents{Volume: h.Volume, Chunks: chunks}); ; {
		o.Limit = uint32(1 + h.rng.IntN(300))
		r, err := ask(h, o)
		if err != nil {
			return nil, err
		}
		found = append(found, r.Found...)
		if r.EOF {
			return found, nil
		}
		o.From, o.Offset = r.Next, r.Offset
	}
}

// lay puts the bytes of extents behind each other, those that share some behind each other all the same.
func (h *history) lay(found []meta.PlacedExtent, chunks []honeyant.ChunkID) (moves []meta.Move, bytes []byte) {
	slices.SortFunc(found, func(a, b meta.PlacedExtent) int {
		return cmp.Or(cmp.Compare(slices.Index(chunks, a.Chunk), slices.Index(chunks, b.Chunk)), cmp.Compare(a.ChunkOffset, b.ChunkOffset))
	})
	for _, e := range found {
		moves = append(moves, meta.Move{PlacedExtent: e, To: uint32(len(bytes))})
		bytes = append(bytes, h.m.chunks[e.Chunk][e.ChunkOffset:e.ChunkOffset+e.Length]...)
	}
	return moves, bytes
}
