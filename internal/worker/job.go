package worker

import (
	"context"
	"sync"
	"time"
)

// State is what a job does at present.
type State uint8

// Busy runs a step; Throttled sleeps for its pace; Idle waits for its time or a Wake, also
// after an error; Paused waits for Resume; Done has ended.
const (
	Idle State = iota
	Busy
	Throttled
	Paused
	Done
)

// String is the state in one word.
func (s State) String() string {
	return [...]string{"idle", "busy", "throttled", "paused", "done"}[min(s, Done)]
}

// Job describes background work.
type Job struct {
	// Name is unique in its Group.
	Name string
	// Every is how long the job rests when there is no more to do; 0: until Wake.
	Every time.Duration
	// Delay postpones the first step.
	Delay time.Duration
	// Once ends the job when there is no more to do.
	Once bool
	// Pace is how long to sleep per time worked: 0 never sleeps, 1 works half of the time.
	Pace float64
	// Backoff is the rest after a first error (default 1 s); it doubles up to MaxBackoff
	// (default 1 min).
	Backoff, MaxBackoff time.Duration
	// Run does one step (a fraction of a second of work, or less often if it calls p.Wait)
	// and tells whether there is more to do now. It must end soon after ctx does.
	Run func(ctx context.Context, p *Pace) (more bool, err error)
}

// Status is a job at one moment.
type Status struct {
	Name     string
	State    State
	Pace     float64
	Steps    uint64            // steps done, with and without error
	Errors   uint64            // steps that ended with an error
	Failing  uint64            // of these, the ones since the last step that did not
	LastErr  error             // of the last step that failed, nil if none did
	LastAt   time.Time         // when that was
	Text     string            // progress in words, as the job tells it
	Done     uint64            // progress in the job's own unit
	Total    uint64            // 0: unknown
	ETA      time.Duration     // estimated rest of the work, 0 if unknown
	Next     time.Time         // when an idle job runs again, zero if it waits for a Wake
	Counters map[string]uint64 // what the job counts since it started
}

// job is a running Job. Its goroutine runs loop.
type job struct {
	Job
	cancel context.CancelFunc
	ended  chan struct{}
	wake   chan struct{} // 1: a Wake that comes during a step is kept, more are one
	change chan struct{} // 1: pause or pace have changed

	mu     sync.Mutex // guards all below
	status Status
	paused bool
	since  time.Time // when Done was first told
	first  uint64    // and what it was
	recent tranquil
}

func (j *job) loop(ctx context.Context) {
	defer close(j.ended)
	defer j.set(func() { j.status.State, j.status.Next = Done, time.Time{} })
	if j.Delay > 0 && !j.rest(ctx, Idle, j.Delay, true) {
		return
	}
	p := &Pace{job: j}
	for j.unpaused(ctx) {
		j.set(func() { j.status.State, j.status.Next = Busy, time.Time{} })
		select {
		case <-j.wake: // this step answers every Wake before it
		default:
		}
		p.begin = time.Now()
		more, err := j.Run(ctx, p)
		if ctx.Err() != nil {
			return
		}
		rest := j.finish(p, err)
		switch {
		case err != nil:
			if !j.rest(ctx, Idle, rest, true) {
				return
			}
		case more:
			if !j.throttle(ctx, rest) {
				return
			}
		case j.Once:
			return
		default:
			if !j.rest(ctx, Idle, j.Every, true) {
				return
			}
		}
	}
}

// finish books a step and tells how long to rest: after an error the backoff, else the pace.
func (j *job) finish(p *Pace, err error) time.Duration {
	now := time.Now()
	j.mu.Lock()
	defer j.mu.Unlock()
	j.status.Steps++
	if err != nil {
		j.status.Errors++
		j.status.Failing++
		j.status.LastErr, j.status.LastAt = err, now
		return backoff(j.Backoff, j.MaxBackoff, j.status.Failing)
	}
	j.status.Failing = 0
	j.recent.add(now.Sub(p.begin))
	return j.recent.sleep(j.status.Pace)
}

// backoff is first doubled failing-1 times, at most most.
func backoff(first, most time.Duration, failing uint64) time.Duration {
	d := first
	for range min(failing-1, 30) {
		if d *= 2; d >= most {
			break
		}
	}
	return min(d, most)
}

// throttle sleeps for the pace; a pause or another pace ends it early.
func (j *job) throttle(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	return j.rest(ctx, Throttled, d, false)
}

// rest waits for d (0: for ever), a Wake if it may be woken, or a pause; false if ctx ended.
func (j *job) rest(ctx context.Context, s State, d time.Duration, wakes bool) bool {
	var timer <-chan time.Time
	if d > 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		timer = t.C
	}
	j.set(func() {
		j.status.State, j.status.Next = s, time.Time{}
		if d > 0 {
			j.status.Next = time.Now().Add(d)
		}
	})
	wake := j.wake
	if !wakes {
		wake = nil
	}
	for {
		select {
		case <-ctx.Done():
			return false
		case <-timer:
			return true
		case <-wake:
			return true
		case <-j.change:
			if !j.unpaused(ctx) {
				return false
			}
			if !wakes {
				return true // another pace: sleep anew after the next step
			}
			j.set(func() { j.status.State = s })
		}
	}
}

// unpaused waits while the job is paused; false if ctx ended.
func (j *job) unpaused(ctx context.Context) bool {
	for {
		j.mu.Lock()
		paused := j.paused
		if paused {
			j.status.State, j.status.Next = Paused, time.Time{}
		}
		j.mu.Unlock()
		if !paused {
			return ctx.Err() == nil
		}
		select {
		case <-ctx.Done():
			return false
		case <-j.change:
		}
	}
}

func (j *job) set(f func()) {
	j.mu.Lock()
	defer j.mu.Unlock()
	f()
}

func notify(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}
