package advice

import (
	"cmp"
	"math"
	"slices"

	"github.com/honeyant/honeyant/bench"
)

// Use is what a machine is wanted for, and which measurements count for it by how much.
type Use struct {
	Name    string
	Title   string
	Weights []Weight
}

// Weight is the part of one measurement in a score.
type Weight struct {
	Measurement string
	Part        float64
}

// Uses are the rankings there are. Parts are what doc/advice.md says; they need not sum to 1.
func Uses() []Use {
	return []Use{
		{"storage", "storing files", []Weight{{"disk.write.seq", 3}, {"disk.read.seq", 2}, {"disk.fsync", 3}, {"disk.read.4k.q32", 2}, {"net.tcp.8", 3}, {"ssh.system.aes128gcm", 1}, {"codec.crc32c", 0.5}, {"codec.aes128gcm", 1}}},
		{"gateway", "serving HTTPS", []Weight{{"tls.full.p256", 3}, {"tls.resumed", 2}, {"tls.proxy", 3}, {"codec.aes128gcm", 1}, {"net.tcp.8", 2}, {"cpu.jitter", 0.5}, {"cpu.score.1", 1}}},
		{"build", "building software", []Weight{{"cpu.score.all", 3}, {"cpu.score.1", 2}, {"compile.types", 2}, {"compile.go", 1}, {"compile.c", 1}, {"spawn.hello", 1}, {"mem.copy.1", 0.5}, {"disk.metadata", 1}}},
	}
}

// Ranked is a machine's place in the ranking for one use.
type Ranked struct {
	Machine  string   `json:"machine"`
	Plan     string   `json:"plan,omitempty"`
	Score    float64  `json:"score"` // 100 is the best machine; a geometric mean, so half the score is half the speed
	Spent    float64  `json:"score_after_credits,omitempty"`
	Monthly  *Money   `json:"monthly,omitempty"`
	PerMoney float64  `json:"score_per_dollar,omitempty"` // by US dollars a month, whatever is printed
	Pareto   bool     `json:"pareto"`                     // no other is at least as good and cheaper
	Parts    []string `json:"measured"`                   // the measurements in the score
}

// Ranking is the ranking for one use, best per money first, or best first without prices.
type Ranking struct {
	Use     string   `json:"use"`
	Title   string   `json:"title"`
	Priced  bool     `json:"priced"`
	Ranked  []Ranked `json:"ranked"`
	Without []string `json:"not_ranked,omitempty"` // machines that lack these measurements
}

// Rank orders the machines of a history for each use. Only measurements that all ranked machines
// have count, so that nobody wins by what was not measured; machines that lack more than half of
// what others have are left out. Processor scores fall to the share that remains when credits are
// spent for Spent.
func Rank(table *Table, runs []*bench.Run) ([]Ranking, error) {
	machines := FromRuns(table, runs)
	var all []Ranking
	for _, use := range Uses() {
		r, err := rank(use, table, machines, runs)
		if err != nil {
			return nil, err
		}
		if len(r.Ranked) > 0 {
			all = append(all, r)
		}
	}
	return all, nil
}

func rank(use Use, table *Table, machines []Machine, runs []*bench.Run) (Ranking, error) {
	r := Ranking{Use: use.Name, Title: use.Title}
	values := make([]map[string]float64, len(machines))
	most := 0.0
	had := make([]float64, len(machines))
	lower := map[string]bool{}
	for i, m := range machines {
		values[i] = map[string]float64{}
		for _, w := range use.Weights {
			v, better := figureOf(m, w.Measurement, runs)
			if v > 0 {
				values[i][w.Measurement] = v
				lower[w.Measurement] = better == bench.Lower
				had[i] += w.Part
			}
		}
		most = max(most, had[i])
	}
	common := use.Weights
	var in []int
	for i := range machines {
		if most == 0 || had[i] < most/2 {
			r.Without = append(r.Without, machines[i].Name)
			continue
		}
		in = append(in, i)
	}
	common = slices.DeleteFunc(slices.Clone(common), func(w Weight) bool {
		return slices.ContainsFunc(in, func(i int) bool { return values[i][w.Measurement] == 0 })
	})
	if len(in) == 0 || len(common) == 0 {
		return r, nil
	}
	var parts []string
	total := 0.0
	for _, w := range common {
		parts = append(parts, w.Measurement)
		total += w.Part
	}
	r.Priced = true
	for _, i := range in {
		log, cpuPart := 0.0, 0.0
		for _, w := range common {
			v := values[i][w.Measurement]
			if lower[w.Measurement] {
				v = 1 / v
			}
			log += w.Part / total * math.Log(v)
			if onProcessor(w.Measurement) {
				cpuPart += w.Part / total
			}
		}
		one := Ranked{Machine: machines[i].Name, Plan: machines[i].Offer, Score: math.Exp(log), Monthly: machines[i].Monthly, Parts: parts}
		if b := machines[i].Baseline; b.Origin != Assumed && b.Value < 1 && cpuPart > 0 {
			one.Spent = one.Score * math.Pow(b.Value, cpuPart)
		}
		r.Priced = r.Priced && one.Monthly != nil && one.Monthly.Amount > 0
		r.Ranked = append(r.Ranked, one)
	}
	best := slices.MaxFunc(r.Ranked, func(a, b Ranked) int { return cmp.Compare(a.Score, b.Score) }).Score
	for i := range r.Ranked {
		one := &r.Ranked[i]
		one.Score, one.Spent = 100*one.Score/best, 100*one.Spent/best
		if one.Monthly != nil && one.Monthly.Amount > 0 {
			usd, err := table.Rates.Convert(*one.Monthly, "USD")
			if err != nil {
				return r, err
			}
			one.PerMoney = one.Score / usd.Amount
		}
	}
	for i := range r.Ranked {
		r.Ranked[i].Pareto = onFront(r.Ranked[i], r.Ranked)
	}
	slices.SortStableFunc(r.Ranked, func(a, b Ranked) int {
		if r.Priced {
			return cmp.Compare(b.PerMoney, a.PerMoney)
		}
		return cmp.Compare(b.Score, a.Score)
	})
	return r, nil
}

// figureOf is a machine's newest figure; of pairs the median over its ways.
func figureOf(m Machine, name string, runs []*bench.Run) (float64, bench.Better) {
	spec, _ := bench.Lookup(name)
	if v, found := medianOverPairs(runs, m, name); found != "" {
		return v, spec.Better
	}
	for _, r := range slices.Backward(runs) {
		if r.Host.Name != m.Name {
			continue
		}
		if found := r.Find(name); found != nil && found.Peer == nil {
			return found.Median, found.Better
		}
	}
	return 0, spec.Better
}

// onProcessor tells measurements that fall with the processor's credits.
func onProcessor(name string) bool {
	for _, group := range []string{"cpu.", "tls.", "codec.", "compile.", "spawn.", "random."} {
		if len(name) > len(group) && name[:len(group)] == group {
			return true
		}
	}
	return false
}

// onFront tells whether no other machine is at least as good for at most the money, and better in one of both.
func onFront(a Ranked, all []Ranked) bool {
	if a.PerMoney == 0 {
		return false
	}
	price := func(r Ranked) float64 { return r.Score / r.PerMoney }
	for _, b := range all {
		if b.PerMoney == 0 {
			continue
		}
		if b.Score >= a.Score && price(b) <= price(a) && (b.Score > a.Score || price(b) < price(a)) {
			return false
		}
	}
	return true
}
