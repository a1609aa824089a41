package history

import (
	"fmt"
	"math"
	"slices"

	"github.com/honeyant/honeyant/bench"
)

// Outlier is a figure that is far from what the same machine gave before.
type Outlier struct {
	Key    string   `json:"key"`
	Title  string   `json:"title"`
	Unit   string   `json:"unit"`
	Now    float64  `json:"now"`
	Usual  float64  `json:"usual"` // median of the earlier runs
	Runs   int      `json:"runs"`  // how many those were
	Ratio  float64  `json:"ratio"`
	Causes []string `json:"causes"` // what was different too; never empty
}

// String is the outlier as one line.
func (o Outlier) String() string {
	s := fmt.Sprintf("%s: %s %s, %.1f× the median of %d earlier runs (%s)", o.Title, number(o.Now), o.Unit, o.Ratio, o.Runs, number(o.Usual))
	for i, c := range o.Causes {
		if i == 0 {
			s += "; "
		} else {
			s += ", "
		}
		s += c
	}
	return s
}

// An outlier differs by at least this factor and this many robust deviations (Iglewicz and
// Hoaglin 1993) from the medians of at least so many earlier runs.
const (
	outlierFactor = 1.5
	outlierScore  = 3.5
	outlierRuns   = 3
)

// Outliers finds the figures of run that are far from the earlier runs of the same machine
// among all, and says what else was different: another processor behind the same plan, time
// stolen by the host, other programs, a paced run, a newer kernel.
func Outliers(run *bench.Run, all []*bench.Run) []Outlier {
	var earlier []*bench.Run
	for _, r := range all {
		if r.ID != run.ID && r.Began.Before(run.Began) && sameMachine(r.Host, run.Host) {
			earlier = append(earlier, r)
		}
	}
	before := byKey(earlier)
	var found []Outlier
	for i := range run.Results {
		now := &run.Results[i]
		past := slices.DeleteFunc(slices.Clone(before[now.Key()]), func(r *bench.Result) bool { return r.Unit != now.Unit })
		if len(past) < outlierRuns || now.Median <= 0 {
			continue
		}
		medians := make([]float64, len(past))
		for k, r := range past {
			medians[k] = r.Median
		}
		usual, spread := bench.Median(medians), bench.MAD(medians)
		if usual <= 0 {
			continue
		}
		ratio := now.Median / usual
		if max(ratio, 1/ratio) < outlierFactor || spread > 0 && 0.6745*math.Abs(now.Median-usual)/spread < outlierScore {
			continue
		}
		found = append(found, Outlier{Key: now.Key(), Title: title(now), Unit: now.Unit, Now: now.Median, Usual: usual,
			Runs: len(past), Ratio: ratio, Causes: causes(run, now, earlier, past)})
	}
	return found
}

func sameMachine(a, b bench.Host) bool {
	if a.Machine != "" && b.Machine != "" {
		return a.Machine == b.Machine
	}
	return a.Name == b.Name
}

// causes compares the circumstances with those of the last run before.
func causes(run *bench.Run, now *bench.Result, earlier []*bench.Run, past []*bench.Result) []string {
	last := earlier[0]
	for _, r := range earlier {
		if r.Began.After(last.Began) {
			last = r
		}
	}
	var all []string
	was := factsOf(last)
	for i, f := range factsOf(run) {
		if f.aspect == aspectMachine || f.value == was[i].value || f.aspect != aspectWay && (f.value == "" || was[i].value == "") {
			continue
		}
		switch f.name {
		case "processor":
			all = append(all, fmt.Sprintf("CPU model changed from %s to %s: the provider moved the machine", was[i].value, f.value))
		case "pace":
			all = append(all, "one of the runs was paced (--gentle)")
		default:
			all = append(all, fmt.Sprintf("%s changed from %s to %s", f.name, was[i].value, f.value))
		}
	}
	steal := make([]float64, len(past))
	others := make([]float64, len(past))
	for i, r := range past {
		steal[i], others[i] = r.During.StealPct, r.During.OthersPct
	}
	if s := bench.Median(steal); math.Abs(now.During.StealPct-s) >= 3 {
		all = append(all, fmt.Sprintf("the host stole %.0f %% of the time, usually %.0f %%", now.During.StealPct, s))
	}
	if s := bench.Median(others); math.Abs(now.During.OthersPct-s) >= 10 {
		all = append(all, fmt.Sprintf("other programs used %.0f %%, usually %.0f %%", now.During.OthersPct, s))
	}
	if run.Profile != last.Profile {
		all = append(all, fmt.Sprintf("profile %s, before %s: a short run may live on saved-up credits", run.Profile, last.Profile))
	}
	if len(all) == 0 {
		all = append(all, "nothing that is known changed: perhaps credits (run the burst group), or the neighbours on the host")
	}
	return all
}
