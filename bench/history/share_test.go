package history_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/bench/history"
)

func TestAddKeepsARunOnce(t *testing.T) {
	dir := t.TempDir()
	sample := history.Sample()
	for i, want := range []bool{true, false} {
		if added, err := history.Add(t.Context(), dir, sample[0]); added != want || err != nil {
			t.Errorf("call %d: %v, %v", i+1, added, err)
		}
	}
	// Two at the same time may both append: readers count the run once.
	if err := history.Append(t.Context(), dir, sample[0]); err != nil {
		t.Fatal(err)
	}
	runs, damage, err := history.Load(dir)
	if len(runs) != 1 || len(damage) != 0 || err != nil {
		t.Errorf("%d runs, damage %v, %v", len(runs), damage, err)
	}
	got, err := history.Find(dir, sample[0].ID)
	if err != nil || got.ID != sample[0].ID {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := history.Find(dir, sample[1].ID); !errors.Is(err, honeyant.NotExist) {
		t.Errorf("a run that is not there: %v", err)
	}
	lacking, err := history.Missing(dir, []string{sample[0].ID, sample[1].ID, sample[1].ID, ""})
	if !slices.Equal(lacking, []string{sample[1].ID}) || err != nil {
		t.Errorf("missing: %v, %v", lacking, err)
	}
	if lacking, err := history.Missing(dir+"/none", []string{"x"}); len(lacking) != 1 || err != nil {
		t.Errorf("an empty history lacks everything: %v, %v", lacking, err)
	}
}
