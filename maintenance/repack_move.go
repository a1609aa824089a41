package maintenance

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/internal/worker"
	"github.com/honeyant/honeyant/meta"
	"github.com/honeyant/honeyant/placement"
)

// repackSize bounds a new chunk and the memory for it: what is used of one sparse chunk always fits.
const repackSize = honeyant.ChunkSize / 2

// newPack is a chunk that is being put together.
type newPack struct {
	policy   honeyant.Policy
	policyAt honeyant.Ino
	data     []byte
	moves    []meta.Move
	from     []meta.ChunkInfo // whose bytes it has
}

// rewrite moves what is used of chunks, which have one policy, and tells how many are empty now.
func (r *repacker) rewrite(ctx context.Context, p *worker.Pace, m *honeyant.Map, batch []meta.ChunkInfo) (done int, err error) {
	batch, found, err := r.find(ctx, p, batch)
	if err != nil || len(batch) == 0 {
		return 0, err
	}
	all := 0
	for _, extents := range found {
		for _, e := range extents {
			all += int(e.Length)
		}
	}
	pack := &newPack{policy: batch[0].Policy, policyAt: batch[0].PolicyAt, data: make([]byte, 0, min(all, repackSize))}
	for i := range batch {
		c := &batch[i]
		extents := found[c.ID]
		parts := usedParts(extents)
		used := 0
		for _, part := range parts {
			used += int(part.to - part.from)
		}
		if used == 0 || 2*used > int(c.Sum.Length) { // gone meanwhile, or clones that share much
			r.rest(c.ID)
			continue
		}
		if len(pack.data)+used > repackSize {
			n, err := r.finish(ctx, m, pack)
			if done += n; err != nil {
				return done, err
			}
			if err := p.Wait(ctx); err != nil {
				return done, err
			}
		}
		if err := r.gather(ctx, m, pack, c, extents, parts); err != nil {
			if ctx.Err() != nil {
				return done, err
			}
			r.rest(c.ID)
			r.s.o.Log.Debug("a sparse chunk was not read", "chunk", c.ID, "error", err)
		}
	}
	n, err := r.finish(ctx, m, pack)
	return done + n, err
}

// find goes through all extents once and gathers those that refer to the chunks. If they are too many to remember, it
// goes on with fewer chunks, which it answers.
func (r *repacker) find(ctx context.Context, p *worker.Pace, batch []meta.ChunkInfo) ([]meta.ChunkInfo, map[honeyant.ChunkID][]meta.PlacedExtent, error) {
	scan := &meta.FindExtents{Volume: r.s.o.Volume}
	for _, c := range batch {
		scan.Chunks = append(scan.Chunks, c.ID)
	}
	found, n := map[honeyant.ChunkID][]meta.PlacedExtent{}, 0
	for {
		page, err := meta.Do(ctx, r.s.o.Meta, scan)
		if err != nil {
			return nil, nil, err
		}
		for _, e := range page.Found {
			found[e.Chunk] = append(found[e.Chunk], e)
		}
		for n += len(page.Found); n > repackExtents; {
			last := batch[len(batch)-1].ID
			n -= len(found[last])
			delete(found, last)
			if batch = batch[:len(batch)-1]; len(batch) == 0 {
				r.rest(last) // clones without number
			}
			scan.Chunks = scan.Chunks[:len(batch)]
		}
		if page.EOF || len(batch) == 0 {
			return batch, found, nil
		}
		scan.From, scan.Offset = page.Next, page.Offset
		if err := p.Wait(ctx); err != nil {
			return nil, nil, err
		}
	}
}

// part is a range of a chunk.
type part struct{ from, to uint32 }

// usedParts sorts extents of one chunk by where they lie in it, and joins them to the ranges that they use.
func usedParts(extents []meta.PlacedExtent) (parts []part) {
	slices.SortFunc(extents, func(a, b meta.PlacedExtent) int { return cmp.Compare(a.ChunkOffset, b.ChunkOffset) })
	for _, e := range extents {
		from, to := e.ChunkOffset, e.ChunkOffset+e.Length
		if n := len(parts); n > 0 && from <= parts[n-1].to {
			parts[n-1].to = max(parts[n-1].to, to)
		} else {
			parts = append(parts, part{from, to})
		}
	}
	return parts
}

// gather reads what is used of a chunk to the end of the pack. After an error the pack is as before.
func (r *repacker) gather(ctx context.Context, m *honeyant.Map, pack *newPack, c *meta.ChunkInfo, extents []meta.PlacedExtent, parts []part) error {
	ctx, cancel := r.s.step(ctx)
	defer cancel()
	v := judge(m, c)
	if v.lost() {
		return honeyant.E("maintenance.repack", honeyant.Unavailable, c.ID.String(), errors.New("no copy can be read now"))
	}
	ref := v.ref(c)
	begin := len(pack.data)
	moves := make([]meta.Move, 0, len(extents))
	for _, part := range parts {
		at := len(pack.data)
		pack.data = slices.Grow(pack.data, int(part.to-part.from))[:at+int(part.to-part.from)]
		if err := r.s.o.Data.Read(ctx, ref, pack.data[at:], part.from); err != nil {
			pack.data = pack.data[:begin]
			return err
		}
		for len(extents) > 0 && extents[0].ChunkOffset < part.to {
			moves = append(moves, meta.Move{PlacedExtent: extents[0], To: uint32(at) + extents[0].ChunkOffset - part.from})
			extents = extents[1:]
		}
	}
	pack.moves = append(pack.moves, moves...)
	pack.from = append(pack.from, *c)
	return nil
}

// finish stores a pack, commits it, and empties it for the next one. It tells how many chunks it has emptied.
func (r *repacker) finish(ctx context.Context, m *honeyant.Map, pack *newPack) (emptied int, err error) {
	defer func() { pack.data, pack.moves, pack.from = pack.data[:0], nil, nil }()
	if len(pack.moves) == 0 {
		return 0, nil
	}
	moved, err := r.move(ctx, m, pack)
	if err != nil {
		for _, c := range pack.from {
			r.rest(c.ID)
		}
		if ctx.Err() == nil {
			r.s.update(func(st *State) { st.Packs.Stuck = err.Error() })
		}
		return 0, err
	}
	freed := -int64(len(pack.data))
	for _, c := range pack.from {
		r.rest(c.ID) // what of it has changed meanwhile is looked at later
		freed += int64(c.Sum.Length)
	}
	r.s.update(func(st *State) {
		st.Packs.Stuck = ""
		if moved == len(pack.moves) {
			emptied = len(pack.from)
			st.Packs.Rewritten += uint64(emptied)
			st.Packs.Freed += uint64(max(0, freed))
		}
	})
	return emptied, nil
}

// move is one rewrite: the new chunk on the disks of as many nodes as the policy wants and read back there, then
// the extents, each compared and swapped by itself. Until then the old chunks are as they were, and afterwards they stay
// for DeadDelay: a crash anywhere in between loses nothing.
func (r *repacker) move(ctx context.Context, m *honeyant.Map, pack *newPack) (moved int, err error) {
	ctx, cancel := r.s.step(ctx)
	defer cancel()
	id, err := r.ids.new(ctx, r.s.o.Meta)
	if err != nil {
		return 0, err
	}
	r.setWriting(id)
	defer r.setWriting(honeyant.ChunkID{})
	ref, err := r.put(ctx, m, pack, id)
	if err != nil {
		return 0, errors.Join(err, r.giveUp(ctx, ref))
	}
	for left := pack.moves; len(left) > 0; {
		n := min(len(left), meta.MaxMoves)
		reply, err := meta.Do(ctx, r.s.o.Meta, &meta.Repack{Volume: r.s.o.Volume, Chunk: ref, PolicyAt: pack.policyAt, Moves: left[:n]})
		switch {
		case errors.Is(err, honeyant.Stale) && len(left) < len(pack.moves):
			return moved, nil // all that was moved has been deleted, and the new chunk with it
		case errors.Is(err, honeyant.Conflict) || errors.Is(err, honeyant.NoSpace):
			if len(left) == len(pack.moves) { // refused for certain: the chunk is nobody's, and never will be anybody's
				err = errors.Join(err, r.giveUp(ctx, ref))
			}
			return moved, err
		case err != nil: // it may be listed: then it lives; or not: then the inventory finds it
			return moved, err
		}
		moved += int(reply.Moved)
		left = left[n:]
	}
	return moved, nil
}

// put stores the pack, and reads it back.
func (r *repacker) put(ctx context.Context, m *honeyant.Map, pack *newPack, id honeyant.ChunkID) (honeyant.ChunkRef, error) {
	members := 0
	for _, n := range m.Nodes {
		if n.State != honeyant.NodeRemoved {
			members++
		}
	}
	copies, _ := pack.policy.Effective(members)
	o := placement.Options{Size: int64(len(pack.data)), Rand: rand.Uint64}
	targets, err := placement.Choose(m, pack.policy, copies, o)
	if err == nil && len(targets) < copies {
		err = honeyant.E("maintenance.repack", honeyant.NoSpace, "", fmt.Errorf("%d copies are wanted, and %d machines are up and have room", copies, len(targets)))
	}
	if err != nil {
		return honeyant.ChunkRef{}, err
	}
	ref, err := r.s.o.Data.Write(ctx, id, pack.data, targets, nil)
	if err != nil {
		return ref, err
	}
	if len(ref.Replicas) < copies {
		return ref, honeyant.E("maintenance.repack", honeyant.Unavailable, id.String(), fmt.Errorf("%d of %d stores took it", len(ref.Replicas), copies))
	}
	for _, rep := range ref.Replicas {
		sum, err := r.s.o.Chunks.Verify(ctx, rep.Store, id, rep.Generation)
		if err == nil && sum != ref.Sum {
			err = honeyant.E("maintenance.repack", honeyant.Corrupt, id.String(), fmt.Errorf("%v has sum %v, not %v", rep.Store, sum, ref.Sum))
		}
		if err != nil {
			return ref, err
		}
	}
	return ref, nil
}

// giveUp deletes the replicas of a chunk that will never be listed; what can not be reached the inventory finds.
func (r *repacker) giveUp(ctx context.Context, ref honeyant.ChunkRef) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), giveUpTimeout)
	defer cancel()
	var errs []error
	for _, rep := range ref.Replicas {
		if err := r.s.o.Chunks.Delete(ctx, rep.Store, ref.ID, rep.Generation); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
