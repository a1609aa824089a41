package worker

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/honeyant/honeyant"
)

// Group owns jobs. Safe for concurrent use. The zero value is ready.
type Group struct {
	mu     sync.Mutex // guards jobs and closed
	jobs   map[string]*job
	closed bool
}

// Start runs a job until it is done, ctx ends, or Stop or Close. The name of a job that has
// ended may be used again. Errors: Exist if a job of that name runs, Invalid if the job has
// no name or no Run, Unavailable after Close.
func (g *Group) Start(ctx context.Context, spec Job) error {
	const op = "worker.Start"
	if spec.Name == "" || spec.Run == nil || spec.Pace < 0 {
		return honeyant.E(op, honeyant.Invalid, spec.Name, errors.New("a job needs a name, a Run and a pace of at least 0"))
	}
	if spec.Backoff <= 0 {
		spec.Backoff = time.Second
	}
	if spec.MaxBackoff <= 0 {
		spec.MaxBackoff = time.Minute
	}
	spec.MaxBackoff = max(spec.MaxBackoff, spec.Backoff)
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return honeyant.E(op, honeyant.Unavailable, spec.Name, errors.New("the group is closed"))
	}
	if old := g.jobs[spec.Name]; old != nil && !old.over() {
		return honeyant.E(op, honeyant.Exist, spec.Name, nil)
	}
	if g.jobs == nil {
		g.jobs = map[string]*job{}
	}
	ctx, cancel := context.WithCancel(ctx)
	j := &job{
		Job: spec, cancel: cancel, ended: make(chan struct{}),
		wake: make(chan struct{}, 1), change: make(chan struct{}, 1),
		status: Status{Name: spec.Name, Pace: spec.Pace},
	}
	g.jobs[spec.Name] = j
	go j.loop(ctx)
	return nil
}

// List tells all jobs, sorted by name.
func (g *Group) List() []Status {
	g.mu.Lock()
	jobs := slices.Collect(maps.Values(g.jobs))
	g.mu.Unlock()
	list := make([]Status, 0, len(jobs))
	for _, j := range jobs {
		j.mu.Lock()
		s := j.status
		s.Counters = maps.Clone(s.Counters)
		if j.paused && s.State != Busy && s.State != Done {
			s.State = Paused
		}
		j.mu.Unlock()
		list = append(list, s)
	}
	slices.SortFunc(list, func(a, b Status) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// Pause lets a job rest after its present step until Resume. NotExist if there is none.
func (g *Group) Pause(name string) error {
	return g.with("worker.Pause", name, func(j *job) { j.paused = true })
}

// Resume undoes Pause; a job that is not paused goes on as it is.
func (g *Group) Resume(name string) error {
	return g.with("worker.Resume", name, func(j *job) { j.paused = false })
}

// SetPace changes how long a job sleeps per time worked; see Job.Pace.
func (g *Group) SetPace(name string, pace float64) error {
	if !(pace >= 0 && pace <= 1e6) {
		return honeyant.E("worker.SetPace", honeyant.Invalid, name, errors.New("the pace is a number from 0 to 1000000"))
	}
	return g.with("worker.SetPace", name, func(j *job) { j.status.Pace = pace })
}

// Wake lets a resting job run at once, also one that rests after an error; during a step it
// is kept for the next rest. A paused job stays paused.
func (g *Group) Wake(name string) error {
	j, err := g.find("worker.Wake", name)
	if err == nil {
		notify(j.wake)
	}
	return err
}

// Stop ends a job and waits for it. NotExist if there is none.
func (g *Group) Stop(name string) error {
	j, err := g.find("worker.Stop", name)
	if err != nil {
		return err
	}
	j.cancel()
	<-j.ended
	return nil
}

// Close ends all jobs and waits for them.
func (g *Group) Close() error {
	g.mu.Lock()
	g.closed = true
	jobs := slices.Collect(maps.Values(g.jobs))
	g.mu.Unlock()
	for _, j := range jobs {
		j.cancel()
	}
	for _, j := range jobs {
		<-j.ended
	}
	return nil
}

func (g *Group) find(op, name string) (*job, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	j := g.jobs[name]
	if j == nil {
		return nil, honeyant.E(op, honeyant.NotExist, name, errors.New("no such job"))
	}
	return j, nil
}

// with changes a job under its lock and lets its goroutine know.
func (g *Group) with(op, name string, f func(*job)) error {
	j, err := g.find(op, name)
	if err != nil {
		return err
	}
	j.set(func() { f(j) })
	notify(j.change)
	return nil
}

func (j *job) over() bool {
	select {
	case <-j.ended:
		return true
	default:
		return false
	}
}
