package bench

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math/big"
	"runtime"
	"slices"
	"time"
)

// gentleRest is how many times the length of a sample a gentle run pauses after it.
const gentleRest = 3

// session is a run under way. Used by one goroutine.
type session struct {
	Options
	pace pace
	plan *Plan
	run  *Run
	host *Host
	done int
	of   int
	work *Workspace // opened by the first group that needs it
	left time.Time  // when the run should be over
}

// Execute carries out a plan. When ctx ends the run stops at once, and what was measured
// until then is returned with Stopped set; every file is gone in either case. An error
// means that there is no run at all.
func Execute(ctx context.Context, p *Plan) (run *Run, err error) {
	o := p.options
	if o.Gentle {
		if err := yieldToOthers(); err != nil {
			o.Log.Warn("the priority could not be lowered", "error", err)
		}
	}
	host := ReadHost(ctx, o.Dir)
	if o.Metadata {
		host.AskPlan(ctx)
	}
	if o.Plan != "" {
		host.Plan = o.Plan
	}
	if o.Region != "" {
		host.Region = o.Region
	}
	host.Node = o.Node
	s := &session{Options: o, pace: o.pace(), plan: p, host: &host, left: time.Now().Add(p.Total.Lasts)}
	s.run = &Run{Schema: Schema, ID: newID(time.Now()), Began: time.Now().UTC(), Profile: o.Profile, Groups: p.Groups, Gentle: o.Gentle,
		Tool: toolOf(o), Results: []Result{}}
	if len(p.Groups) == 1 && p.Groups[0] == "burst" {
		s.run.Profile = Burst
	}
	for _, spec := range Catalogue() {
		if slices.Contains(p.Groups, spec.Group) && !spec.ofPair() && s.wanted(spec.Name) {
			s.of++
		}
	}
	defer func() {
		if s.work != nil {
			err = errors.Join(err, s.work.Close())
		}
	}()
	spent := readSpent()
	s.run.Before = watch(ctx, s.pace.watch)
	for _, g := range p.Groups {
		if ctx.Err() != nil {
			break
		}
		if err := s.group(ctx, g); err != nil && ctx.Err() == nil {
			s.skipGroup(g, err.Error())
		}
	}
	s.run.After = watch(ctx, s.pace.watch)
	s.run.Spent = readSpent().since(spent)
	s.finish(ctx)
	return s.run, nil
}

// group runs one group. An error means that nothing more of the group can be measured.
func (s *session) group(ctx context.Context, name string) error {
	steps := map[string]func(context.Context) error{
		"cpu": s.cpu, "mem": s.mem, "random": s.random, "codec": s.codec, "tls": s.tls, "disk": s.disk, "spawn": s.spawn,
		"compile": s.compile, "net": s.net, "ssh": s.ssh, "fs": s.fs, "burst": s.burst,
	}
	return steps[name](ctx)
}

func (s *session) finish(ctx context.Context) {
	r := s.run
	r.Ended, r.Host = time.Now().UTC(), *s.host
	if err := context.Cause(ctx); err != nil {
		r.Stopped = "the run was stopped before its end"
	}
	r.Why = r.Before.busy()
	for i := range r.Why {
		r.Why[i] = "before: " + r.Why[i]
	}
	r.judge()
}

func toolOf(o Options) Tool {
	return Tool{Name: "honeyant", Version: o.Version, Go: runtime.Version()}
}

// judge counts the disturbed results.
func (r *Run) judge() {
	tainted := 0
	for i := range r.Results {
		if r.Results[i].Tainted {
			tainted++
		}
	}
	if tainted > 0 {
		r.Why = append(r.Why, fmt.Sprintf("%d of %d results were disturbed; each says by what", tainted, len(r.Results)))
	}
	r.Tainted = len(r.Why) > 0
}

// newID is a run's name: UTC time and 5 random letters.
func newID(now time.Time) string {
	const letters = "abcdefghijkmnpqrstuvwxyz23456789"
	id := []byte(now.UTC().Format("20060102T150405Z-"))
	for range 5 {
		n, err := rand.Int(rand.Reader, big.NewInt(int64(len(letters))))
		if err != nil {
			n = big.NewInt(now.UnixNano() % int64(len(letters)))
		}
		id = append(id, letters[n.Int64()])
	}
	return string(id)
}

// workspace is the directory to write in, made when first asked for.
func (s *session) workspace() (*Workspace, error) {
	if s.work == nil {
		w, err := OpenWorkspace(s.Dir)
		if err != nil {
			return nil, err
		}
		s.work = w
	}
	return s.work, nil
}

// probe is how one measurement is made.
type probe struct {
	// sample runs for about d, or once if the work has a length of its own, and returns
	// the figure in the unit of the Spec.
	sample func(ctx context.Context, d time.Duration) (float64, error)
	length time.Duration // of a sample; default pace.sample
	warm   time.Duration // length of the warm-up sample; default pace.warm; negative for none
	params map[string]string
	warmed func()     // called after the warm-up; may be nil
	lat    *histogram // filled by sample; emptied after the warm-up
	unit   string     // of lat
	finish func(r *Result)
	peer   *Peer
	// crowded says that other processes belong to the measurement, so that their
	// processor time is no disturbance.
	crowded bool
}

// wanted tells whether a measurement is to be made at all.
func (s *session) wanted(name string) bool { return len(s.Only) == 0 || slices.Contains(s.Only, name) }

// measure makes one measurement and keeps its result. It returns the result, or nil if it
// was left out, which is noted; the error is that of ctx only.
func (s *session) measure(ctx context.Context, name string, p probe) (*Result, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	spec, ok := Lookup(name)
	if !ok {
		return nil, fmt.Errorf("%s is not in the catalogue", name)
	}
	if !s.wanted(name) {
		return nil, nil
	}
	s.tell(Event{Name: name})
	r := Result{Name: name, Group: spec.Group, Unit: spec.Unit, Better: spec.Better, Params: p.params, Peer: p.peer}
	if err := s.sample(ctx, &r, p); err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		s.skip(Skip{Name: name, Peer: p.peer, Reason: err.Error()})
		return nil, nil
	}
	return s.keep(r), nil
}

func (s *session) sample(ctx context.Context, r *Result, p probe) error {
	length, warm := p.length, p.warm
	if length == 0 {
		length = s.pace.sample
	}
	if warm == 0 {
		warm = min(s.pace.warm, length)
	}
	began := time.Now()
	if warm > 0 {
		if _, err := p.sample(ctx, warm); err != nil {
			return err
		}
		if p.lat != nil {
			*p.lat = histogram{}
		}
		if p.warmed != nil {
			p.warmed()
		}
	}
	r.Before = glance()
	from := readTicks()
	for range s.pace.repeats {
		at := time.Now()
		v, err := p.sample(ctx, length)
		if err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if !finite(v) {
			return errors.New("too fast for this clock")
		}
		r.Samples = append(r.Samples, v)
		if s.Gentle {
			if err := Pause(ctx, gentleRest*time.Since(at)); err != nil {
				return err
			}
		}
	}
	r.During, r.After = readTicks().since(from), glance()
	r.summarise()
	r.Latency = p.lat.latency(p.unit)
	r.Seconds = time.Since(began).Seconds()
	if p.crowded {
		r.Why = During{StealPct: r.During.StealPct}.taint()
	} else {
		r.Why = r.During.taint()
	}
	r.Tainted = len(r.Why) > 0
	if p.finish != nil {
		p.finish(r)
	}
	return nil
}

// derive keeps a figure that follows from others.
func (s *session) derive(name string, value float64, finish func(r *Result)) {
	spec, ok := Lookup(name)
	if !ok || !finite(value) || !s.wanted(name) {
		return
	}
	now := glance()
	r := Result{Name: name, Group: spec.Group, Unit: spec.Unit, Better: spec.Better, Samples: []float64{value}, Before: now, After: now}
	r.summarise()
	if finish != nil {
		finish(&r)
	}
	s.keep(r)
}

// keep adds a result to the run and tells it.
func (s *session) keep(r Result) *Result {
	s.run.Results = append(s.run.Results, r)
	s.done++
	kept := &s.run.Results[len(s.run.Results)-1]
	s.tell(Event{Name: r.Name, Result: kept})
	return kept
}

func (s *session) skip(one Skip) {
	if !s.wanted(one.Name) {
		return
	}
	s.run.Skipped = append(s.run.Skipped, one)
	s.done++
	s.tell(Event{Name: one.Name, Skip: &s.run.Skipped[len(s.run.Skipped)-1]})
}

// skipGroup notes that what is left of a group was not measured.
func (s *session) skipGroup(group, reason string) {
	for _, spec := range Catalogue() {
		made := s.run.Find(spec.Name) != nil || slices.ContainsFunc(s.run.Skipped, func(k Skip) bool { return k.Name == spec.Name })
		if spec.Group == group && !made && !spec.ofPair() {
			s.skip(Skip{Name: spec.Name, Reason: reason})
		}
	}
}

func (s *session) tell(e Event) {
	e.Done, e.Of, e.Left = s.done, s.of, max(time.Until(s.left), 0)
	s.Progress(e)
}

// Pause waits for d or the end of ctx, whose error it returns.
func Pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
