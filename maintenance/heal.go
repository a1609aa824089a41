package maintenance

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/internal/worker"
	"github.com/honeyant/honeyant/meta"
)

const (
	healBatch    = 4096            // most chunks remembered from one scan
	healParallel = 3               // chunks worked on at once: enough to hide latency, few enough to stay gentle
	healSlice    = 2 * time.Second // of work between two looks at what is new
	healLater    = 1 << 16         // most chunks remembered that could not be mended

	lookAgain     = 5 * time.Minute  // all chunks are looked at so often though nothing seems to have changed,
	lookSoon      = 30 * time.Second // so often while some are short,
	lookDraining  = 10 * time.Second // and so often while a store is emptied: writes that chose it before may still come;
	lookShare     = 20               // but the looking takes at most one part of so many
	retryFirst    = 5 * time.Second  // a chunk that could not be mended rests for so long,
	retryMost     = 5 * time.Minute  // twice as long each time, up to this
	shortAtOnce   = 512              // chunks with a short mark looked at in one step
	giveUpTimeout = 10 * time.Second // for giving up an intent whose copy failed
)

// healer makes every chunk have the replicas its policy wants, no fewer and no more. All fields but the atomic
// ones belong to the goroutine of its job.
type healer struct {
	s       *Service
	rescan  atomic.Bool
	intents atomic.Bool // some that nobody works on may be left

	members  string        // who was removed and who not, when metadata were last swept
	policies uint64        // Options.Policies at that time
	shape    string        // what of the map the last scan depended on
	scanned  time.Time     // when it ended
	took     time.Duration // and how long it took
	overflow bool          // it found more work than is remembered

	queue  []task // what to mend, the most urgent first
	queued map[honeyant.ChunkID]bool
	later  map[honeyant.ChunkID]*retry
	after  honeyant.ChunkID // how far the list of short chunks was gone through
	rate   float64          // bytes per second of the last copies
}

func newHealer(s *Service) *healer {
	h := &healer{s: s, queued: map[honeyant.ChunkID]bool{}, later: map[honeyant.ChunkID]*retry{}}
	h.rescan.Store(true)
	h.intents.Store(true)
	return h
}

// task is one chunk that needs work.
type task struct {
	id     honeyant.ChunkID
	copies int   // that can be read
	counts tally // what it adds to the State as it is
}

// retry is a task that could not be done.
type retry struct {
	task
	at   time.Time
	wait time.Duration
	why  string
}

// step is one round: look, then work on what was found for a while, fewest copies first (J2).
func (h *healer) step(ctx context.Context, p *worker.Pace) (bool, error) {
	m := h.s.o.Map()
	if m == nil {
		return false, nil
	}
	if h.intents.Swap(false) {
		if err := h.giveUpIntents(ctx); err != nil {
			h.intents.Store(true)
			return false, err
		}
	}
	if h.due(m) {
		if err := h.look(ctx, m, p); err != nil {
			h.rescan.Store(true)
			return false, err
		}
	} else if err := h.lookShort(ctx, m); err != nil {
		return false, err
	}
	h.retries()
	return h.work(ctx, p)
}

// giveUpIntents takes back intents that nobody works on: those of a leader that is no more, or whose end
// could not be committed. No copy of this leader is under way now.
func (h *healer) giveUpIntents(ctx context.Context) error {
	list := &meta.ListIntents{Volume: h.s.o.Volume}
	for {
		r, err := meta.Do(ctx, h.s.o.Meta, list)
		if err != nil {
			return err
		}
		for _, i := range r.Intents {
			if _, err := meta.Do(ctx, h.s.o.Meta, &meta.HealEnd{Volume: h.s.o.Volume, Chunk: i.Chunk, Store: i.Store, Intent: i.Intent}); err != nil {
				return err
			}
			list.After = i.Chunk
		}
		if r.EOF || len(r.Intents) == 0 {
			return nil
		}
	}
}

// due tells whether all chunks are to be looked at.
func (h *healer) due(m *honeyant.Map) bool {
	if h.rescan.Swap(false) || shapeOf(m) != h.shape || h.s.o.Policies() != h.policies {
		return true
	}
	every := lookAgain
	switch st := h.s.State(); {
	case len(st.Draining) > 0:
		every = lookDraining
	case st.Short+st.Lost+st.Pending > 0:
		every = lookSoon
	}
	return time.Since(h.scanned) > max(every, lookShare*h.took)
}

// shapeOf is what judge depends on: states, not sizes.
func shapeOf(m *honeyant.Map) string {
	if m == nil {
		return ""
	}
	s := ""
	for _, n := range m.Nodes {
		s += fmt.Sprintf("%d:%d ", n.ID, n.State)
	}
	for _, st := range m.Stores {
		s += fmt.Sprintf("%d/%d:%d ", st.ID, st.Node, st.State)
	}
	return s
}

// membersOf is what the short marks and the lists of replicas depend on.
func membersOf(m *honeyant.Map) string {
	s := ""
	for _, n := range m.Nodes {
		s += fmt.Sprintf("%d:%t ", n.ID, n.State == honeyant.NodeRemoved)
	}
	for _, st := range m.Stores {
		s += fmt.Sprintf("%d:%t ", st.ID, st.State == honeyant.StoreRemoved)
	}
	return s
}

// enqueue adds tasks and keeps the most urgent ones; what falls off is found by the next scan.
func (h *healer) enqueue(tasks ...task) {
	for _, t := range tasks {
		if !h.queued[t.id] {
			h.queue = append(h.queue, t)
			h.queued[t.id] = true
		}
	}
	kept := urgent(h.queue)
	for _, t := range h.queue[len(kept):] {
		delete(h.queued, t.id)
		h.overflow = true
	}
	h.queue = kept
}

// urgent keeps the healBatch tasks with the fewest copies.
func urgent(tasks []task) []task {
	slices.SortStableFunc(tasks, func(a, b task) int { return cmp.Compare(a.copies, b.copies) })
	return tasks[:min(len(tasks), healBatch)]
}

// retries puts tasks back that have rested long enough.
func (h *healer) retries() {
	now := time.Now()
	var back []task
	for id, r := range h.later {
		if !now.Before(r.at) && !h.queued[id] {
			back = append(back, r.task)
		}
	}
	if len(back) > 0 {
		h.enqueue(back...)
	}
}

// work does tasks, a few at once, for a while or until the nodes' states change, and books what came of them.
func (h *healer) work(ctx context.Context, p *worker.Pace) (more bool, err error) {
	began, done := time.Now(), 0
	total := uint64(len(h.queue))
	for len(h.queue) > 0 && time.Since(began) < healSlice && shapeOf(h.s.o.Map()) == h.shape {
		batch := h.queue[:min(healParallel, len(h.queue))]
		var g errgroup.Group
		var mu sync.Mutex // guards bytes and done
		var bytes int64
		results := make([]mended, len(batch))
		at := time.Now()
		for i, t := range batch {
			g.Go(func() error {
				results[i] = h.mend(ctx, t.id)
				mu.Lock()
				defer mu.Unlock()
				bytes += results[i].copied
				if results[i].err == nil {
					done++
				}
				return nil
			})
		}
		g.Wait()
		if err := ctx.Err(); err != nil {
			return false, err
		}
		if took := time.Since(at); bytes > 0 && took > 0 {
			now := float64(bytes) / took.Seconds()
			h.rate = cmp.Or(h.rate, now)*0.9 + now*0.1
		}
		for i, t := range batch {
			h.book(t, &results[i])
		}
		h.queue = h.queue[len(batch):]
		p.Progress("mending chunks", total-uint64(len(h.queue)), total)
		if err := p.Wait(ctx); err != nil {
			return false, err
		}
	}
	p.Count("mended", uint64(done))
	if len(h.queue) == 0 && h.overflow && done > 0 {
		h.rescan.Store(true)
		return true, nil
	}
	return len(h.queue) > 0, nil
}

// book keeps the State right after a task: the chunk counts as it is now.
func (h *healer) book(t task, r *mended) {
	delete(h.queued, t.id)
	was := h.later[t.id]
	delete(h.later, t.id)
	if r.err != nil {
		h.s.o.Log.Debug("a chunk could not be mended", "chunk", t.id, "error", r.err)
		next := &retry{task: task{t.id, t.copies, r.counts}, wait: retryFirst, why: r.err.Error()}
		if was != nil {
			next.wait = min(2*was.wait, retryMost)
		}
		next.at = time.Now().Add(next.wait)
		if len(h.later) < healLater {
			h.later[t.id] = next
		} else {
			h.overflow = true // a later scan finds it again
		}
	}
	h.s.update(func(st *State) {
		st.add(h.s.o.Map(), &t.counts, -1)
		st.add(h.s.o.Map(), &r.counts, 1)
		h.tell(st)
	})
}

// tell publishes what is not counted: how long it may take, and what stands in the way.
func (h *healer) tell(st *State) {
	st.ETA = 0
	if h.rate > 0 && st.PendingBytes > 0 {
		st.ETA = time.Duration(float64(st.PendingBytes) / h.rate * float64(time.Second))
	}
	st.Stuck = st.waits
	for _, r := range h.later {
		st.Stuck = r.why
		break
	}
}
