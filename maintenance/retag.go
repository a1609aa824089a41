package maintenance

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/internal/worker"
	"github.com/honeyant/honeyant/meta"
)

// retagSetting lists the trees whose policy changed and is not yet moved down.
const retagSetting = "maintenance.retag"

// retagger moves a changed policy down its tree; heal then moves the data.
type retagger struct{ s *Service }

type retagTask struct {
	Dir   honeyant.Ino `json:"dir"`
	After []byte       `json:"after,omitempty"`
}

// Retag queues a directory whose policy was set or removed.
func Retag(ctx context.Context, d meta.Doer, dir honeyant.Ino) error {
	for {
		r, err := meta.Do(ctx, d, &meta.GetSetting{Name: retagSetting})
		if err != nil {
			return err
		}
		var tasks []retagTask
		if len(r.Value) > 0 {
			if err := json.Unmarshal(r.Value, &tasks); err != nil {
				return honeyant.E("maintenance.Retag", honeyant.Corrupt, retagSetting, err)
			}
		}
		// Twice the same directory: it begins again.
		kept := tasks[:0]
		for _, t := range tasks {
			if t.Dir != dir {
				kept = append(kept, t)
			}
		}
		err = saveRetag(ctx, d, r.Value, append(kept, retagTask{Dir: dir}))
		if !errors.Is(err, honeyant.Conflict) {
			return err
		}
	}
}

func saveRetag(ctx context.Context, d meta.Doer, old []byte, tasks []retagTask) error {
	var value []byte
	if len(tasks) > 0 {
		var err error
		if value, err = json.Marshal(tasks); err != nil {
			return err
		}
	}
	_, err := meta.Do(ctx, d, &meta.PutSetting{Name: retagSetting, Value: value, Compare: true, Expect: old})
	return err
}

func (w *retagger) step(ctx context.Context, p *worker.Pace) (bool, error) {
	r, err := meta.Do(ctx, w.s.o.Meta, &meta.GetSetting{Name: retagSetting})
	if err != nil || len(r.Value) == 0 {
		return false, err
	}
	var tasks []retagTask
	if err := json.Unmarshal(r.Value, &tasks); err != nil {
		return false, honeyant.E("maintenance.retag", honeyant.Corrupt, retagSetting, err)
	}
	step, err := meta.Do(ctx, w.s.o.Meta, &meta.Retag{Volume: w.s.o.Volume, Ino: tasks[0].Dir, After: tasks[0].After, Limit: 512})
	switch {
	case errors.Is(err, honeyant.NotExist) || err == nil && len(step.Next) == 0:
		tasks = tasks[1:]
		w.s.MapChanged() // the tree is moved: look at its chunks
	case err != nil:
		return false, err
	default:
		p.Count("changed", uint64(step.Changed))
		tasks[0].After = step.Next
	}
	if err := saveRetag(ctx, w.s.o.Meta, r.Value, tasks); err != nil && !errors.Is(err, honeyant.Conflict) {
		return false, err
	}
	return len(tasks) > 0, nil
}
