package report

import (
	"fmt"
	"math"
	"time"

	"github.com/go-analyze/charts/chartdraw"

	"github.com/honeyant/honeyant/bench"
)

// leastHistory is how many runs a machine needs for a line over time.
const leastHistory = 3

// timeCharts show for the main figures how each machine's runs compare with its own median, so
// that a day that was an exception stands out whatever the machines' sizes.
func timeCharts(hosts []string, byHost map[string][]*bench.Run) []Chart {
	var all []Chart
	for _, name := range []string{"cpu.score.all", "disk.write.seq", "disk.fsync"} {
		if c, ok := timeChart(name, hosts, byHost); ok {
			all = append(all, c)
		}
	}
	return all
}

func timeChart(name string, hosts []string, byHost map[string][]*bench.Run) (Chart, bool) {
	spec, _ := bench.Lookup(name)
	t := Table{Title: upper(spec.Title) + " over time", Header: []string{"machine", "runs", "median, " + spec.Unit, "least", "most", "last"}}
	var begin, end time.Time
	values, times := make([][]float64, len(hosts)), make([][]time.Time, len(hosts))
	for i, h := range hosts {
		for _, run := range byHost[h] {
			if r := run.Find(name); r != nil && r.Peer == nil && r.Median > 0 {
				values[i], times[i] = append(values[i], r.Median), append(times[i], run.Began)
			}
		}
		if len(values[i]) < leastHistory {
			values[i], times[i] = nil, nil
			continue
		}
		if first := times[i][0]; begin.IsZero() || first.Before(begin) {
			begin = first
		}
		if last := times[i][len(times[i])-1]; last.After(end) {
			end = last
		}
	}
	days := end.Sub(begin).Hours() / 24
	if begin.IsZero() || days <= 0 {
		return Chart{}, false
	}
	chart := xyChart{xName: "days since " + begin.UTC().Format("2006-01-02"), yName: "% of its median"}
	most := 0.0
	for i, h := range hosts {
		if len(values[i]) == 0 {
			continue
		}
		m := bench.Median(values[i])
		s := line{name: h, tone: i}
		low, high := math.Inf(1), 0.0
		for k, v := range values[i] {
			s.x, s.y = append(s.x, times[i][k].Sub(begin).Hours()/24), append(s.y, 100*v/m)
			most = max(most, 100*v/m)
			low, high = min(low, v), max(high, v)
		}
		chart.lines = append(chart.lines, s)
		t.Rows = append(t.Rows, []string{h, fmt.Sprint(len(values[i])), number(m), number(low), number(high), number(values[i][len(values[i])-1])})
	}
	chart.yTicks = linearTicks(0, max(most, 120), 6)
	chart.xTicks = func(n int) []chartdraw.Tick { return linearTicks(0, days, n) }
	return Chart{ID: "time-" + dashed(name), Title: t.Title, Table: t, Note: "Each machine beside its own median: 100 is usual.",
		Alt: fmt.Sprintf("%s of %s over %s days, each beside its own median.", upper(spec.Title), plural(len(t.Rows), "machine"), number(days)), draw: chart.render}, true
}
