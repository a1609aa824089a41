package history

import (
	"fmt"
	"math"
	"strings"

	"github.com/honeyant/honeyant/bench"
)

// Sense is a verdict in one word.
type Sense string

// Better and Worse are proven; Same is proven to be within the margin; Open is not proven.
const (
	SenseBetter Sense = "better"
	SenseWorse  Sense = "worse"
	SenseSame   Sense = "same"
	SenseOpen   Sense = "not proven"
)

// margin is the difference that nobody cares for.
const margin = 0.03

// judge compares a cell with the reference and says in words what is proven.
func judge(cell *Cell, row Row, base, samples []float64) {
	if row.Unit == "%" {
		judgePoints(cell, row, base, samples)
		return
	}
	i, ok := Ratio(base, samples)
	if !ok {
		judgePoints(cell, row, base, samples)
		return
	}
	cell.Change = &i
	size := percent(i.Estimate)
	n := min(len(base), len(samples))
	switch {
	case !i.Known:
		cell.Sense, cell.Verdict = SenseOpen, fmt.Sprintf("%s, N=%d: not proven", size, n)
	case i.Low > 1/(1+margin) && i.High < 1+margin:
		cell.Sense, cell.Verdict = SenseSame, fmt.Sprintf("equal within %.0f %%", 100*margin)
	case i.Low > 1 || i.High < 1:
		cell.Sense = SenseWorse
		if (i.Estimate > 1) == (row.Better == bench.Higher) {
			cell.Sense = SenseBetter
		}
		cell.Verdict = fmt.Sprintf("%s, %s (%s to %s)", size, cell.Sense, percent(i.Low), percent(i.High))
	default:
		cell.Sense, cell.Verdict = SenseOpen, fmt.Sprintf("%s, not proven (%s to %s)", size, percent(i.Low), percent(i.High))
	}
}

// judgePoints does the same for figures that may be zero: by difference.
func judgePoints(cell *Cell, row Row, base, samples []float64) {
	i, ok := Difference(base, samples)
	if !ok {
		cell.Sense, cell.Verdict = SenseOpen, "can not be compared"
		return
	}
	unit := row.Unit
	if unit == "%" {
		unit = "points"
	}
	cell.Verdict = fmt.Sprintf("%+.3g %s", i.Estimate, unit)
	switch {
	case !i.Known:
		cell.Sense = SenseOpen
		cell.Verdict += fmt.Sprintf(", N=%d: not proven", min(len(base), len(samples)))
	case i.Low == 0 && i.High == 0:
		cell.Sense, cell.Verdict = SenseSame, "equal"
	case i.Low > 0 || i.High < 0:
		cell.Sense = SenseWorse
		if (i.Estimate > 0) == (row.Better == bench.Higher) {
			cell.Sense = SenseBetter
		}
		cell.Verdict += fmt.Sprintf(", %s (%+.3g to %+.3g)", cell.Sense, i.Low, i.High)
	default:
		cell.Sense = SenseOpen
		cell.Verdict += fmt.Sprintf(", not proven (%+.3g to %+.3g)", i.Low, i.High)
	}
}

// percent says a ratio as people do: +9 %, -30 %, and from twice on 4.0×.
func percent(ratio float64) string {
	switch {
	case ratio >= 2:
		return fmt.Sprintf("%.1f×", ratio)
	case math.Abs(ratio-1) < 0.0995:
		return strings.Replace(fmt.Sprintf("%+.1f %%", 100*(ratio-1)), "-0.0", "+0.0", 1)
	}
	return fmt.Sprintf("%+.0f %%", 100*(ratio-1))
}

// hiddenTimes tells what a wall-clock time alone does not show: the processor time below it, and
// the waiting that is in neither. On several processors user and system time may exceed the wall
// time; then nothing is said of waiting.
func hiddenTimes(base, results []*bench.Result, reference bool) []string {
	cpu, wall, ok := cpuTime(results)
	if !ok {
		return nil
	}
	unit := results[0].Unit
	words := fmt.Sprintf("processor time (user+sys) %s %s", number(cpu), unit)
	if was, _, ok := cpuTime(base); ok && !reference && was > 0 {
		words += " (" + percent(cpu/was) + ")"
	}
	hidden := []string{words}
	if waiting := wall - cpu; waiting > 0.05*wall {
		hidden = append(hidden, fmt.Sprintf("waited %s %s: not its own work; steal by the host, or the disk", number(waiting), unit))
	}
	return hidden
}

func cpuTime(results []*bench.Result) (cpu, wall float64, ok bool) {
	var cpus, walls []float64
	for _, r := range results {
		user, ok1 := r.Value("user")
		sys, ok2 := r.Value("sys")
		if ok1 && ok2 {
			cpus, walls = append(cpus, user+sys), append(walls, r.Median)
		}
	}
	return bench.Median(cpus), bench.Median(walls), len(cpus) > 0
}

// number prints a figure with three digits that count.
func number(v float64) string {
	switch a := math.Abs(v); {
	case a >= 1e6:
		return fmt.Sprintf("%.3g", v)
	case a >= 99.95:
		return fmt.Sprintf("%.1f", v)
	case a >= 9.995:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.3g", v)
}
