package maintenance

import (
	"context"
	"sync"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/internal/worker"
	"github.com/honeyant/honeyant/meta"
)

// Data reads and writes the bytes of chunks; replica.Client implements it. Safe for concurrent use.
type Data interface {
	// Read fills p with the chunk's bytes from off on, verified.
	Read(ctx context.Context, ref honeyant.ChunkRef, p []byte, off uint32) error
	// Write puts data (read only until it returns) into all targets; for each one that fails, next names another. The
	// answer lists the stores that hold the chunk on stable storage: perhaps fewer than targets, but at least one.
	Write(ctx context.Context, id honeyant.ChunkID, data []byte, targets []honeyant.StoreID,
		next func(bad []honeyant.StoreID) (honeyant.StoreID, bool)) (honeyant.ChunkRef, error)
}

// repacker moves what is used of sparse chunks, of which extents use less than half, into new ones (J6): packs of small
// files most of which are deleted, and chunks that were overwritten in many places. It keeps nothing that must last:
// the metadata list what is sparse, and a rewrite that was broken off leaves a chunk that nobody lists.
type repacker struct {
	s    *Service
	seen *sightings[sparse]
	ids  chunkIDs

	mu      sync.Mutex       // guards writing
	writing honeyant.ChunkID // under way: stores may hold it, metadata do not list it yet
}

// sparse is what is noted of a chunk that is worth a rewrite.
type sparse struct {
	rest time.Time // not to be tried before
	wait time.Duration
}

const (
	repackKept = 1 << 14 // sparse chunks remembered
	// repackAtOnce chunks are rewritten after one scan of the extents, of which at most repackExtents are remembered.
	repackAtOnce  = 256
	repackExtents = 16 << 10

	repackRestFirst = time.Minute // a chunk that could not be rewritten rests for so long,
	repackRestMost  = time.Hour   // twice as long each time, up to this
)

// PackState is what is known of sparse chunks.
type PackState struct {
	Sparse      uint64 // chunks of which extents use less than half
	SparseBytes uint64 // of these chunks, used by no extent: one copy counted
	Rewritten   uint64 // chunks rewritten under this leader
	Freed       uint64 // bytes of them that nothing used: one copy counted
	Stuck       string // why some can not be rewritten
}

// step looks at what is sparse, and rewrites some of what has been so for SparseDelay.
func (r *repacker) step(ctx context.Context, p *worker.Pace) (bool, error) {
	m := r.s.o.Map()
	if m == nil || r.s.o.Data == nil {
		return false, nil
	}
	due, err := r.look(ctx, m)
	if err != nil || len(due) == 0 {
		return false, err
	}
	if due, err = r.settled(ctx, due); err != nil || len(due) == 0 {
		return false, err
	}
	batch := []meta.ChunkInfo{due[0]}
	for _, c := range due[1:] { // what shares a chunk has one policy
		if c.PolicyAt == batch[0].PolicyAt && len(batch) < repackAtOnce {
			batch = append(batch, c)
		}
	}
	p.Progress("rewriting sparse chunks", 0, uint64(len(due)))
	done, err := r.rewrite(ctx, p, m, batch)
	p.Count("rewritten", uint64(done))
	return err == nil && done > 0 && len(due) > len(batch), err
}

// look goes through the list of sparse chunks, publishes how many there are, and answers those that are due.
func (r *repacker) look(ctx context.Context, m *honeyant.Map) (due []meta.ChunkInfo, err error) {
	r.seen.begin()
	now, delay := time.Now(), r.s.delay(m, r.s.o.SparseDelay)
	state := PackState{}
	list := &meta.ListChunks{Volume: r.s.o.Volume, Sparse: true}
	for {
		page, err := meta.Do(ctx, r.s.o.Meta, list)
		if err != nil {
			return nil, err
		}
		state.Sparse += uint64(len(page.Chunks))
		state.SparseBytes += page.Unused
		for _, c := range page.Chunks {
			list.After = c.ID
			one := r.seen.see(c.ID, now)
			if one != nil && now.Sub(one.since) >= delay && !now.Before(one.notes.rest) && len(due) < 4*repackAtOnce {
				due = append(due, c)
			}
		}
		if page.EOF || len(page.Chunks) == 0 {
			break
		}
	}
	r.seen.end()
	r.s.update(func(st *State) {
		state.Rewritten, state.Freed = st.Packs.Rewritten, st.Packs.Freed
		if state.Sparse > 0 {
			state.Stuck = st.Packs.Stuck
		}
		st.Packs = state
	})
	return due, nil
}

// settled leaves out chunks to which their writer may still add extents: one that was moved away from
// would be dead by then, and the commit refused (rule 10).
func (r *repacker) settled(ctx context.Context, due []meta.ChunkInfo) ([]meta.ChunkInfo, error) {
	live, _, err := r.s.inventory.liveSessions(ctx)
	if err != nil {
		return nil, err
	}
	kept := due[:0]
	for _, c := range due {
		if lowWater, alive := live[c.ID.Session()]; !alive || c.ID.Counter() < lowWater {
			kept = append(kept, c)
		}
	}
	return kept, nil
}

// rest lets a chunk alone for a while, longer each time.
func (r *repacker) rest(id honeyant.ChunkID) {
	if one := r.seen.of[id]; one != nil {
		n := &one.notes
		n.wait = min(max(2*n.wait, repackRestFirst), repackRestMost)
		n.rest = time.Now().Add(n.wait)
	}
}

// busy tells whether a chunk is being written here, so that metadata may list it soon.
func (r *repacker) busy(id honeyant.ChunkID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return id == r.writing
}

func (r *repacker) setWriting(id honeyant.ChunkID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.writing = id
}

// chunkIDs hands out IDs of new chunks, under the number of a session that is over: what stores then hold and metadata
// do not list belongs to nobody who may still commit it (rule 10).
type chunkIDs struct {
	session     honeyant.SessionID
	incarnation uint32
	next        uint64
}

func (g *chunkIDs) new(ctx context.Context, m meta.Doer) (honeyant.ChunkID, error) {
	if g.session == 0 {
		s, err := meta.Do(ctx, m, &meta.OpenSession{Name: "rewriting sparse chunks"})
		if err != nil {
			return honeyant.ChunkID{}, err
		}
		if _, err := meta.Do(ctx, m, &meta.CloseSession{Session: s.Session}); err != nil {
			return honeyant.ChunkID{}, err
		}
		g.session, g.incarnation = s.Session, s.Incarnation
	}
	g.next++
	return honeyant.NewChunkID(g.incarnation, g.session, g.next), nil
}
