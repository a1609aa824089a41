package bench

import (
	"context"
	"errors"
	"math"
	"strconv"
	"time"
)

// burst runs the processors, then the disk, at full speed until their credits are spent,
// and tells what is left then.
func (s *session) burst(ctx context.Context) error {
	n := threads()
	ops := make([]func() float64, n)
	for i := range ops {
		op, err := primesKernel()
		if err != nil {
			return err
		}
		ops[i] = op
	}
	work := func(ctx context.Context, d time.Duration) (float64, error) {
		return rate(ctx, d, n, func(i int) float64 { return ops[i]() }), nil
	}
	params := map[string]string{"threads": strconv.Itoa(n)}
	if err := s.decay(ctx, "burst.cpu", params, work); err != nil {
		return err
	}
	if err := s.refill(ctx, params, work); err != nil {
		return err
	}
	w, err := s.workspace()
	if err != nil {
		return err
	}
	t, err := openTest(w, s.plan.FileBytes)
	if err != nil {
		return err
	}
	defer t.close()
	if _, err := t.write(ctx, 0, time.Minute); err != nil {
		return err
	}
	a, err := newAIO(t.f, depth, sector)
	if err != nil {
		return err
	}
	defer a.close()
	h := &histogram{}
	return s.decay(ctx, "burst.disk", t.params(), func(ctx context.Context, d time.Duration) (float64, error) {
		return a.run(ctx, d, opRead, func() int64 { return t.random.Int64N(t.filled/sector) * sector }, h)
	})
}

// burstSample is the length of one sample of the curve.
const burstSample = 10 * time.Second

// decay samples without a pause and finds the plateau.
func (s *session) decay(ctx context.Context, name string, params map[string]string, sample func(context.Context, time.Duration) (float64, error)) error {
	s.tell(Event{Name: name})
	spec, _ := Lookup(name)
	r := Result{Name: name, Group: spec.Group, Unit: spec.Unit, Better: spec.Better, Params: params, Before: glance()}
	every := min(burstSample, s.BurstFor/12)
	from, began := readTicks(), time.Now()
	var rates []float64
	for time.Since(began)+every/2 < s.BurstFor {
		tick := readTicks()
		v, err := sample(ctx, every)
		if err := ctx.Err(); err != nil {
			return err
		}
		if err != nil {
			s.skip(Skip{Name: name, Reason: err.Error()})
			return nil
		}
		rates = append(rates, v)
		r.Series = append(r.Series, Point{Seconds: time.Since(began).Seconds(), Value: v, Steal: readTicks().since(tick).StealPct})
	}
	c, err := fitDecay(rates)
	if err != nil {
		s.skip(Skip{Name: name, Reason: err.Error()})
		return nil
	}
	for i := range r.Series {
		r.Series[i].Value = 100 * r.Series[i].Value / c.peak
	}
	for _, v := range rates[c.from:] {
		r.Samples = append(r.Samples, 100*v/c.peak)
	}
	r.summarise()
	r.During, r.After, r.Seconds = readTicks().since(from), glance(), time.Since(began).Seconds()
	// The host's time is what is measured here, so that steal is no disturbance.
	r.Why = During{OthersPct: r.During.OthersPct}.taint()
	r.Tainted = len(r.Why) > 0
	r.Also = []Also{{"peak", c.peak, "/s"}, {"plateau", c.plateau, "/s"}, {"steady", boolean(!c.dropped), "yes=1"}}
	if c.dropped {
		r.Also = append(r.Also, Also{"until_plateau", r.Series[c.from].Seconds / 60, "min"})
	} else {
		r.Notes = append(r.Notes, "no drop within "+s.BurstFor.String()+": either nothing is rationed here, or the credits last longer")
	}
	s.keep(r)
	return nil
}

// refill tells what a rest gives back once the credits are spent.
func (s *session) refill(ctx context.Context, params map[string]string, work func(context.Context, time.Duration) (float64, error)) error {
	const name = "burst.refill"
	if !s.wanted(name) {
		return nil
	}
	spent := s.run.Find("burst.cpu")
	if spent == nil {
		s.skip(Skip{Name: name, Reason: "burst.cpu was not measured"})
		return nil
	}
	if steady, _ := spent.Value("steady"); steady != 0 {
		s.skip(Skip{Name: name, Reason: "no credits were spent, so that none can come back"})
		return nil
	}
	peak, _ := spent.Value("peak")
	plateau, _ := spent.Value("plateau")
	s.tell(Event{Name: name})
	rest := s.BurstFor / 4
	if err := Pause(ctx, rest); err != nil {
		return err
	}
	spec, _ := Lookup(name)
	r := Result{Name: name, Group: spec.Group, Unit: spec.Unit, Better: spec.Better, Params: params, Before: glance()}
	from, began := readTicks(), time.Now()
	v, err := work(ctx, min(burstSample, s.BurstFor/12))
	if err := errors.Join(err, ctx.Err()); err != nil {
		return err
	}
	r.Samples = []float64{100 * v / peak}
	r.summarise()
	r.During, r.After, r.Seconds = readTicks().since(from), glance(), time.Since(began).Seconds()
	r.Why = During{OthersPct: r.During.OthersPct}.taint()
	r.Tainted = len(r.Why) > 0
	r.Also = []Also{{"rest", rest.Minutes(), "min"}, {"above_plateau", 100 * (v - plateau) / peak, "%"}}
	r.Notes = []string{"one sample: a second rest would take as long again"}
	s.keep(r)
	return nil
}

func boolean(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// curve is what fitDecay found: a peak, then a plateau from sample number from on.
type curve struct {
	peak, plateau float64
	from          int
	dropped       bool
}

// leastDrop is how much lower than the peak a plateau must be to count as one.
const leastDrop = 0.10

// fitDecay fits a step: the split of the samples into two levels (medians) with the least
// sum of absolute errors. Without a step down of a tenth the whole is one plateau.
func fitDecay(rates []float64) (curve, error) {
	if len(rates) < 6 {
		return curve{}, errors.New("too few samples for a curve")
	}
	spread := func(part []float64) (level, sum float64) {
		level = Median(part)
		for _, v := range part {
			sum += math.Abs(v - level)
		}
		return level, sum
	}
	whole, _ := spread(rates)
	if whole <= 0 {
		return curve{}, errors.New("nothing was done in most of the samples")
	}
	best := curve{peak: whole, plateau: whole}
	least := math.Inf(1)
	for cut := 1; cut <= len(rates)-3; cut++ {
		high, e1 := spread(rates[:cut])
		low, e2 := spread(rates[cut:])
		if e1+e2 < least {
			least = e1 + e2
			if high > 0 && low < high*(1-leastDrop) {
				best = curve{peak: high, plateau: low, from: cut, dropped: true}
			} else {
				best = curve{peak: whole, plateau: whole}
			}
		}
	}
	return best, nil
}
