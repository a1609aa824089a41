package spin

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// One at a time has it, and who waits for long gets it, too.
func TestMutex(t *testing.T) {
	var m Mutex
	var all sync.WaitGroup
	n := 0
	for range 8 {
		all.Go(func() {
			for i := range 2000 {
				m.Lock()
				was := n
				if i%500 == 0 {
					hold(time.Millisecond) // much longer than anybody tries
				}
				n = was + 1
				m.Unlock()
			}
		})
	}
	all.Wait()
	if n != 8*2000 {
		t.Errorf("counted %d", n)
	}
}

// Who takes it again and again lets those have it who wait, and is not kept for ever by one who comes again and again, too.
func TestLetOthers(t *testing.T) {
	var m Mutex
	var done, ready atomic.Bool
	got := make(chan int, 1)
	var all sync.WaitGroup
	all.Go(func() {
		n := 0
		for !done.Load() {
			m.Lock()
			n++
			m.Unlock()
			ready.Store(true)
		}
		got <- n
	})
	for !ready.Load() {
		runtime.Gosched()
	}
	const times = 200
	for range times {
		m.LetOthers()
		m.Lock()
		for m.waiting.Load() == 0 {
			runtime.Gosched()
		}
		m.Unlock()
	}
	done.Store(true)
	all.Wait()
	if n := <-got; n < times/2 {
		t.Errorf("the other one had it %d times beside %d", n, times)
	}
}

// BenchmarkMutex is of sections of a microsecond, wanted by as many as there are CPUs, and again at once.
func BenchmarkMutex(b *testing.B) {
	bench := func(m sync.Locker) func(b *testing.B) {
		return func(b *testing.B) {
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					m.Lock()
					hold(time.Microsecond)
					m.Unlock()
				}
			})
		}
	}
	b.Run("spin", bench(new(Mutex)))
	b.Run("sync", bench(new(sync.Mutex)))
}

// hold works for so long.
func hold(d time.Duration) {
	for start := time.Now(); time.Since(start) < d; {
	}
}
