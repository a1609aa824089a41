package bench

import (
	"math/bits"
	"time"
)

// histogram counts durations in buckets that are at most 1/32 of their value wide, as
// HdrHistogram does. The zero value is empty. Not for concurrent use.
type histogram struct {
	counts [64 * subBuckets]uint32
	count  int64
	max    time.Duration
}

const (
	subBits    = 5
	subBuckets = 1 << subBits
)

func bucketOf(ns uint64) int {
	if ns < subBuckets {
		return int(ns)
	}
	shift := bits.Len64(ns) - 1 - subBits
	return (shift+1)*subBuckets + int(ns>>shift) - subBuckets
}

// middle is the middle of a bucket in nanoseconds.
func middle(bucket int) float64 {
	if bucket < subBuckets {
		return float64(bucket)
	}
	shift := bucket/subBuckets - 1
	low := uint64(bucket%subBuckets+subBuckets) << shift
	return float64(low) + float64(uint64(1)<<shift)/2
}

func (h *histogram) add(d time.Duration) {
	h.counts[bucketOf(uint64(max(d, 0)))]++
	h.count++
	h.max = max(h.max, d)
}

func (h *histogram) merge(other *histogram) {
	for i, c := range other.counts {
		h.counts[i] += c
	}
	h.count += other.count
	h.max = max(h.max, other.max)
}

// quantile is the duration that a share q of all stayed within, in nanoseconds.
func (h *histogram) quantile(q float64) float64 {
	if h.count == 0 {
		return 0
	}
	want := int64(q*float64(h.count-1)) + 1
	seen := int64(0)
	for i, c := range h.counts {
		if seen += int64(c); seen >= want {
			return min(middle(i), float64(h.max))
		}
	}
	return float64(h.max)
}

// latency is the distribution in the given unit, "µs" or "ms"; nil of an empty histogram.
func (h *histogram) latency(unit string) *Latency {
	if h == nil || h.count == 0 {
		return nil
	}
	per := 1e3
	if unit == "ms" {
		per = 1e6
	}
	l := &Latency{Unit: unit, Count: h.count, P50: h.quantile(.5) / per, P90: h.quantile(.9) / per,
		P99: h.quantile(.99) / per, P999: h.quantile(.999) / per, Max: float64(h.max) / per}
	for _, q := range []float64{0, .01, .05, .1, .25, .5, .75, .9, .95, .99, .995, .999, 1} {
		l.Quantiles = append(l.Quantiles, Quantile{Q: q, Value: h.quantile(q) / per})
	}
	return l
}
