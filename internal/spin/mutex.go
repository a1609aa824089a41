// Package spin has a mutex for what is held for microseconds, and wanted by threads that are dear to wake.
package spin

import "sync"

// Mutex is a sync.Mutex of which one waits for some thirty microseconds before one sleeps. The zero value is unlocked.
//
// A goroutine that is bound to a thread, as those that answer the kernel are, costs two switches of threads when it sleeps, each more
// than such a lock is held; sync.Mutex itself tries for a few microseconds only. If who holds it was set aside by the kernel
// trying is in vain, which is what the bound is for.
type Mutex struct{ m sync.Mutex }

// tries take about a nanosecond each.
const tries = 30_000

// Lock takes the mutex.
func (m *Mutex) Lock() {
	for range tries {
		if m.m.TryLock() {
			return
		}
	}
	m.m.Lock()
}

// Unlock gives it back.
func (m *Mutex) Unlock() { m.m.Unlock() }
