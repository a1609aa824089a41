package maintenance

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/meta"
	"github.com/honeyant/honeyant/placement"
)

// mended is how it went with one chunk.
type mended struct {
	copied int64 // bytes
	counts tally // of the chunk as it is now
	err    error
}

const (
	mendTurns  = 8 // each adds or removes one replica
	addTargets = 3 // stores tried for one copy
)

// mend looks at one chunk afresh and does all that it needs: copies first, then drops.
func (h *healer) mend(ctx context.Context, id honeyant.ChunkID) (out mended) {
	for range mendTurns {
		r, err := meta.Do(ctx, h.s.o.Meta, &meta.GetChunk{Volume: h.s.o.Volume, Chunk: id})
		if errors.Is(err, honeyant.NotExist) || err == nil && r.Dead {
			return mended{copied: out.copied}
		}
		m := h.s.o.Map()
		if err == nil && m == nil {
			err = honeyant.E("maintenance.heal", honeyant.NotLeader, "", nil)
		}
		if err != nil {
			out.err = err
			return out
		}
		c := &r.Chunk
		v := judge(m, c)
		out.counts = v.tally(c.Sum.Length)
		switch {
		case !v.actionable() && v.missing == 0:
			return out
		case v.lost():
			err = h.revive(ctx, c, &v)
		case v.missing > 0:
			if err = h.add(ctx, c, &v); err == nil {
				out.copied += int64(c.Sum.Length)
			} else if errors.Is(err, honeyant.NoSpace) && len(v.bad) > 0 {
				// The damaged copy stands where its replacement should be.
				if h.drop(ctx, c, &v, v.bad[0]) == nil {
					err = nil
				}
			}
		case slices.ContainsFunc(v.dropping, func(r honeyant.Replica) bool { return v.reachable(r.Store) }):
			i := slices.IndexFunc(v.dropping, func(r honeyant.Replica) bool { return v.reachable(r.Store) })
			err = h.finishDrop(ctx, m, id, v.dropping[i])
		default:
			i := slices.IndexFunc(v.surplus, func(r honeyant.Replica) bool { return m.StoreUp(r.Store) })
			err = h.drop(ctx, c, &v, v.surplus[i])
		}
		if err != nil {
			out.err = err
			return out
		}
	}
	return out
}

// add makes one more replica (J1). A target that fails is given up for another one.
func (h *healer) add(ctx context.Context, c *meta.ChunkInfo, v *verdict) error {
	exclude := v.excluded()
	var failed error
	for range addTargets {
		targets, err := placement.Choose(v.m, c.Policy, 1, placement.Options{Exclude: exclude, Size: int64(c.Sum.Length), Rand: rand.Uint64})
		if errors.Is(err, honeyant.NoSpace) || err == nil && len(targets) == 0 {
			if failed != nil {
				return failed
			}
			return honeyant.E("maintenance.heal", honeyant.NoSpace, "", fmt.Errorf("chunks want %d copies on different machines, and no other machine that may take one is up and has room", v.wanted))
		}
		if err != nil {
			return err
		}
		err = h.copyTo(ctx, c, v, targets[0])
		switch {
		case err == nil, ctx.Err() != nil, errors.Is(err, honeyant.NotLeader), errors.Is(err, honeyant.Stale), errors.Is(err, honeyant.Corrupt):
			return err
		}
		failed = err
		exclude = append(exclude, targets[0])
	}
	return failed
}

// copyTo is one heal: intent, copy, end. A crash anywhere in between leaves an intent, which the next leader
// gives up, or a copy that nobody lists, which the inventory finds.
func (h *healer) copyTo(ctx context.Context, c *meta.ChunkInfo, v *verdict, target honeyant.StoreID) error {
	ctx, cancel := h.s.step(ctx)
	defer cancel()
	intent, err := meta.Do(ctx, h.s.o.Meta, &meta.HealBegin{Volume: h.s.o.Volume, Chunk: c.ID, Store: target})
	if err != nil {
		return err
	}
	end := &meta.HealEnd{Volume: h.s.o.Volume, Chunk: c.ID, Store: target, Intent: intent.Intent}
	gen, sum, copyErr := h.s.o.Chunks.Copy(ctx, v.ref(c), target)
	if copyErr == nil {
		end.Generation, end.Sum = gen, sum
	}
	// A failed copy gives its intent up (generation 0), even when the step's time is over.
	endCtx, cancelEnd := context.WithTimeout(context.WithoutCancel(ctx), giveUpTimeout)
	defer cancelEnd()
	_, err = meta.Do(endCtx, h.s.o.Meta, end)
	switch {
	case err == nil:
	case copyErr == nil && (errors.Is(err, honeyant.Stale) || errors.Is(err, honeyant.Corrupt)):
		// Refused for certain: this copy is nobody's, and never will be anybody's.
		h.intents.Store(true)
		err = errors.Join(err, h.s.o.Chunks.Delete(endCtx, target, c.ID, gen))
	default:
		h.intents.Store(true)
	}
	return errors.Join(copyErr, err)
}

// drop takes one surplus or damaged replica away, after reading the others back.
func (h *healer) drop(ctx context.Context, c *meta.ChunkInfo, v *verdict, victim honeyant.Replica) error {
	ctx, cancel := h.s.step(ctx)
	defer cancel()
	begin := &meta.DropBegin{Volume: h.s.o.Volume, Chunk: c.ID, Replica: victim}
	for _, r := range v.counting {
		if !v.m.StoreUp(r.Store) || r == victim {
			continue // metadata count only verified ones on stores that are up
		}
		sum, err := h.s.o.Chunks.Verify(ctx, r.Store, c.ID, r.Generation)
		if errors.Is(err, honeyant.Corrupt) || err == nil && sum != c.Sum {
			_, err = h.s.report(ctx, c.ID, r, err)
			return errors.Join(err, honeyant.E("maintenance.drop", honeyant.Corrupt, c.ID.String(), errors.New("another copy is damaged, and is replaced first")))
		}
		if err != nil {
			return err
		}
		begin.Verified = append(begin.Verified, r)
	}
	if _, err := meta.Do(ctx, h.s.o.Meta, begin); err != nil {
		return err
	}
	return h.finishDrop(ctx, v.m, c.ID, victim)
}

// finishDrop carries out a drop that is committed; safe to repeat.
func (h *healer) finishDrop(ctx context.Context, m *honeyant.Map, id honeyant.ChunkID, r honeyant.Replica) error {
	ctx, cancel := h.s.step(ctx)
	defer cancel()
	if s, known := m.Store(r.Store); known && s.State != honeyant.StoreRemoved {
		if err := h.s.o.Chunks.Delete(ctx, r.Store, id, r.Generation); err != nil {
			return err
		}
	}
	_, err := meta.Do(ctx, h.s.o.Meta, &meta.DropEnd{Volume: h.s.o.Volume, Chunk: id, Replica: r})
	return err
}

// revive reads the damaged replicas of a chunk that has no other once more: the fault may have been on the
// way, or in a disk that was replaced with its data.
func (h *healer) revive(ctx context.Context, c *meta.ChunkInfo, v *verdict) error {
	ctx, cancel := h.s.step(ctx)
	defer cancel()
	for _, r := range v.bad {
		if sum, err := h.s.o.Chunks.Verify(ctx, r.Store, c.ID, r.Generation); err == nil && sum == c.Sum {
			_, err := meta.Do(ctx, h.s.o.Meta, &meta.ReportBad{Volume: h.s.o.Volume, Chunk: c.ID, Replica: r, Good: true})
			return err
		}
	}
	return honeyant.E("maintenance.heal", honeyant.Corrupt, c.ID.String(), errors.New("all copies that can be reached are damaged"))
}
