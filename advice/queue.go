package advice

import "fmt"

// Where many write at once, chunks meet: while one store is asked by two the next may be idle, because
// placement is random. That is a closed queueing network: so many chunks go round, each asks the
// resources for so long. Exact mean value analysis (Reiser and Lavenberg 1980) gives its throughput. A lone writer's
// chunks pass through a chain of machines at once, not one after the other, so for it the bounds alone hold.

// mostCustomers bounds the work; beyond it the bounds are reached anyhow.
const mostCustomers = 500

// closed is the throughput, in customers a second, of n customers that ask each station for so
// many seconds and think for z seconds between.
func closed(n int, demands []float64, z float64) float64 {
	queue := make([]float64, len(demands))
	stay := make([]float64, len(demands))
	rate := 0.0
	for i := 1; i <= min(n, mostCustomers); i++ {
		total := z
		for k, d := range demands {
			stay[k] = d * (1 + queue[k])
			total += stay[k]
		}
		if total <= 0 {
			return 0
		}
		rate = float64(i) / total
		for k := range demands {
			queue[k] = rate * stay[k]
		}
	}
	return rate
}

// meeting adds to the limits of all machines at work what is lost by chunks that meet: pieces of mb
// each, n of them under way, each with z seconds of waiting that is nobody's work.
func meeting(limits []Limit, n int, mb, z float64) []Limit {
	demands := make([]float64, len(limits))
	for i, l := range limits {
		demands[i] = mb / l.MBps
	}
	rate := closed(n, demands, z) * mb
	if rate <= 0 {
		return limits
	}
	return append(limits, Limit{What: fmt.Sprintf("%d pieces of %.2g MB under way that meet at %d resources", n, mb, len(limits)), Capacity: rate, Demand: 1, MBps: rate})
}
