package chunk

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/honeyant/honeyant"
)

// The index against a map, with keys that crowd into few tables and share hashes.
func TestIndexAgainstMap(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 5))
		var x index
		model := map[slot]bool{}
		for range 20_000 {
			key := uint64(rng.IntN(3))<<52 | uint64(rng.IntN(8))<<29 | uint64(rng.IntN(40))
			gen := honeyant.Generation(rng.IntN(4) + 1)
			s := slot{key, uint64(gen)}
			if has := x.has(key, gen); has != model[s] {
				t.Fatalf("seed %d: has %v, want %v", seed, has, model[s])
			}
			switch grow := rng.IntN(5) > 1; {
			case model[s] && !grow:
				if !x.remove(key, gen) {
					t.Fatalf("seed %d: not removed", seed)
				}
				delete(model, s)
			case !model[s] && grow:
				x.insert(key, gen)
				model[s] = true
			}
			var want []honeyant.Generation
			for g := uint64(1); g <= 4; g++ {
				if model[slot{key, g}] {
					want = append(want, honeyant.Generation(g))
				}
			}
			got := x.generations(key, nil)
			slices.Sort(got)
			if !slices.Equal(got, want) || x.count != len(model) {
				t.Fatalf("seed %d: %v, want %v; %d entries, want %d", seed, got, want, x.count, len(model))
			}
		}
		for s := range model {
			x.remove(s.key, honeyant.Generation(s.gen))
		}
		for n := range x.tables {
			if x.tables[n].xor != 0 || x.tables[n].used != 0 {
				t.Fatalf("seed %d: table %d is not empty", seed, n)
			}
		}
	}
}

// At most 32 bytes a chunk from 20,000 chunks on (rule 35).
func TestIndexMemory(t *testing.T) {
	var x index
	worst := 0.0
	for n := range 400_000 {
		x.insert(hashID(honeyant.NewChunkID(1, 2, uint64(n))), honeyant.Generation(n+1))
		if n >= 20_000 {
			worst = max(worst, float64(x.slots)*16/float64(n))
		}
	}
	if worst > 32 {
		t.Fatalf("%.1f bytes a chunk", worst)
	}
	t.Logf("at worst %.1f bytes a chunk, tables of %d bytes apart", worst, Buckets*40)
}
