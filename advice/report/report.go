package report

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/go-analyze/charts/chartdraw"

	"github.com/honeyant/honeyant/advice"
	"github.com/honeyant/honeyant/bench"
	"github.com/honeyant/honeyant/bench/history"
)

// Report is everything on the page.
type Report struct {
	Title    string
	Subtitle string // how many machines and runs, from when
	Sample   bool   // these are the figures that ship with the program
	Verdicts []string
	Cards    []Card
	Charts   []Chart
	Tables   []Table // every figure, for people and for spreadsheets
	Missing  []string
	money    advice.Unit
}

// Card is what is to be known of one machine at a glance.
type Card struct {
	Name    string
	Plan    string
	Price   string
	System  string // distribution, kernel
	Made    string // processor, memory, disk, virtualisation
	When    string
	Figures []CardFigure
	Notes   []string // not idle, outliers, what is assumed
	Bad     bool     // some note is a warning
}

// CardFigure is a line of a card.
type CardFigure struct{ Label, Value, Spread string }

// Options of Build.
type Options struct {
	Runs  []*bench.Run  // sorted by time
	Table *advice.Table // prices
	Unit  advice.Unit
	Now   time.Time
}

// Build makes the report of the newest runs of each machine. Errors: of Rank, for a currency without a rate.
func Build(o Options) (*Report, error) {
	hosts, byHost := newestOf(o.Runs)
	r := &Report{Title: "What the machines can do", money: o.Unit}
	first, last := time.Time{}, time.Time{}
	for i, run := range o.Runs {
		if i == 0 || run.Began.Before(first) {
			first = run.Began
		}
		if run.Began.After(last) {
			last = run.Began
		}
		r.Sample = r.Sample || run.Profile == "sample"
	}
	r.Subtitle = fmt.Sprintf("%s, %s, measured %s", plural(len(hosts), "machine"), plural(len(o.Runs), "run"), span(first, last))
	if len(o.Runs) == 0 {
		r.Subtitle = "Nothing is measured yet."
	}
	machines := map[string]advice.Machine{}
	for _, m := range advice.FromRuns(o.Table, o.Runs) {
		machines[m.Name] = m
	}
	for _, h := range hosts {
		c, err := card(byHost[h], machines[h], o)
		if err != nil {
			return nil, err
		}
		r.Cards = append(r.Cards, c)
	}
	rankings, err := advice.Rank(o.Table, o.Runs)
	if err != nil {
		return nil, err
	}
	for _, k := range rankings {
		if len(k.Ranked) < 2 {
			continue // nobody to be better than
		}
		charts, verdict, err := rankingCharts(k, o.Unit)
		if err != nil {
			return nil, err
		}
		r.Charts = append(r.Charts, charts...)
		r.Verdicts = append(r.Verdicts, verdict...)
	}
	r.Charts = append(r.Charts, pairCharts(o.Runs)...)
	r.Charts = append(r.Charts, latencyCharts(hosts, byHost, o.Runs)...)
	r.Charts = append(r.Charts, burstCharts(hosts, byHost)...)
	r.Charts = append(r.Charts, timeCharts(hosts, byHost)...)
	if len(r.Cards) > 0 {
		r.Charts = append(r.Charts, cardChart(r.Cards))
	}
	if r.Tables, err = derived(hosts, byHost, machines, o); err != nil {
		return nil, err
	}
	r.Tables = append(r.Tables, allFigures(hosts, byHost)...)
	r.Missing = r.missing()
	return r, nil
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func span(first, last time.Time) string {
	const day = "2006-01-02"
	if a, b := first.UTC().Format(day), last.UTC().Format(day); a != b {
		return a + " to " + b
	}
	return "on " + first.UTC().Format(day)
}

// newestOf groups runs by machine, in order of name.
func newestOf(runs []*bench.Run) (hosts []string, byHost map[string][]*bench.Run) {
	byHost = map[string][]*bench.Run{}
	for _, r := range runs {
		if _, ok := byHost[r.Host.Name]; !ok {
			hosts = append(hosts, r.Host.Name)
		}
		byHost[r.Host.Name] = append(byHost[r.Host.Name], r)
	}
	slices.Sort(hosts)
	return hosts, byHost
}

// newest is a machine's latest figure of a name, and the run it is from.
func newest(runs []*bench.Run, name string) (*bench.Result, *bench.Run) {
	for _, r := range slices.Backward(runs) {
		for i := range r.Results {
			if r.Results[i].Name == name && r.Results[i].Peer == nil {
				return &r.Results[i], r
			}
		}
	}
	return nil, nil
}

// glance lists what a card shows, if it was measured.
func glance() []struct{ label, name, also string } {
	return []struct{ label, name, also string }{
		{"One processor", "cpu.score.1", ""}, {"All processors", "cpu.score.all", ""}, {"Memory copy", "mem.copy.1", ""},
		{"Disk, writing", "disk.write.seq", "min5s"}, {"Disk, reading", "disk.read.seq", ""}, {"Random reads", "disk.read.4k.q32", ""}, {"fsync", "disk.fsync", "p99"},
		{"Random numbers", "random.crypto.1", ""}, {"/dev/urandom", "random.urandom", ""}, {"TLS handshakes", "tls.full.p256", ""}, {"Start of a program", "spawn.hello", ""},
		{"Type check", "compile.types", ""}, {"C compiler", "compile.c", ""}, {"Processor, credits spent", "burst.cpu", ""},
	}
}

// unsteady is the spread from which on a card mentions it.
const unsteady = 0.03

func card(runs []*bench.Run, m advice.Machine, o Options) (Card, error) {
	last := runs[len(runs)-1]
	h := last.Host
	c := Card{Name: h.Name, Plan: first(m.Offer, strings.TrimSpace(h.Cloud+" "+h.Plan)), System: join(", ", h.OS, h.Kernel), When: last.Began.UTC().Format("2006-01-02 15:04 UTC")}
	if h.Cores > 0 {
		c.Made = plural(h.Cores, "processor")
	}
	if h.MemoryBytes > 0 {
		c.Made = join(", ", c.Made, fmt.Sprintf("%.1f GiB", float64(h.MemoryBytes)/(1<<30)))
	}
	c.Made = join(", ", h.CPU, c.Made, first(h.Disk.Type, h.Disk.FileSystem), h.Virtualisation)
	if m.Monthly != nil {
		price, err := o.Unit.Of(*m.Monthly)
		if err != nil {
			return c, err
		}
		c.Price = price.String() + " a month"
	}
	for _, g := range glance() {
		r, _ := newest(runs, g.name)
		if r == nil {
			continue
		}
		f := CardFigure{Label: g.label, Value: number(r.Median) + " " + r.Unit}
		if len(r.Samples) > 1 && r.MAD > unsteady*r.Median {
			f.Spread = "±" + number(r.MAD)
		}
		if v, ok := r.Value(g.also); ok && g.also != "" {
			f.Spread = join(", ", f.Spread, "worst 5 s "+number(v))
		}
		if g.also == "p99" && r.Latency != nil {
			f.Spread = "99 %: " + number(r.Latency.P99) + " " + r.Latency.Unit
		}
		c.Figures = append(c.Figures, f)
	}
	if last.Tainted {
		c.Bad = true
		c.Notes = append(c.Notes, "Not idle: "+strings.Join(last.Why, "; "))
	}
	for _, x := range history.Outliers(last, o.Runs) {
		c.Bad = true
		c.Notes = append(c.Notes, "Unusual: "+x.String())
	}
	if h.Containerised {
		c.Notes = append(c.Notes, "In a container: its limits may not be the machine's")
	}
	if m.Monthly == nil {
		c.Notes = append(c.Notes, "No price: the plan is not known")
	}
	return c, nil
}

func first(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

func join(sep string, values ...string) string {
	return strings.Join(slices.DeleteFunc(slices.Clone(values), func(v string) bool { return v == "" }), sep)
}

// allFigures are one table a group: measurements down, machines across.
func allFigures(hosts []string, byHost map[string][]*bench.Run) []Table {
	var tables []Table
	for _, group := range bench.Groups() {
		t := Table{Title: group, Header: append([]string{"measurement", "unit"}, hosts...)}
		for _, s := range bench.Catalogue() {
			if s.Group != group {
				continue
			}
			row, unit, found := []string{s.Title}, s.Unit, false
			var cells []string
			for _, h := range hosts {
				r, _ := newest(byHost[h], s.Name)
				if r == nil {
					cells = append(cells, "")
					continue
				}
				found, unit = true, r.Unit
				text := number(r.Median)
				if len(r.Samples) > 1 {
					text += " ±" + number(r.MAD)
				}
				if r.Tainted {
					text += " *"
				}
				cells = append(cells, text)
			}
			if found {
				t.Rows = append(t.Rows, append(append(row, unit), cells...))
			}
		}
		if len(t.Rows) > 0 {
			t.Note = "Median ± median absolute deviation; * the machine was not idle."
			tables = append(tables, t)
		}
	}
	return tables
}

func (r *Report) missing() []string {
	has := func(prefix string) bool {
		return slices.ContainsFunc(r.Charts, func(c Chart) bool { return strings.HasPrefix(c.ID, prefix) })
	}
	var all []string
	for _, m := range []struct{ prefix, words string }{
		{"pairs-", "the ways between machines: honeyant bench net --all-pairs"},
		{"latency-", "latency distributions: honeyant bench disk"},
		{"burst-", "what remains after the credits are spent: honeyant bench burst"},
		{"rank-", "a second machine to compare with"},
		{"value-", "speed for the money: honeyant bench with --plan, or a price table of your own"},
	} {
		if !has(m.prefix) {
			all = append(all, m.words)
		}
	}
	return all
}

// rankingCharts are the scatter of score over price and the bars of score per money for one use.
func rankingCharts(k advice.Ranking, unit advice.Unit) ([]Chart, []string, error) {
	table := Table{Title: "Ranking for " + k.Title, Header: []string{"place", "machine", "plan", "score", "credits spent", "a month", "score per $", "front"},
		Note: "Score: 100 is the best machine; geometric mean of " + strings.Join(k.Ranked[0].Parts, ", ") + ". Front: no other is as good for less."}
	var names []string
	var values []float64
	k.Ranked = slices.Clone(k.Ranked)
	for i := range k.Ranked {
		if m := &k.Ranked[i]; m.Monthly != nil {
			price, err := unit.Of(*m.Monthly)
			if err != nil {
				return nil, nil, err
			}
			m.Monthly = &price
		}
	}
	for i, m := range k.Ranked {
		row := []string{fmt.Sprint(i + 1), m.Machine, m.Plan, number(m.Score), "", "?", "", ""}
		if m.Spent > 0 {
			row[4] = number(m.Spent)
		}
		if m.Monthly != nil {
			row[5] = m.Monthly.String()
			row[6] = number(m.PerMoney)
		}
		if m.Pareto {
			row[7] = "yes"
		}
		table.Rows = append(table.Rows, row)
		names = append(names, m.Machine)
		if k.Priced {
			values = append(values, m.PerMoney)
		} else {
			values = append(values, m.Score)
		}
	}
	if len(k.Without) > 0 {
		table.Note += " Not ranked, for want of measurements: " + strings.Join(k.Without, ", ") + "."
	}
	what := "score"
	if k.Priced {
		what = "score per dollar a month"
	}
	best := k.Ranked[0]
	charts := []Chart{{ID: "rank-" + k.Use, Title: upper(k.Title) + ": " + what, Note: "Longer is better. From " + titles(k.Ranked[0].Parts) + ".",
		Alt: fmt.Sprintf("Bars of %s for %s; %s is first with %s.", what, k.Title, best.Machine, number(values[0])), Table: table,
		draw: func(l Look, title string) ([]byte, error) { return bars(l, title, names, values, 0) }}}
	verdict := []string{verdictOf(k, names, values)}
	if k.Priced {
		charts = append(charts, valueChart(k, table))
		for _, m := range k.Ranked {
			if m.PerMoney < best.PerMoney/5 && !m.Pareto {
				verdict = append(verdict, fmt.Sprintf("%s: %s gives %s times less for the money than %s: out.", upper(k.Title), m.Machine, number(best.PerMoney/m.PerMoney), best.Machine))
			}
		}
	}
	return charts, verdict, nil
}

// titles are the names of measurements as people know them.
func titles(names []string) string {
	all := make([]string, len(names))
	for i, n := range names {
		all[i] = n
		if s, ok := bench.Lookup(n); ok {
			all[i] = s.Title
		}
	}
	return strings.Join(all, "; ")
}

// alike is how much of the best figure another must reach to be called as good.
const alike = 0.95

// verdictOf says who is best and by how much, in a sentence or two.
func verdictOf(k advice.Ranking, names []string, values []float64) string {
	n := 1
	for n < len(values) && values[n] >= alike*values[0] {
		n++
	}
	money := ""
	figure := func(i int) string {
		if k.Priced {
			return fmt.Sprintf("%s (score %s, %s a month)", names[i], number(k.Ranked[i].Score), k.Ranked[i].Monthly)
		}
		return fmt.Sprintf("%s (score %s)", names[i], number(k.Ranked[i].Score))
	}
	if k.Priced {
		money = " for the money"
	}
	switch {
	case n == len(values):
		return fmt.Sprintf("%s: all %d are alike%s (within 5 %%).", upper(k.Title), n, money)
	case n > 1:
		return fmt.Sprintf("%s: %s and %s are alike%s (within 5 %%); next is %s with %s %% of it.", upper(k.Title), strings.Join(names[:n-1], ", "), names[n-1], money, figure(n), number(100*values[n]/values[0]))
	}
	return fmt.Sprintf("%s: %s is the best%s; next is %s with %s %% of it.", upper(k.Title), figure(0), money, figure(1), number(100*values[1]/values[0]))
}

func valueChart(k advice.Ranking, table Table) Chart {
	var x, y, px, py []float64
	sorted := slices.Clone(k.Ranked)
	price := func(m advice.Ranked) float64 { return m.Score / m.PerMoney }
	slices.SortFunc(sorted, func(a, b advice.Ranked) int { return cmp.Compare(price(a), price(b)) })
	low, high := math.Inf(1), 0.0
	chart := xyChart{xName: "US dollars a month", yName: "score", yTicks: append(linearTicks(0, 100, 5), chartdraw.Tick{Value: 112})}
	for _, m := range sorted {
		x, y = append(x, math.Log10(price(m))), append(y, m.Score)
		low, high = min(low, price(m)), max(high, price(m))
		chart.label(math.Log10(price(m)), m.Score, m.Machine)
		if m.Pareto {
			if len(px) > 0 { // a step: between two offers nothing can be bought
				px, py = append(px, math.Log10(price(m))), append(py, py[len(py)-1])
			}
			px, py = append(px, math.Log10(price(m))), append(py, m.Score)
		}
	}
	low, high = low/1.25, high*1.25
	chart.xTicks = logTicksBetween(low, high)
	px, py = append(px, math.Log10(high)), append(py, py[len(py)-1])
	chart.lines = []line{{name: "best for its price", x: px, y: py, dash: true, tone: 6}, {name: "machines", x: x, y: y, dots: true, tone: 0}}
	return Chart{ID: "value-" + k.Use, Title: upper(k.Title) + ": score over price", Table: table,
		Note: "Up and to the left is better. On the dashed line no other machine is as good for less.",
		Alt:  fmt.Sprintf("Scatter of score over price for %s with the Pareto front; %d machines.", k.Title, len(k.Ranked)), draw: chart.render}
}

// upper begins a title, unless it begins with the name of a command or a call.
func upper(s string) string {
	if word, _, _ := strings.Cut(s, " "); slices.Contains([]string{"ssh", "fsync", "fsync,", "ssh,"}, word) {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}
