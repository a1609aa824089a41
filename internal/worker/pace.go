package worker

import (
	"context"
	"time"
)

// Pace is a running job's link to its Group. Wait is for the job's own goroutine alone;
// Progress and Count are safe for concurrent use.
type Pace struct {
	job   *job
	begin time.Time // of the step, or of what follows the last Wait
}

// Wait sleeps as the pace wants after what was done since the step or the last Wait began,
// and while the job is paused. Long steps call it between their parts. It returns ctx's
// error once that ended.
func (p *Pace) Wait(ctx context.Context) error {
	j := p.job
	j.mu.Lock()
	j.recent.add(time.Since(p.begin))
	d := j.recent.sleep(j.status.Pace)
	j.mu.Unlock()
	if !j.throttle(ctx, d) || !j.unpaused(ctx) {
		return context.Cause(ctx)
	}
	j.set(func() { j.status.State, j.status.Next = Busy, time.Time{} })
	p.begin = time.Now()
	return nil
}

// Progress tells how far the work is, in words and as done of total in any one unit (total
// 0: unknown). The ETA follows from the speed since done was first told or last fell.
func (p *Pace) Progress(text string, done, total uint64) {
	j := p.job
	now := time.Now()
	j.mu.Lock()
	defer j.mu.Unlock()
	s := &j.status
	if j.since.IsZero() || done < s.Done {
		j.since, j.first = now, done
	}
	s.Text, s.Done, s.Total, s.ETA = text, done, total, 0
	if moved := done - j.first; moved > 0 && total > done {
		s.ETA = time.Duration(float64(now.Sub(j.since)) / float64(moved) * float64(total-done))
	}
}

// Count adds n to a counter of the job.
func (p *Pace) Count(counter string, n uint64) {
	p.job.set(func() {
		if p.job.status.Counters == nil {
			p.job.status.Counters = map[string]uint64{}
		}
		p.job.status.Counters[counter] += n
	})
}

// tranquil remembers how long the last steps took.
type tranquil struct {
	took [5]time.Duration
	n    int
}

func (t *tranquil) add(d time.Duration) {
	t.took[t.n%len(t.took)] = max(d, 0)
	t.n++
}

// maxSleep bounds one rest between steps, so that a single slow step can not stop a job.
const maxSleep = 30 * time.Second

// sleep is pace times the mean of the last steps.
func (t *tranquil) sleep(pace float64) time.Duration {
	n := min(t.n, len(t.took))
	if n == 0 || pace <= 0 {
		return 0
	}
	var sum time.Duration
	for _, d := range t.took[:n] {
		sum += d
	}
	return time.Duration(min(float64(sum)/float64(n)*pace, float64(maxSleep)))
}
