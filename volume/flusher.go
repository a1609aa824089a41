package volume

import (
	"sync/atomic"
	"time"

	"github.com/honeyant/honeyant"
)

// flusher sends what has been dirty for Options.FlushInterval.
type flusher struct {
	wake      chan struct{} // capacity 1: one call is as good as many
	idle      atomic.Bool
	sent      atomic.Int64 // inodes that were sent together, at the last time
	relieving atomic.Bool
	last      atomic.Int64 // and when that was, in nanoseconds since 1970
}

// alone tells whether not many inodes were sent a moment ago, so that who comes now has no company.
func (fl *flusher) alone() bool {
	return fl.sent.Load() < fewFlights || time.Since(time.Unix(0, fl.last.Load())) > companyTime
}

// relieve sends what is dirty when it takes half of the memory for it, before writers have to wait.
func (fl *flusher) relieve(v *Volume) {
	if v.stats.dirty.Load() < v.o.WriteMemory/2 || !fl.relieving.CompareAndSwap(false, true) {
		return
	}
	if !v.start(func() {
		v.pressure()
		fl.relieving.Store(false)
	}) {
		fl.relieving.Store(false)
	}
}

// heldDirty is how old bytes become before they are sent, and heldRecord how old they and other changes become before the
// journal is flushed, if the inode is held.
func heldDirty(flushInterval time.Duration) time.Duration  { return flushInterval * 3 / 4 }
func heldRecord(flushInterval time.Duration) time.Duration { return flushInterval * 7 / 8 }

const (
	fewFlights  = 8
	companyTime = 100 * time.Millisecond
)

// together notes that so many inodes are sent at once.
func (fl *flusher) together(n int64) {
	fl.sent.Store(n)
	fl.last.Store(time.Now().UnixNano())
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

// flushDue freezes what is due now or soon, and tells when the next is. What is committed to the journal is sent early enough to go to
// the leader with the names of new files, before it is FlushInterval old, and takes along what was written since then: the more
// small files go together, the fewer chunks and commits there are.
func (v *Volume) flushDue() (next time.Time, any bool) {
	interval := v.o.FlushInterval
	company := interval / 20
	if v.link.current().holder != nil {
		interval = heldDirty(interval)
		company = interval * 2 / 3
	}
	soon := time.Now().Add(company)
	all := v.allInodes()
	due := int64(0)
	for _, in := range all {
		in.mu.Lock()
		if len(in.dirty) > 0 && !in.dirtySince.Add(interval).After(soon) {
			due++
		}
		in.mu.Unlock()
	}
	v.flusher.together(due)
	for _, in := range all {
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

// sendTogether sends what is dirty of many inodes, so that small files share chunks, and does not wait. Of a few the bytes go
// with the metadata, one after the other, which is sooner.
func (v *Volume) sendTogether(inos []honeyant.Ino) {
	if len(inos) < fewFlights {
		return
	}
	v.flusher.together(int64(len(inos)))
	for _, ino := range inos {
		if in := v.peek(ino); in != nil {
			in.mu.Lock()
			in.freeze()
			in.mu.Unlock()
			in.release()
		}
	}
}

// pressure sends everything that is dirty, because somebody waits for memory.
func (v *Volume) pressure() {
	all := v.allInodes()
	v.flusher.together(int64(len(all)))
	for _, in := range all {
		in.mu.Lock()
		in.freeze()
		in.mu.Unlock()
	}
}
