package history_test

import (
	"testing"

	"github.com/honeyant/honeyant/bench"
	"github.com/honeyant/honeyant/bench/history"
)

func TestSampleIsAHistory(t *testing.T) {
	dir := t.TempDir()
	for _, r := range history.Sample() {
		mustAppend(t, dir, r)
		for _, one := range r.Results {
			if s, ok := bench.Lookup(one.Name); !ok || s.Better != one.Better {
				t.Errorf("%s is not in the catalogue, or points the other way", one.Name)
			}
		}
	}
	runs, damage, err := history.Load(dir)
	if err != nil || len(damage) != 0 || ids(runs) != "sample-ubuntu16 sample-ubuntu18 sample-amazonlinux sample-azure" {
		t.Errorf("%q, %v, %v", ids(runs), damage, err)
	}
}
