// Package spin has a mutex for what is held for microseconds, and wanted by threads that are dear to wake.
package spin

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// Mutex is a sync.Mutex of which one waits for some thirty microseconds before one sleeps. The zero value is unlocked.
//
// A goroutine that is bound to a thread, as those that answer the kernel are, costs two switches of threads when it sleeps, each more
// than such a lock is held; sync.Mutex itself tries for a few microseconds only. If who holds it was set aside by the kernel
// trying is in vain, which is what the bound is for.
type Mutex struct {
	m       sync.Mutex
	waiting atomic.Int32
}

// tries take about a nanosecond each.
const tries = 30_000

// Lock takes the mutex.
func (m *Mutex) Lock() {
	if m.m.TryLock() {
		return
	}
	m.waiting.Add(1)
	defer m.waiting.Add(-1)
	for range tries {
		if m.m.TryLock() {
			return
		}
	}
	m.m.Lock()
}

// Unlock gives it back.
func (m *Mutex) Unlock() { m.m.Unlock() }

// LetOthers is for who takes the mutex again and again in the background, and does not have it: it returns when nobody waits for it, or
// after a moment. Without it those who wait would seldom be the first to see that it is free.
func (m *Mutex) LetOthers() {
	for range yields {
		for range tries / yields {
			if m.waiting.Load() == 0 {
				return
			}
		}
		runtime.Gosched()
	}
}

// yields is how often LetOthers gives its processor away.
const yields = 10
