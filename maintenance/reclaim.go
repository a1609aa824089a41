package maintenance

import (
	"context"
	"errors"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/internal/worker"
	"github.com/honeyant/honeyant/meta"
)

// reclaimer deletes the chunks that no extent refers to any more.
type reclaimer struct {
	s    *Service
	seen map[honeyant.ChunkID]time.Time // when this leader first saw them dead
}

// reclaimBatch is how many dead chunks one step looks at.
const reclaimBatch = 1024

func (r *reclaimer) step(ctx context.Context, p *worker.Pace) (bool, error) {
	m := r.s.o.Map()
	if m == nil {
		return false, nil
	}
	now := time.Now()
	deadAlive := make(map[honeyant.ChunkID]bool, len(r.seen))
	deleted, left := 0, 0
	err := r.s.chunks(ctx, meta.ListChunks{Dead: true, Limit: reclaimBatch}, func(c meta.ChunkInfo) error {
		deadAlive[c.ID] = true
		since, known := r.seen[c.ID]
		if !known {
			r.seen[c.ID] = now
			since = now
		}
		if now.Sub(since) < r.s.delay(m) {
			left++
			return nil
		}
		gone, err := r.delete(ctx, m, &c)
		if err != nil && ctx.Err() == nil {
			// One store that does not answer must not hold up the others; the chunk stays listed.
			r.s.o.Log.Debug("a dead chunk stays for now", "chunk", c.ID, "error", err)
			left++
		}
		if gone {
			deleted++
			delete(r.seen, c.ID)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		return p.Wait(ctx)
	})
	for id := range r.seen {
		if err == nil && !deadAlive[id] {
			delete(r.seen, id)
		}
	}
	p.Count("deleted", uint64(deleted))
	p.Progress("dead chunks waiting", uint64(deleted), uint64(deleted+left))
	return false, err
}

// delay shortens DeadDelay when space runs out (rule 25).
func (s *Service) delay(m *honeyant.Map) time.Duration {
	for _, st := range m.Stores {
		if st.State == honeyant.StoreActive && st.Capacity > 0 && st.Available < st.Capacity/20 {
			return s.o.DeadDelay / 10
		}
	}
	return s.o.DeadDelay
}

// delete removes all replicas of a dead chunk and then its record. A replica on a store that
// can not be reached keeps the record, so that it is deleted when the store is back.
func (r *reclaimer) delete(ctx context.Context, m *honeyant.Map, c *meta.ChunkInfo) (bool, error) {
	ctx, cancel := r.s.step(ctx)
	defer cancel()
	var problems []error
	forget := &meta.ForgetChunk{Volume: r.s.o.Volume, Chunk: c.ID}
	for _, rep := range c.Replicas {
		store, known := m.Store(rep.Store)
		if known && store.State != honeyant.StoreRemoved {
			if !m.StoreUp(rep.Store) {
				problems = append(problems, honeyant.E("maintenance.reclaim", honeyant.Unavailable, rep.Store.String(), nil))
				continue
			}
			if err := r.s.o.Chunks.Delete(ctx, rep.Store, c.ID, rep.Generation); err != nil {
				problems = append(problems, err)
				continue
			}
		}
		forget.Deleted = append(forget.Deleted, rep.Replica)
	}
	if len(problems) > 0 {
		return false, errors.Join(problems...)
	}
	_, err := meta.Do(ctx, r.s.o.Meta, forget)
	return err == nil, err
}
