package bench

import (
	"context"
	"fmt"
	"time"

	"github.com/honeyant/honeyant"
)

// Trial is one measurement that another package makes with the discipline of this one:
// warm-up, repeats, spread, watching of the machine.
type Trial struct {
	Name   string // of the Catalogue
	Peer   *Peer
	Params map[string]string
	Length time.Duration // of a sample; 0 for one with a length of its own
	Warm   time.Duration // length of the warm-up
	Unit   string        // of single operations that are observed: "µs" or "ms"
	Gentle bool
	// Sample runs for about d and returns the figure; it may observe single operations.
	Sample func(ctx context.Context, d time.Duration, observe func(time.Duration)) (float64, error)
	Finish func(r *Result) // may be nil
}

// trialRepeats is how many samples a trial takes.
const trialRepeats = 5

// Run makes the measurement. Errors: those of Sample and of ctx; Internal for a name that
// is not in the catalogue.
func (t Trial) Run(ctx context.Context) (Result, error) {
	spec, ok := Lookup(t.Name)
	if !ok {
		return Result{}, honeyant.E("bench.Trial", honeyant.Internal, t.Name, fmt.Errorf("not in the catalogue"))
	}
	h := &histogram{}
	s := &session{Options: Options{Gentle: t.Gentle}, pace: pace{repeats: trialRepeats, sample: t.Length, warm: max(t.Warm, time.Millisecond)}}
	r := Result{Name: t.Name, Group: spec.Group, Unit: spec.Unit, Better: spec.Better, Params: t.Params, Peer: t.Peer}
	err := s.sample(ctx, &r, probe{length: t.Length, warm: t.Warm, lat: h, unit: t.Unit, finish: t.Finish,
		sample: func(ctx context.Context, d time.Duration) (float64, error) { return t.Sample(ctx, d, h.add) }})
	return r, err
}

// MedianOf is the median of durations in milliseconds: the figure of a sample of single operations.
func MedianOf(times []time.Duration) float64 {
	v := make([]float64, len(times))
	for i, d := range times {
		v[i] = milliseconds(d)
	}
	return Median(v)
}

// NewRun begins a run that is put together from results made elsewhere, on this machine.
func NewRun(ctx context.Context, o Options) *Run {
	o = o.withDefaults()
	host := ReadHost(ctx, o.Dir)
	if o.Metadata {
		host.AskPlan(ctx)
	}
	host.Node = o.Node
	now := time.Now()
	state := glance()
	return &Run{Schema: Schema, ID: newID(now), Began: now.UTC(), Ended: now.UTC(), Profile: o.Profile, Groups: o.Groups, Gentle: o.Gentle,
		Tool: toolOf(o), Host: host, Before: state, After: state, Results: []Result{}}
}

// Close notes the end of a run made by NewRun, and whether its results were disturbed.
func (r *Run) Close() {
	r.Ended, r.After, r.Why = time.Now().UTC(), glance(), nil
	r.judge()
}
