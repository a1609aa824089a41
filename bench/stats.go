package bench

import (
	"math"
	"slices"
)

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

// Median is the middle of the values, the mean of both middles of an even number, 0 of none.
func Median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	mid := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[mid]
	}
	return (sorted[mid-1] + sorted[mid]) / 2
}

// MAD is the median absolute deviation from the median, not scaled to a standard deviation.
func MAD(values []float64) float64 {
	m := Median(values)
	away := make([]float64, len(values))
	for i, v := range values {
		away[i] = math.Abs(v - m)
	}
	return Median(away)
}

// summarise fills the figures that follow from the samples.
func (r *Result) summarise() {
	if len(r.Samples) == 0 {
		return
	}
	r.Median, r.MAD = Median(r.Samples), MAD(r.Samples)
	r.Min, r.Max = slices.Min(r.Samples), slices.Max(r.Samples)
}
