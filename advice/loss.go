package advice

import (
	"fmt"
	"math"
	"strings"
)

// Risk is what losing machines may cost within a year, apart from what hits all machines at
// once: a provider, a region, a wrong command.
type Risk struct {
	Tolerates  int     `json:"tolerates"`     // stores lost at once without losing data
	HealHours  float64 `json:"heal_hours"`    // until all copies are there again after one loss
	HealMBps   float64 `json:"heal_mb_per_s"` // 0: not by itself
	ByHand     bool    `json:"by_hand"`       // there is nowhere to heal to: a person must bring a machine
	DataYear   float64 `json:"data_loss_probability_year"`
	NamesYear  float64 `json:"metadata_loss_probability_year"`
	EitherYear float64 `json:"loss_probability_year"`
}

// Hazards are the assumptions about machines dying.
type Hazards struct {
	LossPerYear float64 // probability that a VM and its disk are gone for good within a year
	OutHours    float64 // silence until healing begins
	HandHours   float64 // until a person has brought a machine in place of one
	BucketYear  float64 // probability that a bucket loses something within a year
}

// DefaultHazards: 2 % a year for a VM with its disk is an assumption between the 0.1-0.2 %
// that providers name for block volumes and the 1-5 % of drives and of people who delete the wrong machine.
func DefaultHazards() Hazards {
	return Hazards{LossPerYear: 0.02, OutHours: 10.0 / 60, HandHours: 24, BucketYear: 1e-9}
}

const hoursOfYear = 8766

// risk is the model: a Markov chain whose state is how many stores are lost and not yet healed,
// with loss as its end; each store dies at the same constant rate, healing takes the time that
// the measured bandwidth gives. healSteps says the arithmetic.
func (c *Colony) risk(h Hazards) (Risk, []string) {
	var steps []string
	say := func(format string, args ...any) { steps = append(steps, fmt.Sprintf(format, args...)) }
	names := c.namesRisk(h, say)
	if c.Way == WayBucket {
		r := Risk{Tolerates: 1, DataYear: h.BucketYear, NamesYear: names}
		r.EitherYear = 1 - (1-r.DataYear)*(1-r.NamesYear)
		say("the data's safety is the provider's promise: %s a year", Probability(h.BucketYear))
		return r, steps
	}
	stores, t := c.stores(), c.tolerance()
	held := c.StoredGB * c.perByte() / float64(len(stores))
	r := Risk{Tolerates: t, NamesYear: names}
	r.ByHand = c.usableAfterLoss() < c.StoredGB
	r.HealMBps = c.healRate(stores)
	r.HealHours = h.OutHours
	wait := fmt.Sprintf("%.0f min of silence", 60*h.OutHours)
	if r.ByHand {
		r.HealHours = h.HandHours
		wait = fmt.Sprintf("%.0f h until a person brings a machine (the others have no room)", h.HandHours)
	}
	copying := held * 1000 / r.HealMBps / 3600
	r.HealHours += copying
	say("a dead store held %.0f GB × %.2g ÷ %d = %.1f GB; healing at %.0f MB/s: %s + %.1f h = %.1f h", c.StoredGB, c.perByte(), len(stores), held, r.HealMBps, wait, copying, r.HealHours)
	rate := -math.Log1p(-h.LossPerYear) / hoursOfYear
	hit := c.hitShare(len(stores), t+1)
	r.DataYear = lossWithin(chain{n: len(stores), tolerates: t, die: rate, heal: 1 / r.HealHours, hit: hit}, hoursOfYear)
	say("%s, each lost with %.2g %% a year, %d at once survivable: %s of losing something within a year", count(len(stores), "store"), 100*h.LossPerYear, t, Probability(r.DataYear))
	r.EitherYear = 1 - (1-r.DataYear)*(1-r.NamesYear)
	if len(c.Machines) == 1 { // one event takes both
		r.EitherYear = max(r.DataYear, r.NamesYear)
	}
	return r, steps
}

// namesRisk is the same for the metadata: the voters' disks, replaced within minutes while
// there is a machine to replace them by.
func (c *Colony) namesRisk(h Hazards, say func(string, ...any)) float64 {
	rate := -math.Log1p(-h.LossPerYear) / hoursOfYear
	copies := min(len(c.Machines), 3) // two machines: one votes, the other has all that was acknowledged
	heal := h.OutHours + 0.1
	if len(c.Machines) <= copies {
		heal = h.HandHours
	}
	p := lossWithin(chain{n: copies, tolerates: min(copies-1, 1), die: rate, heal: 1 / heal, hit: 1}, hoursOfYear)
	say("metadata on %s, a lost one replaced within %.1f h: %s a year", count(copies, "machine"), heal, Probability(p))
	return p
}

// healRate is how fast a dead store's data come to others: a few chunks at a time, and no
// faster than the survivors' networks and disks together.
func (c *Colony) healRate(stores []int) float64 {
	in, write, one := 0.0, 0.0, math.Inf(1)
	for _, i := range stores {
		m := c.Machines[i]
		net := m.Net.Value * tcpEfficiencyOf(m.Net)
		in += net
		write += m.DiskWrite.Value
		ms := chunkMB/min(net, m.DiskWrite.Value, m.DiskRead.Value)*1000 + 2*m.RTT.Value + m.Fsync.Value + c.commitMS(i)
		one = min(one, chunkMB/ms*1000)
	}
	n := max(1, float64(len(stores)-1)) / max(1, float64(len(stores)))
	return min(healParallel*one, in*n, write*n)
}

// hitShare is the probability that a given set of so many stores holds all copies of some
// chunk: with many chunks and few machines it is 1.
func (c *Colony) hitShare(stores, lost int) float64 {
	chunks := c.StoredGB * 1000 / chunkMB
	ways := 1.0
	for i := range lost {
		ways *= float64(stores-i) / float64(i+1)
	}
	if ways <= 1 {
		return 1
	}
	return -math.Expm1(chunks * math.Log1p(-1/ways))
}

// chain is a birth-death process: k of n stores are lost; k grows at rate (n-k)·die and falls
// at rate heal; from k = tolerates the next death ends it with probability hit.
type chain struct {
	n, tolerates   int
	die, heal, hit float64 // per hour
}

// lossWithin is the probability that the chain has ended within so many hours, from the mean
// time to its end: that is exact to first order when ends are rare, and for chains without
// healing of one step.
func lossWithin(c chain, hours float64) float64 {
	if c.n <= 0 || c.die <= 0 {
		return 0
	}
	// Mean time from k to k+1 (Feller, birth-death): m[k] = (1 + down·m[k-1]) / up.
	mean, before := 0.0, 0.0
	for k := 0; k <= c.tolerates && k < c.n; k++ {
		up, down := float64(c.n-k)*c.die, 0.0
		if k > 0 {
			down = c.heal
		}
		if k == c.tolerates {
			up *= max(c.hit, 1e-300)
		}
		before = (1 + down*before) / up
		mean += before
	}
	return -math.Expm1(-hours / mean)
}

// Probability says a small chance as people can read it.
func Probability(p float64) string {
	switch {
	case p <= 0:
		return "never"
	case p >= 0.001:
		return fmt.Sprintf("%.2g %%", 100*p)
	case p < 1e-12:
		return "less than 1 in 10^12"
	}
	n := 1 / p
	digits := math.Pow(10, math.Floor(math.Log10(n)))
	text := fmt.Sprintf("%.0f", math.Round(n/digits)*digits)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return strings.TrimSpace("1 in " + text)
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
