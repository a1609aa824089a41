package maintenance

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/internal/worker"
	"github.com/honeyant/honeyant/meta"
)

// reclaimer deletes the chunks that no extent refers to any more.
type reclaimer struct {
	s    *Service
	seen *sightings[corpse]
}

// corpse is what is noted of a dead chunk that waits.
type corpse struct {
	gone []honeyant.Replica // deleted already, while others could not be reached
}

const (
	reclaimPage = 1024
	// reclaimAtOnce chunks are deleted side by side: a delete waits for a sync, and the store does many in one.
	reclaimAtOnce = 16
	reclaimKept   = 1 << 16 // dead chunks remembered
)

// step goes through the dead chunks once and deletes those whose time has come.
func (r *reclaimer) step(ctx context.Context, p *worker.Pace) (bool, error) {
	m := r.s.o.Map()
	if m == nil {
		return false, nil
	}
	r.seen.begin()
	var deleted, left int
	list := &meta.ListChunks{Volume: r.s.o.Volume, Dead: true, Limit: reclaimPage}
	for {
		page, err := meta.Do(ctx, r.s.o.Meta, list)
		if err != nil {
			return false, err
		}
		due := r.note(m, page.Chunks)
		n, err := r.page(ctx, p, m, due)
		deleted, left = deleted+n, left+len(page.Chunks)-n
		if err != nil {
			return false, err
		}
		if page.EOF || len(page.Chunks) == 0 {
			break
		}
		list.After = page.Chunks[len(page.Chunks)-1].ID
	}
	r.seen.end()
	p.Count("deleted", uint64(deleted))
	p.Progress("dead chunks waiting", uint64(deleted), uint64(deleted+left))
	return false, nil
}

// note remembers dead chunks and answers those that are to be deleted now (J3).
func (r *reclaimer) note(m *honeyant.Map, chunks []meta.ChunkInfo) (due []meta.ChunkInfo) {
	now, delay := time.Now(), r.s.delay(m, r.s.o.DeadDelay)
	for _, c := range chunks {
		if one := r.seen.see(c.ID, now); one != nil && now.Sub(one.since) >= delay && one.notes.possible(m, &c) {
			due = append(due, c)
		}
	}
	return due
}

// possible tells whether something can be done: a replica that can be reached, or none left.
func (o *corpse) possible(m *honeyant.Map, c *meta.ChunkInfo) bool {
	waiting := false
	for _, rep := range c.Replicas {
		if slices.Contains(o.gone, rep.Replica) || storeGone(m, rep.Store) {
			continue
		}
		if m.StoreUp(rep.Store) {
			return true
		}
		waiting = true
	}
	return !waiting
}

func storeGone(m *honeyant.Map, id honeyant.StoreID) bool {
	s, known := m.Store(id)
	return !known || s.State == honeyant.StoreRemoved
}

// page deletes chunks, many at once, and answers how many are gone. One store that does not answer must not
// hold up the others: its chunks stay listed.
func (r *reclaimer) page(ctx context.Context, p *worker.Pace, m *honeyant.Map, due []meta.ChunkInfo) (int, error) {
	var gone atomic.Int64
	var mu sync.Mutex // guards r.seen
	for len(due) > 0 {
		batch := due[:min(len(due), 4*reclaimAtOnce)]
		due = due[len(batch):]
		var g errgroup.Group
		g.SetLimit(reclaimAtOnce)
		for i := range batch {
			c := &batch[i]
			mu.Lock()
			body := &r.seen.of[c.ID].notes
			mu.Unlock()
			g.Go(func() error {
				err := r.delete(ctx, m, c, body)
				if err != nil {
					if ctx.Err() == nil {
						r.s.o.Log.Debug("a dead chunk stays for now", "chunk", c.ID, "error", err)
					}
					return nil
				}
				gone.Add(1)
				mu.Lock()
				defer mu.Unlock()
				delete(r.seen.of, c.ID)
				return nil
			})
		}
		g.Wait()
		if err := ctx.Err(); err != nil {
			return int(gone.Load()), err
		}
		if err := p.Wait(ctx); err != nil {
			return int(gone.Load()), err
		}
	}
	return int(gone.Load()), nil
}

// delay shortens a time when space runs out (rule 25).
func (s *Service) delay(m *honeyant.Map, usual time.Duration) time.Duration {
	for _, st := range m.Stores {
		if st.State == honeyant.StoreActive && st.Capacity > 0 && st.Available < st.Capacity/20 {
			return usual / 10
		}
	}
	return usual
}

// delete removes all replicas of a dead chunk and then its record. A replica on a store that
// can not be reached keeps the record, so that it is deleted when the store is back.
func (r *reclaimer) delete(ctx context.Context, m *honeyant.Map, c *meta.ChunkInfo, body *corpse) error {
	ctx, cancel := r.s.step(ctx)
	defer cancel()
	var problems []error
	forget := &meta.ForgetChunk{Volume: r.s.o.Volume, Chunk: c.ID}
	for _, rep := range c.Replicas {
		switch {
		case slices.Contains(body.gone, rep.Replica), storeGone(m, rep.Store):
		case !m.StoreUp(rep.Store):
			problems = append(problems, honeyant.E("maintenance.reclaim", honeyant.Unavailable, rep.Store.String(), nil))
			continue
		default:
			if err := r.s.o.Chunks.Delete(ctx, rep.Store, c.ID, rep.Generation); err != nil {
				problems = append(problems, err)
				continue
			}
			body.gone = append(body.gone, rep.Replica)
		}
		forget.Deleted = append(forget.Deleted, rep.Replica)
	}
	if len(problems) > 0 {
		return errors.Join(problems...)
	}
	_, err := meta.Do(ctx, r.s.o.Meta, forget)
	return err
}
