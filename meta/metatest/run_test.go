package metatest_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/honeyant/honeyant/kv/pebblekv"
	"github.com/honeyant/honeyant/meta/metatest"
)

// TestHistories runs fixed seeds, which once found something or cover much, and a few new ones.
func TestHistories(t *testing.T) {
	seeds := []uint64{1, 2, 3, 4, 5, 6, 7, 8}
	for range 8 {
		seeds = append(seeds, rand.Uint64())
	}
	for _, seed := range seeds {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			t.Parallel()
			metatest.Run(t, seed, metatest.NewBare(t, nil).Target(), metatest.Options{})
		})
	}
}

// TestHistoryOnDisk runs one history over the database that nodes use.
func TestHistoryOnDisk(t *testing.T) {
	db, err := pebblekv.Open(t.TempDir(), pebblekv.Options{})
	if err != nil {
		t.Fatal(err)
	}
	metatest.Run(t, rand.Uint64(), metatest.NewBare(t, db).Target(), metatest.Options{Ops: 800})
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}
