package history

import (
	"math"
	"slices"
)

// Confidence is that of all intervals here.
const Confidence = 0.95

// leastProof is the fewest samples a side from which an exact interval of that confidence exists.
const leastProof = 4

// Interval is an estimate and where it lies with Confidence. Known is false if there are too few
// samples for an interval; Low and High are then the extremes that were seen.
type Interval struct {
	Estimate float64 `json:"estimate"`
	Low      float64 `json:"low"`
	High     float64 `json:"high"`
	Known    bool    `json:"known"`
}

// Ratio estimates how many times a typical value of b is a typical value of a: the median of
// all ratios b/a (Hodges and Lehmann 1963 on logarithms), and its interval by the exact ranks of
// the Mann-Whitney test, ties counted conservatively. It assumes that both sides differ by a
// factor, and nothing about the distribution. All values must be positive: ok tells whether they are.
func Ratio(a, b []float64) (i Interval, ok bool) {
	return hodgesLehmann(a, b, func(x, y float64) (float64, bool) { return y / x, x > 0 && y > 0 })
}

// Difference is the same for values that may be zero, such as shares of time: b minus a.
func Difference(a, b []float64) (i Interval, ok bool) {
	return hodgesLehmann(a, b, func(x, y float64) (float64, bool) { return y - x, true })
}

// mostSide bounds the work: larger groups are thinned evenly.
const mostSide = 300

func hodgesLehmann(a, b []float64, of func(x, y float64) (float64, bool)) (Interval, bool) {
	a, b = thin(a), thin(b)
	if len(a) == 0 || len(b) == 0 {
		return Interval{}, false
	}
	all := make([]float64, 0, len(a)*len(b))
	for _, x := range a {
		for _, y := range b {
			r, ok := of(x, y)
			if !ok || math.IsNaN(r) || math.IsInf(r, 0) {
				return Interval{}, false
			}
			all = append(all, r)
		}
	}
	slices.Sort(all)
	mid := len(all) / 2
	i := Interval{Estimate: all[mid], Low: all[0], High: all[len(all)-1]}
	if len(all)%2 == 0 {
		i.Estimate = (all[mid-1] + all[mid]) / 2
	}
	if k := criticalRank(len(a), len(b)); k > 0 && min(len(a), len(b)) >= leastProof {
		i.Low, i.High, i.Known = all[k-1], all[len(all)-k], true
	}
	return i, true
}

func thin(values []float64) []float64 {
	if len(values) <= mostSide {
		return values
	}
	sorted := slices.Sorted(slices.Values(values))
	few := make([]float64, mostSide)
	for i := range few {
		few[i] = sorted[i*len(sorted)/mostSide]
	}
	return few
}

// criticalRank is the largest k with P(U <= k-1) <= (1-Confidence)/2 for the Mann-Whitney
// statistic U of n and m values; 0 if even the first rank is too likely.
func criticalRank(n, m int) int {
	const tail = (1 - Confidence) / 2
	if n*m > 40*40 {
		mean, dev := float64(n*m)/2, math.Sqrt(float64(n*m)*float64(n+m+1)/12)
		return max(0, int(math.Floor(mean-1.959964*dev)))
	}
	ways := mannWhitney(n, m)
	total := 0.0
	for _, w := range ways {
		total += w
	}
	sum := 0.0
	for k, w := range ways {
		if sum += w; sum/total > tail {
			return k
		}
	}
	return 0
}

// mannWhitney counts in how many of the orders of n and m values U takes each value from 0 to
// n*m: the coefficients of the Gaussian binomial, multiplied up factor by factor.
func mannWhitney(n, m int) []float64 {
	ways := make([]float64, n*m+1)
	ways[0] = 1
	for i := 1; i <= m; i++ {
		for u := len(ways) - 1; u >= n+i; u-- { // times (1 - q^(n+i))
			ways[u] -= ways[u-n-i]
		}
		for u := i; u < len(ways); u++ { // divided by (1 - q^i)
			ways[u] += ways[u-i]
		}
	}
	return ways
}
