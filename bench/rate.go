package bench

import (
	"context"
	"sync"
	"time"
)

// rate runs op again and again on each of n goroutines for d and returns the sum of their
// rates, in op's units per second. Each op should take between 1 µs and 10 ms: the clock
// is read after every one. It ends early with ctx.
func rate(ctx context.Context, d time.Duration, n int, op func(thread int) (units float64)) float64 {
	rates := make([]float64, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Add(1)
		go func() {
			defer wg.Done()
			units, began := 0.0, time.Now()
			for {
				units += op(i)
				if passed := time.Since(began); passed >= d || ctx.Err() != nil {
					rates[i] = units / passed.Seconds()
					return
				}
			}
		}()
	}
	wg.Wait()
	sum := 0.0
	for _, r := range rates {
		sum += r
	}
	return sum
}

// timed is a probe's sample that calls rate and scales the result.
func timed(n int, scale float64, op func(thread int) float64) func(context.Context, time.Duration) (float64, error) {
	return func(ctx context.Context, d time.Duration) (float64, error) {
		return rate(ctx, d, n, op) * scale, nil
	}
}
