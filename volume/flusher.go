package volume

import (
	"sync/atomic"
	"time"
)

// flusher sends what has been dirty for Options.FlushInterval.
type flusher struct {
	wake chan struct{} // capacity 1: one call is as good as many
	idle atomic.Bool
}

// noticeDirty is called when an inode becomes dirty.
func (fl *flusher) noticeDirty() {
	if fl.idle.CompareAndSwap(true, false) {
		select {
		case fl.wake <- struct{}{}:
		default:
		}
	}
}

// flushOld runs until the volume is closed. All inodes have the same interval, so an inode that
// becomes dirty while the timer runs is never due before it.
func (v *Volume) flushOld() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		v.flusher.idle.Store(true)
		next, any := v.flushDue()
		if any {
			v.flusher.idle.Store(false)
			timer.Reset(time.Until(next))
		}
		select {
		case <-v.flusher.wake:
		case <-timer.C:
		case <-v.ctx.Done():
			return
		}
	}
}

// flushDue freezes what is due now or within a twentieth of the interval, and tells when the next is.
func (v *Volume) flushDue() (next time.Time, any bool) {
	interval := v.o.FlushInterval
	if v.link.current().holder != nil {
		interval /= 2 // then it waits in the journal for as long
	}
	soon := time.Now().Add(interval / 20)
	for _, in := range v.allInodes() {
		in.mu.Lock()
		if len(in.dirty) > 0 {
			due := in.dirtySince.Add(interval)
			if !due.After(soon) {
				in.freeze()
			} else if !any || due.Before(next) {
				next, any = due, true
			}
		}
		in.mu.Unlock()
	}
	return next, any
}

// pressure sends everything that is dirty, because somebody waits for memory.
func (v *Volume) pressure() {
	for _, in := range v.allInodes() {
		in.mu.Lock()
		in.freeze()
		in.mu.Unlock()
	}
}
