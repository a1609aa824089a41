package report

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/go-analyze/charts"
	"github.com/go-analyze/charts/chartdraw"

	"github.com/honeyant/honeyant/bench"
)

// label names a point; points at one place share a label.
func (x *xyChart) label(at, y float64, name string) {
	for i := range x.labels {
		l := &x.labels[i]
		if math.Abs(l.XValue-at) < 1e-6 && math.Abs(l.YValue-y) < 0.5 {
			const most = 36
			if long := l.Label + ", " + name; len(long) <= most {
				l.Label = long
			} else if !strings.HasSuffix(l.Label, "…") {
				l.Label += ", …"
			}
			return
		}
	}
	x.labels = append(x.labels, chartdraw.Value2{XValue: at, YValue: y, Label: name})
}

func logTicksBetween(low, high float64) func(most int) []chartdraw.Tick {
	return func(most int) []chartdraw.Tick { return logTicks(low, high, most) }
}

// pairCharts are heat maps of what was measured between machines, one a measurement.
func pairCharts(runs []*bench.Run) []Chart {
	var all []Chart
	for _, s := range bench.Catalogue() {
		if s.Group != "net" && s.Group != "ssh" {
			continue
		}
		newest := map[[2]string]float64{}
		var names []string
		unit := s.Unit
		for _, run := range runs { // by time: the newest stays
			for i := range run.Results {
				r := &run.Results[i]
				if r.Name != s.Name || r.Peer == nil {
					continue
				}
				unit = r.Unit
				newest[[2]string{r.Peer.From, r.Peer.To}] = r.Median
				for _, n := range []string{r.Peer.From, r.Peer.To} {
					if !slices.Contains(names, n) {
						names = append(names, n)
					}
				}
			}
		}
		if len(newest) < 2 {
			continue // one way is no map; it stands in the table of ways
		}
		slices.Sort(names)
		all = append(all, pairChart(s, unit, names, newest))
	}
	return all
}

func pairChart(s bench.Spec, unit string, names []string, newest map[[2]string]float64) Chart {
	t := Table{Title: s.Title + ", " + unit, Header: append([]string{"from ↓ to →"}, names...)}
	var values [][]float64
	low, high := math.Inf(1), math.Inf(-1)
	worst := ""
	for _, from := range names {
		row, cells := make([]float64, len(names)), []string{from}
		for i, to := range names {
			v, ok := newest[[2]string{from, to}]
			row[i] = math.NaN()
			text := ""
			if ok {
				row[i], text = v, number(v)
				low, high = min(low, v), max(high, v)
				if s.Better == bench.Higher && v == low || s.Better == bench.Lower && v == high {
					worst = from + " to " + to
				}
			}
			cells = append(cells, text)
		}
		values = append(values, row)
		t.Rows = append(t.Rows, cells)
	}
	good := "Stronger is faster."
	if s.Better == bench.Lower {
		good = "Stronger is slower."
	}
	return Chart{ID: "pairs-" + dashed(s.Name), Title: upper(s.Title) + " between machines, " + unit, Table: t,
		Note: good + " Rows send, columns receive; the slowest way is " + worst + ".",
		Alt:  fmt.Sprintf("Heat map of %s between %d machines, from %s to %s %s.", s.Title, len(names), number(low), number(high), unit),
		draw: func(l Look, title string) ([]byte, error) {
			return heatMap(l, title, values, names, names, s.Better == bench.Lower)
		}}
}

func dashed(name string) string { return strings.ReplaceAll(name, ".", "-") }

// latencyNames are the measurements whose distribution is worth a picture.
func latencyNames() []string {
	return []string{"disk.fsync", "disk.read.4k.q1", "disk.read.4k.q32", "disk.write.4k.q32", "fs.fsync", "net.rtt", "net.connect", "net.handshake", "ssh.connect.system", "ssh.connect.own", "tls.proxy", "cpu.jitter"}
}

// latencyCharts show which share of operations took at most how long, a line a machine or pair.
func latencyCharts(hosts []string, byHost map[string][]*bench.Run, runs []*bench.Run) []Chart {
	var all []Chart
	for _, name := range latencyNames() {
		var who []string
		var results []*bench.Result
		add := func(label string, r *bench.Result) {
			if r != nil && r.Latency != nil && r.Latency.P50 > 0 && len(who) < 8 {
				who, results = append(who, label), append(results, r)
			}
		}
		for _, h := range hosts {
			r, _ := newest(byHost[h], name)
			add(h, r)
		}
		for _, r := range newestPairs(runs, name) {
			add(r.Peer.From+" → "+r.Peer.To, r)
		}
		if len(results) > 0 {
			all = append(all, latencyChart(name, who, results))
		}
	}
	return all
}

func newestPairs(runs []*bench.Run, name string) []*bench.Result {
	at := map[string]*bench.Result{}
	var keys []string
	for _, run := range runs {
		for i := range run.Results {
			r := &run.Results[i]
			if r.Name != name || r.Peer == nil {
				continue
			}
			if at[r.Key()] == nil {
				keys = append(keys, r.Key())
			}
			at[r.Key()] = r
		}
	}
	slices.Sort(keys)
	var all []*bench.Result
	for _, k := range keys {
		all = append(all, at[k])
	}
	return all
}

func latencyChart(name string, who []string, results []*bench.Result) Chart {
	spec, ok := bench.Lookup(name)
	if !ok {
		spec.Title = name
	}
	unit := results[0].Latency.Unit
	t := Table{Title: upper(spec.Title) + ", " + unit, Header: []string{"", "50 %", "90 %", "99 %", "99.9 %", "longest", "operations"}}
	chart := xyChart{xName: unit, yName: "%", yTicks: linearTicks(0, 100, 5)}
	low, high := math.Inf(1), 0.0
	for i, r := range results {
		l := r.Latency
		t.Rows = append(t.Rows, []string{who[i], number(l.P50), number(l.P90), number(l.P99), number(l.P999), number(l.Max), number(float64(l.Count))})
		points := slices.Clone(l.Quantiles)
		if len(points) < 2 {
			points = []bench.Quantile{{Q: 0.5, Value: l.P50}, {Q: 0.9, Value: l.P90}, {Q: 0.99, Value: l.P99}, {Q: 0.999, Value: l.P999}, {Q: 1, Value: l.Max}}
		}
		s := line{name: who[i], tone: i}
		for _, p := range points {
			if p.Value > 0 && !math.IsInf(p.Value, 0) {
				s.x, s.y = append(s.x, math.Log10(p.Value)), append(s.y, 100*min(p.Q, 1))
				low, high = min(low, p.Value), max(high, p.Value)
			}
		}
		if len(s.x) > 0 {
			chart.lines = append(chart.lines, s)
		}
	}
	chart.xTicks = logTicksBetween(low, high)
	return Chart{ID: "latency-" + dashed(name), Title: upper(spec.Title) + ": how long how many took", Table: t,
		Note: "Further left is faster; a long way to the right at the top is what people notice. Logarithmic.",
		Alt:  fmt.Sprintf("Distribution of %s: median %s to %s %s over %d lines.", spec.Title, number(minOf(results)), number(maxOf(results)), unit, len(results)), draw: chart.render}
}

func minOf(results []*bench.Result) float64 {
	return slices.MinFunc(results, byMedian).Latency.P50
}

func maxOf(results []*bench.Result) float64 {
	return slices.MaxFunc(results, byMedian).Latency.P50
}

func byMedian(a, b *bench.Result) int {
	switch {
	case a.Latency.P50 < b.Latency.P50:
		return -1
	case a.Latency.P50 > b.Latency.P50:
		return 1
	}
	return 0
}

// burstCharts show speed over time while credits are spent, in parts of the peak.
func burstCharts(hosts []string, byHost map[string][]*bench.Run) []Chart {
	var all []Chart
	for _, name := range []string{"burst.cpu", "burst.disk"} {
		spec, _ := bench.Lookup(name)
		chart := xyChart{xName: "minutes", yName: "% of the peak", yTicks: linearTicks(0, 100, 5)}
		t := Table{Title: upper(spec.Title), Header: []string{"machine", "plateau, % of the peak", "minutes measured"}}
		longest := 0.0
		for i, h := range hosts {
			r, _ := newest(byHost[h], name)
			if r == nil || len(r.Series) < 2 {
				continue
			}
			peak := 0.0
			for _, p := range r.Series {
				peak = max(peak, p.Value)
			}
			if peak <= 0 {
				continue
			}
			s := line{name: h, tone: i}
			for _, p := range r.Series {
				s.x, s.y = append(s.x, p.Seconds/60), append(s.y, 100*p.Value/peak)
				longest = max(longest, p.Seconds/60)
			}
			chart.lines = append(chart.lines, s)
			t.Rows = append(t.Rows, []string{h, number(r.Median), number(s.x[len(s.x)-1])})
		}
		if len(chart.lines) == 0 {
			continue
		}
		chart.xTicks = func(most int) []chartdraw.Tick { return linearTicks(0, longest, most) }
		all = append(all, Chart{ID: dashed(name), Title: upper(spec.Title), Table: t, Note: "A step down is where the credits end.",
			Alt: fmt.Sprintf("Speed over %s minutes of full work on %s.", number(longest), plural(len(chart.lines), "machine")), draw: chart.render})
	}
	return all
}

// cardChart is the cards as one picture, for pasting elsewhere.
func cardChart(cards []Card) Chart {
	header := []string{"", "a month"}
	var labels []string
	for _, c := range cards {
		for _, f := range c.Figures {
			if !slices.Contains(labels, f.Label) {
				labels = append(labels, f.Label)
			}
		}
	}
	header = append(header, labels...)
	t := Table{Title: "Machines", Header: header}
	for _, c := range cards {
		row := []string{c.Name, strings.TrimSuffix(c.Price, " a month")}
		for _, label := range labels {
			i := slices.IndexFunc(c.Figures, func(f CardFigure) bool { return f.Label == label })
			if i < 0 {
				row = append(row, "")
			} else {
				row = append(row, c.Figures[i].Value)
			}
		}
		t.Rows = append(t.Rows, row)
	}
	return Chart{ID: "machines", Title: "Machines", Alt: "Table of the machines and their main figures.", Table: t,
		draw: func(l Look, _ string) ([]byte, error) { return tablePicture(l, t) }}
}

// tablePicture draws a table with machines across, since there are fewer of them than figures.
func tablePicture(l Look, t Table) ([]byte, error) {
	head := []string{""}
	for _, r := range t.Rows {
		head = append(head, r[0])
	}
	var data [][]string
	for i := 1; i < len(t.Header); i++ {
		row := []string{t.Header[i]}
		for _, r := range t.Rows {
			row = append(row, first(r[i], "–"))
		}
		data = append(data, row)
	}
	p := l.palette()
	format := charts.ChartOutputSVG
	if l.PNG {
		format = charts.ChartOutputPNG
	}
	painter, err := charts.TableOptionRenderDirect(charts.TableChartOption{OutputFormat: format, Theme: l.theme(), Width: max(l.Width, 150*len(head)), Header: head, Data: data,
		FontStyle: charts.FontStyle{FontSize: l.fontSize(), FontColor: p.ink}, HeaderBackgroundColor: p.grid, HeaderFontColor: p.ink,
		RowBackgroundColors: []charts.Color{p.paper}, BackgroundColor: p.paper, Padding: charts.NewBox(8, 6, 8, 6)})
	if err != nil {
		return nil, err
	}
	return painter.Bytes()
}
