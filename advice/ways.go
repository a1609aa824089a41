package advice

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/honeyant/honeyant"
)

// Wish is what a plan is asked for.
type Wish struct {
	GB     float64 // of files that must fit; 0: whatever the machines give
	Copies int     // 0: 2, or 1 on a lone machine
	K, M   int     // an erasure code to look at besides; 0: none
	Bucket *Bucket // a bucket to look at besides
}

func (w Wish) copies(machines int) int {
	if w.Copies > 0 {
		return w.Copies
	}
	return min(2, max(1, machines))
}

// titled is a colony under the name that people know it by.
type titled struct {
	title  string
	colony Colony
}

// waysOf are the ways to use given machines.
func waysOf(machines []Machine, wish Wish) []titled {
	copies := wish.copies(len(machines))
	base := Colony{Machines: machines, Copies: copies, StoredGB: wish.GB}
	with := func(change func(*Colony)) Colony {
		c := base
		change(&c)
		return c
	}
	fat := make([]int, len(machines))
	for i := range fat {
		fat[i] = i
	}
	slices.SortStableFunc(fat, func(a, b int) int { return cmp.Compare(machines[b].DiskGB.Value, machines[a].DiskGB.Value) })
	ways := []titled{
		{"equal workers", with(func(c *Colony) { c.Way = WaySpread })},
		{"equal workers, first copy at home", with(func(c *Colony) { c.Way = WayLocal })},
	}
	if len(machines) == 1 {
		ways = ways[:1]
	}
	if len(machines) > 1 {
		ways = append(ways, titled{"one honeypot", with(func(c *Colony) { c.Way, c.Copies, c.Pots = WayPinned, 1, fat[:1] })})
	}
	if len(machines) > 2 {
		ways = append(ways, titled{"two honeypots", with(func(c *Colony) { c.Way, c.Copies, c.Pots = WayPinned, 2, fat[:2] })})
	}
	if wish.K > 0 || wish.M > 0 {
		ways = append(ways, titled{fmt.Sprintf("equal workers, %d+%d", wish.K, wish.M), with(func(c *Colony) { c.Way, c.Copies, c.K, c.M = WaySpread, 0, wish.K, wish.M })})
	}
	if wish.Bucket != nil {
		ways = append(ways, titled{"a bucket behind", with(func(c *Colony) {
			c.Way, c.Copies, c.Bucket = WayBucket, 0, wish.Bucket
			if c.StoredGB == 0 {
				c.StoredGB = 0.8 * base.usableSpread()
			}
		})})
	}
	return ways
}

func (c Colony) usableSpread() float64 {
	c.Way = WaySpread
	return c.usable(c.stores())
}

// Ways evaluates all ways to use given machines. Errors: Invalid if the wish is impossible for
// any of them, such as an erasure code over more machines than there are.
func Ways(machines []Machine, wish Wish, s Setting) ([]*Outcome, error) {
	if len(machines) == 0 {
		return nil, honeyant.E("advice.Ways", honeyant.Invalid, "", errors.New("no machines are left"))
	}
	if wish.Copies > len(machines) {
		return nil, honeyant.E("advice.Ways", honeyant.Invalid, "", fmt.Errorf("%d copies want as many machines, and there are %d", wish.Copies, len(machines)))
	}
	if n := wish.K + wish.M; n > len(machines) {
		return nil, honeyant.E("advice.Ways", honeyant.Invalid, "", fmt.Errorf("%d+%d wants %d machines, and there are %d", wish.K, wish.M, n, len(machines)))
	}
	var all []*Outcome
	for _, w := range waysOf(machines, wish) {
		o, err := Evaluate(w.title, w.colony, s)
		if err != nil {
			return nil, err
		}
		all = append(all, o)
	}
	return all, nil
}

// Recommendation is the choice among outcomes, and why.
type Recommendation struct {
	Best    *Outcome `json:"-"`
	Title   string   `json:"title"` // empty: none will do
	Why     string   `json:"why"`
	Against []string `json:"against"` // a line for each that was not taken
}

// Recommend takes, among the outcomes that hold what is wanted, survive a loss and are built, the cheapest
// for the data; of those within a twentieth of that price the one that writes fastest with all machines at work, and of
// those within a twentieth of that speed the safest.
func Recommend(outcomes []*Outcome, needGB float64) Recommendation {
	var fit []*Outcome
	var r Recommendation
	priced := !slices.ContainsFunc(outcomes, func(o *Outcome) bool { return o.Monthly == nil })
	for _, o := range outcomes {
		switch {
		case o.UsableGB < needGB && !o.Unlimited:
			r.Against = append(r.Against, fmt.Sprintf("%s: holds %.0f GB, less than %.0f GB", o.Title, o.UsableGB, needGB))
		case o.UsableGB <= 0 && !o.Unlimited:
			r.Against = append(r.Against, fmt.Sprintf("%s: holds nothing", o.Title))
		case o.Risk.Tolerates < 1:
			r.Against = append(r.Against, fmt.Sprintf("%s: one death loses data (%s a year)", o.Title, Probability(o.Risk.EitherYear)))
		case o.NotBuilt != "":
			r.Against = append(r.Against, fmt.Sprintf("%s: not built yet", o.Title))
		default:
			fit = append(fit, o)
		}
	}
	if len(fit) == 0 {
		r.Why = "None of these holds the data and survives the loss of a machine."
		return r
	}
	cost := func(o *Outcome) float64 {
		if !priced {
			return 1
		}
		if needGB > 0 {
			return o.monthlyUS
		}
		return o.monthlyUS / o.UsableGB // whoever names no amount wants the most for the money
	}
	best := slices.MinFunc(fit, func(a, b *Outcome) int { return cmp.Compare(cost(a), cost(b)) })
	fastest := best
	for _, o := range fit {
		if cost(o) <= 1.05*cost(best) && o.WriteAll.MBps > fastest.WriteAll.MBps {
			fastest = o
		}
	}
	r.Best = fastest
	for _, o := range fit {
		if cost(o) <= 1.05*cost(best) && o.WriteAll.MBps >= 0.95*fastest.WriteAll.MBps && o.Risk.EitherYear < 0.9*r.Best.Risk.EitherYear {
			r.Best = o
		}
	}
	r.Title = r.Best.Title
	r.Why = why(r.Best, fit, priced, needGB)
	for _, o := range fit {
		if o == r.Best {
			continue
		}
		line := fmt.Sprintf("%s: ", o.Title)
		switch {
		case priced && cost(o) > 1.05*cost(best):
			line += fmt.Sprintf("costs %s a month", o.Monthly)
			if needGB == 0 {
				line = fmt.Sprintf("%s: costs %s a GB", o.Title, o.PerGB)
			}
		case o.WriteAll.MBps < 0.95*fastest.WriteAll.MBps:
			line += fmt.Sprintf("writes %.0f MB/s in sum", o.WriteAll.MBps)
		default:
			line += fmt.Sprintf("as good; loses data in a year with %s", Probability(o.Risk.EitherYear))
		}
		r.Against = append(r.Against, line)
	}
	return r
}

func why(best *Outcome, fit []*Outcome, priced bool, needGB float64) string {
	text := fmt.Sprintf("It survives the loss of %d of its stores (chance of losing something within a year: %s)", best.Risk.Tolerates, Probability(best.Risk.EitherYear))
	if needGB > 0 {
		text += fmt.Sprintf(", holds %.0f GB where %.0f are wanted", best.UsableGB, needGB)
	}
	if priced {
		text += fmt.Sprintf(", costs %s a month", best.Monthly)
	}
	text += fmt.Sprintf(" and writes %.0f MB/s with all machines at work.", best.WriteAll.MBps)
	if len(fit) == 1 {
		text += " Nothing else here does both."
	}
	if best.Risk.ByHand {
		text += " It is so full that a dead machine must be replaced by hand before copies are whole again."
	}
	return text
}
