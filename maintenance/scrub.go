package maintenance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/internal/worker"
	"github.com/honeyant/honeyant/meta"
)

// scrubSetting keeps the cursor over restarts and changes of the leader.
const scrubSetting = "maintenance.scrub"

// scrubBatch is how many chunks one step verifies.
const scrubBatch = 64

// scrubber reads every replica back within ScrubPeriod and reports damaged ones.
type scrubber struct{ s *Service }

// scrubCursor is how far the present round is.
type scrubCursor struct {
	After   honeyant.ChunkID `json:"-"`
	Chunk   string           `json:"after"`
	Began   time.Time        `json:"began"`
	Ended   time.Time        `json:"ended"` // of the last whole round; zero while one runs
	Checked uint64           `json:"checked"`
	Bad     uint64           `json:"bad"`
}

func (w *scrubber) load(ctx context.Context) (scrubCursor, error) {
	var cur scrubCursor
	r, err := meta.Do(ctx, w.s.o.Meta, &meta.GetSetting{Name: scrubSetting})
	if err != nil || len(r.Value) == 0 {
		return cur, err
	}
	if err := json.Unmarshal(r.Value, &cur); err != nil {
		return scrubCursor{}, nil // an unreadable cursor only means to begin again
	}
	if cur.Chunk != "" {
		if cur.After, err = honeyant.ParseChunkID(cur.Chunk); err != nil {
			return scrubCursor{}, nil
		}
	}
	return cur, nil
}

func (w *scrubber) save(ctx context.Context, cur scrubCursor) error {
	cur.Chunk = cur.After.String()
	value, err := json.Marshal(cur)
	if err != nil {
		return err
	}
	_, err = meta.Do(ctx, w.s.o.Meta, &meta.PutSetting{Name: scrubSetting, Value: value})
	return err
}

func (w *scrubber) reset(ctx context.Context) error {
	return w.save(ctx, scrubCursor{Began: time.Now()})
}

func (w *scrubber) step(ctx context.Context, p *worker.Pace) (bool, error) {
	cur, err := w.load(ctx)
	if err != nil {
		return false, err
	}
	if !cur.Ended.IsZero() {
		if time.Since(cur.Ended) < w.s.o.ScrubPeriod {
			p.Progress(fmt.Sprintf("last round ended %s: %d replicas, %d bad", cur.Ended.Format(time.DateTime), cur.Checked, cur.Bad), 0, 0)
			return false, nil
		}
		cur = scrubCursor{}
	}
	if cur.Began.IsZero() {
		cur = scrubCursor{Began: time.Now()}
	}
	r, err := meta.Do(ctx, w.s.o.Meta, &meta.ListChunks{Volume: w.s.o.Volume, After: cur.After, Limit: scrubBatch})
	if err != nil {
		return false, err
	}
	m := w.s.o.Map()
	if m == nil {
		return false, nil
	}
	for i := range r.Chunks {
		c := &r.Chunks[i]
		for _, rep := range c.Replicas {
			if c.Count == 0 || rep.Bad || rep.Dropping || !m.StoreUp(rep.Store) {
				continue
			}
			checked, bad, err := w.verify(ctx, c, rep.Replica)
			if err != nil {
				return false, err
			}
			if checked {
				cur.Checked++
			}
			if bad {
				cur.Bad++
			}
			if err := p.Wait(ctx); err != nil {
				return false, err
			}
		}
		cur.After = c.ID
	}
	if r.EOF || len(r.Chunks) == 0 {
		cur.Ended, cur.After = time.Now(), honeyant.ChunkID{}
	}
	p.Progress(fmt.Sprintf("%d replicas read, %d bad", cur.Checked, cur.Bad), 0, 0)
	return cur.Ended.IsZero(), w.save(ctx, cur)
}

// verify reads one replica; a damaged or missing one is reported, and heal replaces it. A store that can not
// answer holds up nothing: a later round reads it. Errors are those of the metadata and ctx's.
func (w *scrubber) verify(ctx context.Context, c *meta.ChunkInfo, r honeyant.Replica) (checked, bad bool, err error) {
	read, cancel := w.s.step(ctx)
	defer cancel()
	sum, err := w.s.o.Chunks.Verify(read, r.Store, c.ID, r.Generation)
	switch {
	case err == nil && sum == c.Sum:
		return true, false, nil
	case err == nil, errors.Is(err, honeyant.Corrupt), errors.Is(err, honeyant.NotExist), errors.Is(err, honeyant.Stale):
		bad, err = w.s.report(ctx, c.ID, r, err)
		return true, bad, err
	case ctx.Err() != nil:
		return false, false, err
	}
	w.s.o.Log.Debug("a replica was not read by the scrub", "chunk", c.ID, "store", r.Store, "error", err)
	return false, false, nil
}

// report marks a replica as bad, unless the chunk has meanwhile changed or gone.
func (s *Service) report(ctx context.Context, id honeyant.ChunkID, r honeyant.Replica, why error) (bool, error) {
	s.o.Log.Warn("a replica is damaged or missing; it is replaced", "chunk", id, "store", r.Store, "error", why)
	_, err := meta.Do(ctx, s.o.Meta, &meta.ReportBad{Volume: s.o.Volume, Chunk: id, Replica: r})
	if errors.Is(err, honeyant.NotExist) || errors.Is(err, honeyant.Stale) {
		return false, nil
	}
	_ = s.group.Wake("heal") // it goes through the chunks that are short now; fails only when closed
	return err == nil, err
}
