package maintenance

import (
	"context"
	"fmt"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/internal/worker"
	"github.com/honeyant/honeyant/meta"
)

// add books what a chunk adds to the counts (sign 1), or what it added (-1).
func (st *State) add(m *honeyant.Map, t *tally, sign int64) {
	count := func(to *uint64, n int64) { *to = uint64(max(0, int64(*to)+sign*n)) }
	count(&st.Short, t.short)
	count(&st.Lost, t.lost)
	count(&st.Pending, t.pending)
	st.PendingBytes = max(0, st.PendingBytes+sign*t.bytes)
	if len(t.leaving) > 0 && st.Draining == nil {
		st.Draining = map[honeyant.NodeID]uint64{}
	}
	for _, id := range t.leaving {
		if s, ok := m.Store(id); ok {
			n := st.Draining[s.Node]
			count(&n, 1)
			st.Draining[s.Node] = n
		}
	}
}

// look sweeps the metadata if members or policies changed, judges every chunk, publishes the counts, and
// queues the most urgent work.
func (h *healer) look(ctx context.Context, m *honeyant.Map, p *worker.Pace) error {
	began := time.Now()
	members, policies, shape := membersOf(m), h.s.o.Policies(), shapeOf(m)
	if members != h.members || policies != h.policies {
		if err := h.sweep(ctx, p); err != nil {
			return err
		}
		began = time.Now()
	}
	if shape != h.shape {
		clear(h.later) // what stood in the way may be gone
	}
	h.queue, h.queued, h.overflow = nil, map[honeyant.ChunkID]bool{}, false
	st := State{Scanned: true, Draining: map[honeyant.NodeID]uint64{}}
	waiting := map[honeyant.StoreID]int{}
	for _, s := range m.Stores {
		if s.State == honeyant.StoreDraining {
			st.Draining[s.Node] += 0
		}
	}
	var found []task
	failed := map[honeyant.ChunkID]bool{}
	err := h.s.chunks(ctx, meta.ListChunks{}, func(c meta.ChunkInfo) error {
		v := judge(m, &c)
		t := task{c.ID, len(v.sources), v.tally(c.Sum.Length)}
		st.Total++
		st.add(m, &t.counts, 1)
		if !v.actionable() {
			for _, id := range v.leaving {
				if !m.StoreUp(id) && v.missing == 0 {
					waiting[id]++
				}
			}
			return nil
		}
		if r := h.later[c.ID]; r != nil {
			r.task, failed[c.ID] = t, true
			return nil
		}
		if found = append(found, t); len(found) >= healBatch {
			h.enqueue(found...)
			found = found[:0]
		}
		return nil
	})
	if err != nil {
		return err
	}
	h.enqueue(found...)
	for id := range h.later {
		if !failed[id] {
			delete(h.later, id) // it needs nothing any more
		}
	}
	for id, n := range waiting {
		s, _ := m.Store(id)
		st.waits = fmt.Sprintf("%d replicas on %s have their copies elsewhere, but %s is not up: they go when it is back, or with honeyant node remove %s", n, id, s.Node, s.Node)
	}
	h.members, h.policies, h.shape = members, policies, shape
	h.scanned, h.took = time.Now(), time.Since(began)
	h.s.update(func(cur *State) {
		st.Inventory, st.Packs = cur.Inventory, cur.Packs
		*cur = st
		h.tell(cur)
	})
	return nil
}

// sweep takes removed stores off the lists and sets the marks of short chunks right.
func (h *healer) sweep(ctx context.Context, p *worker.Pace) error {
	slice := &meta.SweepChunks{Volume: h.s.o.Volume}
	for seen := uint64(0); ; {
		r, err := meta.Do(ctx, h.s.o.Meta, slice)
		if err != nil {
			return err
		}
		seen += uint64(r.Seen)
		p.Progress("going through the chunks after a change of members or policies", seen, 0)
		if r.EOF || r.Seen == 0 {
			return nil
		}
		slice.After = r.Last
		if err := p.Wait(ctx); err != nil {
			return err
		}
	}
}

// lookShort looks only at some of the chunks that were committed, or reported, with too few copies.
func (h *healer) lookShort(ctx context.Context, m *honeyant.Map) error {
	counts, err := meta.Do(ctx, h.s.o.Meta, &meta.Counts{Volume: h.s.o.Volume})
	if err != nil {
		return err
	}
	h.s.update(func(st *State) { st.Total = counts.Chunks })
	if counts.Short == 0 {
		return nil
	}
	r, err := meta.Do(ctx, h.s.o.Meta, &meta.ListChunks{Volume: h.s.o.Volume, Short: true, After: h.after, Limit: shortAtOnce})
	if err != nil {
		return err
	}
	if h.after = (honeyant.ChunkID{}); !r.EOF && len(r.Chunks) > 0 {
		h.after = r.Chunks[len(r.Chunks)-1].ID
	}
	var found []task
	for i := range r.Chunks {
		c := &r.Chunks[i]
		if h.queued[c.ID] || h.later[c.ID] != nil {
			continue
		}
		if v := judge(m, c); v.actionable() {
			t := task{c.ID, len(v.sources), v.tally(c.Sum.Length)}
			found = append(found, t)
			if !h.overflow { // else it may be counted already
				h.s.update(func(st *State) { st.add(m, &t.counts, 1) })
			}
		}
	}
	h.enqueue(found...)
	return nil
}
