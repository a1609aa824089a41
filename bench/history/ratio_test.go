package history_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/honeyant/honeyant/bench/history"
)

func TestRatioOfFewSamplesHasNoInterval(t *testing.T) {
	for _, c := range []struct{ n, m int }{{1, 1}, {3, 3}, {1, 50}, {3, 40}} {
		a, b := make([]float64, c.n), make([]float64, c.m)
		for i := range a {
			a[i] = 10 + float64(i)
		}
		for i := range b {
			b[i] = 100 + float64(i)
		}
		if i, ok := history.Ratio(a, b); !ok || i.Known {
			t.Errorf("%d and %d samples: %+v, %v", c.n, c.m, i, ok)
		}
	}
}

// The critical values of the two-sided test at 5 %, from the tables of Mann and Whitney: with U
// at most the value the difference counts, so the interval leaves out that many ratios a side.
func TestIntervalUsesTheTables(t *testing.T) {
	for _, c := range []struct{ n, m, critical int }{{4, 4, 0}, {5, 5, 2}, {5, 8, 6}, {7, 7, 8}, {10, 10, 23}, {20, 20, 127}} {
		a, b := make([]float64, c.n), make([]float64, c.m)
		for i := range a {
			a[i] = math.Pow(2, float64(i))
		}
		for i := range b {
			b[i] = math.Pow(2, float64(i*c.n)/1000)
		}
		all := map[float64]bool{}
		below := 0
		i, ok := history.Ratio(a, b)
		for _, x := range a {
			for _, y := range b {
				all[y/x] = true
				if y/x < i.Low {
					below++
				}
			}
		}
		if !ok || !i.Known || below != c.critical || len(all) != c.n*c.m {
			t.Errorf("%d and %d samples: %d ratios below the interval, want %d (%+v)", c.n, c.m, below, c.critical, i)
		}
	}
}

// Drawn again and again from one distribution with two levels, the interval must hold the true
// ratio about as often as it says.
func TestIntervalCovers(t *testing.T) {
	const seed, rounds, ratio = 7, 2000, 1.3
	rng := rand.New(rand.NewPCG(seed, seed))
	for _, n := range []int{5, 10, 60} {
		held := 0
		for range rounds {
			a, b := make([]float64, n), make([]float64, n)
			for i := range n {
				a[i] = math.Exp(rng.ExpFloat64() / 5) // skewed, as times are
				b[i] = ratio * math.Exp(rng.ExpFloat64()/5)
			}
			if i, _ := history.Ratio(a, b); i.Known && i.Low <= ratio && ratio <= i.High {
				held++
			}
		}
		if share := float64(held) / rounds; share < 0.935 || share > 0.985 {
			t.Errorf("%d samples a side (seed %d): the 95 %% interval held the truth in %.1f %%", n, seed, 100*share)
		}
	}
}

func TestRatioRefusesWhatIsNoRatio(t *testing.T) {
	for _, c := range [][2][]float64{{{}, {1}}, {{1}, {}}, {{0, 1}, {1, 2}}, {{1, 2}, {-1, 2}}, {{1}, {math.NaN()}}} {
		if i, ok := history.Ratio(c[0], c[1]); ok {
			t.Errorf("%v to %v: %+v", c[0], c[1], i)
		}
	}
	if i, ok := history.Difference([]float64{0, 0, 0, 0}, []float64{1, 2, 3, 4}); !ok || !i.Known || i.Estimate != 2.5 {
		t.Errorf("difference: %+v, %v", i, ok)
	}
}
