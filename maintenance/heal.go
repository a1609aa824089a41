package maintenance

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/internal/worker"
	"github.com/honeyant/honeyant/meta"
	"github.com/honeyant/honeyant/placement"
)

const (
	healBatch    = 4096            // most chunks remembered from one scan
	healParallel = 3               // chunks worked on at once: enough to hide latency, few enough to stay gentle
	healAgain    = 5 * time.Minute // scan everything this often even if nothing seems to have changed
	healRetry    = 5 * time.Second // after a scan that left work which could not be done
)

// healer makes every chunk have the replicas its policy wants, no fewer and no more.
type healer struct {
	s       *Service
	rescan  atomic.Bool
	shape   string    // what of the map the last scan depended on
	scanned time.Time // when it ended
	rate    float64   // bytes per second of the last copies
}

func newHealer(s *Service) *healer {
	h := &healer{s: s}
	h.rescan.Store(true)
	return h
}

// task is one chunk that needs work, with how many copies it has.
type task struct {
	id      honeyant.ChunkID
	copies  int
	length  uint32
	missing int
}

// step is one round: look, then work on what was found, fewest copies first (J2).
func (h *healer) step(ctx context.Context, p *worker.Pace) (bool, error) {
	m := h.s.o.Map()
	if m == nil {
		return false, nil
	}
	full := h.rescan.Swap(false) || shapeOf(m) != h.shape || time.Since(h.scanned) > healAgain
	var tasks []task
	var more bool
	var err error
	if full {
		h.shape = shapeOf(m)
		tasks, more, err = h.scanAll(ctx, m)
		h.scanned = time.Now()
	} else {
		tasks, more, err = h.scanShort(ctx, m)
	}
	if err != nil {
		h.rescan.Store(true)
		return false, err
	}
	done, left, stuck, err := h.work(ctx, p, tasks)
	h.s.update(func(st *State) { st.Stuck, st.Pending = stuck, left })
	if full && len(tasks) > 0 || more {
		// Look again: what was done changed the counts, and there may be more than fits a batch.
		h.rescan.Store(true)
	}
	if done == 0 && len(tasks) > 0 {
		// Nothing could be done now; do not turn in circles.
		select {
		case <-ctx.Done():
		case <-time.After(healRetry):
		}
	}
	return more && done > 0, err
}

// shapeOf is what judge depends on: states, not sizes.
func shapeOf(m *honeyant.Map) string {
	s := ""
	for _, n := range m.Nodes {
		s += fmt.Sprintf("%d:%d ", n.ID, n.State)
	}
	for _, st := range m.Stores {
		s += fmt.Sprintf("%d/%d:%d ", st.ID, st.Node, st.State)
	}
	return s
}

// scanAll judges every chunk, publishes the counts, and answers the most urgent work.
func (h *healer) scanAll(ctx context.Context, m *honeyant.Map) ([]task, bool, error) {
	var st State
	var tasks []task
	var bytes int64
	overflow := false
	st.Draining = map[honeyant.NodeID]uint64{}
	for _, s := range m.Stores {
		if s.State == honeyant.StoreDraining {
			st.Draining[s.Node] += 0
		}
	}
	err := h.s.chunks(ctx, meta.ListChunks{}, func(c meta.ChunkInfo) error {
		v := judge(m, &c)
		st.Total++
		if v.short() {
			st.Short++
		}
		if v.lost() {
			st.Lost++
		}
		st.Pending += uint64(v.missing)
		bytes += int64(v.missing) * int64(c.Sum.Length)
		for _, r := range c.Replicas {
			if s, ok := m.Store(r.Store); ok && s.State == honeyant.StoreDraining {
				st.Draining[s.Node]++
			}
		}
		if v.missing == 0 && len(v.surplus) == 0 && len(v.dropping) == 0 {
			return nil
		}
		tasks = append(tasks, task{id: c.ID, copies: len(v.sources), length: c.Sum.Length, missing: v.missing})
		if len(tasks) >= 2*healBatch {
			tasks, overflow = urgent(tasks), true
		}
		return nil
	})
	if err != nil {
		return nil, false, err
	}
	if h.rate > 0 {
		st.ETA = time.Duration(float64(bytes) / h.rate * float64(time.Second))
	}
	h.s.update(func(cur *State) {
		st.Scanned, st.Stuck, st.Inventory = true, cur.Stuck, cur.Inventory
		*cur = st
	})
	tasks = urgent(tasks)
	return tasks, overflow, nil
}

// scanShort looks only at chunks that were committed or left with too few copies.
func (h *healer) scanShort(ctx context.Context, m *honeyant.Map) (tasks []task, more bool, err error) {
	r, err := meta.Do(ctx, h.s.o.Meta, &meta.ListChunks{Volume: h.s.o.Volume, Short: true, Limit: healBatch})
	if err != nil {
		return nil, false, err
	}
	var pending, short uint64
	for i := range r.Chunks {
		c := &r.Chunks[i]
		v := judge(m, c)
		if v.short() {
			short++
		}
		if v.missing > 0 || len(v.surplus) > 0 || len(v.dropping) > 0 {
			pending += uint64(v.missing)
			tasks = append(tasks, task{id: c.ID, copies: len(v.sources), length: c.Sum.Length, missing: v.missing})
		}
	}
	h.s.update(func(st *State) {
		if short > 0 {
			st.Short = max(st.Short, short)
		}
		st.Pending = max(st.Pending, pending)
	})
	if len(tasks) > 0 {
		h.rescan.Store(true) // to have the counts right again when they are done
	}
	return urgent(tasks), !r.EOF, nil
}

// urgent keeps the healBatch tasks with the fewest copies.
func urgent(tasks []task) []task {
	slices.SortStableFunc(tasks, func(a, b task) int { return cmp.Compare(a.copies, b.copies) })
	return tasks[:min(len(tasks), healBatch)]
}

// work does the tasks, a few at once. It tells how many went well, how many copies are still
// to be made, and why.
func (h *healer) work(ctx context.Context, p *worker.Pace, tasks []task) (done int, left uint64, stuck string, err error) {
	if len(tasks) == 0 {
		return 0, 0, "", nil
	}
	began := time.Now()
	var bytes, finished, failed atomic.Int64
	var reason atomic.Value
	for at := 0; at < len(tasks); {
		batch := tasks[at:min(at+healParallel, len(tasks))]
		at += len(batch)
		var g errgroup.Group
		for _, t := range batch {
			g.Go(func() error {
				n, err := h.mend(ctx, t.id)
				bytes.Add(n)
				if err == nil {
					finished.Add(1)
				} else if ctx.Err() == nil {
					failed.Add(int64(t.missing))
					reason.Store(err.Error())
					h.s.o.Log.Debug("a chunk could not be mended", "chunk", t.id, "error", err)
				}
				return nil
			})
		}
		g.Wait()
		if err := ctx.Err(); err != nil {
			return int(finished.Load()), 0, "", err
		}
		p.Progress("mending chunks", uint64(at), uint64(len(tasks)))
		h.measure(bytes.Load(), time.Since(began), tasks[at:])
		if err := p.Wait(ctx); err != nil {
			return int(finished.Load()), 0, "", err
		}
	}
	p.Count("mended", uint64(finished.Load()))
	stuck, _ = reason.Load().(string)
	return int(finished.Load()), uint64(failed.Load()), stuck, nil
}

// measure keeps pending and ETA of the status fresh while a batch runs.
func (h *healer) measure(bytes int64, took time.Duration, left []task) {
	if bytes > 0 && took > 0 {
		h.rate = float64(bytes) / took.Seconds()
	}
	var pending uint64
	var leftBytes float64
	for _, t := range left {
		pending += uint64(t.missing)
		leftBytes += float64(t.missing) * float64(t.length)
	}
	h.s.update(func(st *State) {
		st.Pending = pending
		if h.rate > 0 {
			st.ETA = time.Duration(leftBytes / h.rate * float64(time.Second))
		}
	})
}

// mend looks at one chunk afresh and does all that it needs. It answers the bytes copied.
func (h *healer) mend(ctx context.Context, id honeyant.ChunkID) (int64, error) {
	var copied int64
	for range 8 { // each turn adds or removes one replica
		r, err := meta.Do(ctx, h.s.o.Meta, &meta.GetChunk{Volume: h.s.o.Volume, Chunk: id})
		if errors.Is(err, honeyant.NotExist) || err == nil && r.Dead {
			return copied, nil
		}
		if err != nil {
			return copied, err
		}
		m := h.s.o.Map()
		v := judge(m, &r.Chunk)
		switch {
		case len(v.dropping) > 0:
			err = h.finishDrop(ctx, m, id, v.dropping[0])
		case v.missing > 0:
			if err = h.add(ctx, m, &r.Chunk, &v); err == nil {
				copied += int64(r.Chunk.Sum.Length)
			}
		case len(v.surplus) > 0:
			err = h.drop(ctx, m, &r.Chunk, &v)
		default:
			return copied, nil
		}
		if err != nil {
			return copied, err
		}
	}
	return copied, nil
}

// add makes one more replica (J1).
func (h *healer) add(ctx context.Context, m *honeyant.Map, c *meta.ChunkInfo, v *verdict) error {
	if v.lost() {
		return honeyant.E("maintenance.heal", honeyant.Unavailable, c.ID.String(), errors.New("no copy can be read now"))
	}
	targets, err := placement.Choose(m, c.Policy, 1, placement.Options{Exclude: v.excluded(m), Size: int64(c.Sum.Length), Rand: rand.Uint64})
	if errors.Is(err, honeyant.NoSpace) || err == nil && len(targets) == 0 {
		return honeyant.E("maintenance.heal", honeyant.NoSpace, "", fmt.Errorf("chunks want %d copies on different machines, and no other machine that may take one is up and has room", v.wanted))
	}
	if err != nil {
		return err
	}
	ctx, cancel := h.s.step(ctx)
	defer cancel()
	intent, err := meta.Do(ctx, h.s.o.Meta, &meta.HealBegin{Volume: h.s.o.Volume, Chunk: c.ID, Store: targets[0]})
	if err != nil {
		return err
	}
	end := &meta.HealEnd{Volume: h.s.o.Volume, Chunk: c.ID, Store: targets[0], Intent: intent.Intent}
	gen, sum, copyErr := h.s.o.Chunks.Copy(ctx, v.ref(c), targets[0])
	if copyErr == nil {
		end.Generation, end.Sum = gen, sum
	}
	// A failed copy gives its intent up (generation 0), even when the step's time is over.
	endCtx, cancelEnd := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancelEnd()
	_, endErr := meta.Do(endCtx, h.s.o.Meta, end)
	return errors.Join(copyErr, endErr)
}

// drop takes one surplus replica away, after reading the others back.
func (h *healer) drop(ctx context.Context, m *honeyant.Map, c *meta.ChunkInfo, v *verdict) error {
	victim := v.surplus[0]
	for _, r := range v.surplus {
		if m.StoreUp(r.Store) {
			victim = r
			break
		}
	}
	if !m.StoreUp(victim.Store) || v.present < v.wanted {
		return honeyant.E("maintenance.drop", honeyant.Unavailable, c.ID.String(), errors.New("a surplus copy stays until all its machines are up"))
	}
	ctx, cancel := h.s.step(ctx)
	defer cancel()
	begin := &meta.DropBegin{Volume: h.s.o.Volume, Chunk: c.ID, Replica: victim}
	for _, r := range v.counting {
		sum, err := h.s.o.Chunks.Verify(ctx, r.Store, c.ID, r.Generation)
		if errors.Is(err, honeyant.Corrupt) || err == nil && sum != c.Sum {
			_, err = meta.Do(ctx, h.s.o.Meta, &meta.ReportBad{Volume: h.s.o.Volume, Chunk: c.ID, Replica: r})
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
	return h.finishDrop(ctx, m, c.ID, victim)
}

// finishDrop carries out a drop that is committed; safe to repeat.
func (h *healer) finishDrop(ctx context.Context, m *honeyant.Map, id honeyant.ChunkID, r honeyant.Replica) error {
	ctx, cancel := h.s.step(ctx)
	defer cancel()
	if _, known := m.Store(r.Store); known {
		if err := h.s.o.Chunks.Delete(ctx, r.Store, id, r.Generation); err != nil {
			return err
		}
	}
	_, err := meta.Do(ctx, h.s.o.Meta, &meta.DropEnd{Volume: h.s.o.Volume, Chunk: id, Replica: r})
	return err
}
