package history

import (
	"context"
	"errors"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/bench"
)

// IDs lists the runs of a history directory by their IDs, in no order.
func IDs(dir string) ([]string, error) {
	var ids []string
	_, err := Each(dir, func(r *bench.Run) error {
		if r.ID != "" {
			ids = append(ids, r.ID)
		}
		return nil
	})
	return ids, err
}

// errFound ends a search.
var errFound = errors.New("found")

// Find is the run with that ID. NotExist if there is none.
func Find(dir, id string) (*bench.Run, error) {
	var found *bench.Run
	_, err := Each(dir, func(r *bench.Run) error {
		if r.ID == id && id != "" {
			found = r
			return errFound
		}
		return nil
	})
	switch {
	case found != nil:
		return found, nil
	case err != nil:
		return nil, err
	}
	return nil, honeyant.E("history.Find", honeyant.NotExist, id, errors.New("no such run in this history"))
}

// Add appends a run unless the history has it already, and tells whether it did. Two callers
// that add the same run at the same time may both append it; Load counts it once.
func Add(ctx context.Context, dir string, run *bench.Run) (added bool, err error) {
	_, err = Find(dir, run.ID)
	if err == nil {
		return false, nil
	}
	if !errors.Is(err, honeyant.NotExist) {
		return false, err
	}
	return true, Append(ctx, dir, run)
}

// Missing are the IDs of all that are not among those of a history directory.
func Missing(dir string, all []string) ([]string, error) {
	here, err := IDs(dir)
	if err != nil {
		return nil, err
	}
	have := make(map[string]bool, len(here))
	for _, id := range here {
		have[id] = true
	}
	var lacking []string
	for _, id := range all {
		if id != "" && !have[id] {
			have[id] = true
			lacking = append(lacking, id)
		}
	}
	return lacking, nil
}
