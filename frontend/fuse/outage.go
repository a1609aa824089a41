package fuse

import (
	"context"
	"sync"
	"time"

	"github.com/honeyant/honeyant"
)

// outage remembers which threads were just told that the cluster is out of reach. The kernel takes an error as the answer
// to a name that it knows for a reason to look the name up again, so one stat(2) would wait for the deadline two or three
// times: what a thread looks at right after such an answer gets only what memory knows. Safe for concurrent use.
type outage struct {
	mu   sync.Mutex // guards told
	told map[uint32]time.Time
}

const (
	// sameWait is within how long after such an answer a request counts as part of the same system call.
	sameWait = 100 * time.Millisecond
	maxTold  = 1024
)

// tell notes the answer to a thread, 0 being none.
func (o *outage) tell(thread uint32, err error) {
	if thread == 0 || honeyant.KindOf(err) != honeyant.Unavailable {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if last, ok := o.told[thread]; ok && time.Since(last) < sameWait {
		return // the time counts from the first answer, so that a program that goes on trying waits again
	}
	if o.told == nil || len(o.told) >= maxTold {
		o.told = map[uint32]time.Time{}
	}
	o.told[thread] = time.Now()
}

// waited tells whether the thread has just waited in vain.
func (o *outage) waited(thread uint32) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	last, ok := o.told[thread]
	if ok && time.Since(last) >= sameWait {
		delete(o.told, thread)
		ok = false
	}
	return ok
}

// looks makes the call one that only looks, and so does not wait again if its program has just waited in vain.
func (c *call) looks() {
	if c.fs.outage.waited(c.thread) {
		ctx, end := context.WithDeadline(c.ctx, time.Now())
		former := c.end
		c.ctx, c.end = ctx, func() { end(); former() }
	}
}

// told is err, which the program is about to get.
func (c *call) told(err error) error {
	c.fs.outage.tell(c.thread, err)
	return err
}
