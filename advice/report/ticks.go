package report

import (
	"math"
	"strconv"
	"strings"

	"github.com/go-analyze/charts/chartdraw"
)

// linearTicks covers [low, high] in about n round steps.
func linearTicks(low, high float64, n int) []chartdraw.Tick {
	if !(high > low) {
		high = low + 1
	}
	raw := (high - low) / float64(max(n, 1))
	unit := math.Pow(10, math.Floor(math.Log10(raw)))
	step := 10 * unit
	for _, m := range []float64{1, 2, 5} {
		if m*unit >= raw {
			step = m * unit
			break
		}
	}
	var ticks []chartdraw.Tick
	first := math.Floor(low/step+1e-9) * step
	for i := 0; i < 100; i++ {
		v := first + float64(i)*step
		ticks = append(ticks, chartdraw.Tick{Value: v, Label: number(v)})
		if v >= high-1e-9*step {
			break
		}
	}
	return ticks
}

// logTicks covers [low, high], both positive, with ticks at powers of ten, and more between
// them where there are few. Values are logarithms to base ten.
func logTicks(low, high float64, most int) []chartdraw.Tick {
	from, to := math.Floor(math.Log10(low)+1e-9), math.Ceil(math.Log10(high)-1e-9)
	if to <= from {
		to = from + 1
	}
	marks := []float64{1}
	decades := math.Log10(high) - math.Log10(low)
	for _, finer := range [][]float64{{1, 3}, {1, 2, 5}, {1, 1.5, 2, 3, 5, 7}, {1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8}} {
		if decades*float64(len(finer)) <= float64(most) {
			marks = finer
		}
	}
	every := max(1, int(math.Ceil((to-from)/float64(max(most, 1)))))
	var ticks []chartdraw.Tick
	for e := from; e <= to; e += float64(every) {
		for _, m := range marks {
			v := m * math.Pow(10, e)
			if e == to && m > 1 {
				break
			}
			ticks = append(ticks, chartdraw.Tick{Value: math.Log10(v), Label: number(v)})
		}
	}
	// The ends need not go beyond one tick outside the data.
	for len(ticks) > 2 && ticks[1].Value <= math.Log10(low)+1e-9 {
		ticks = ticks[1:]
	}
	for len(ticks) > 2 && ticks[len(ticks)-2].Value >= math.Log10(high)-1e-9 {
		ticks = ticks[:len(ticks)-1]
	}
	return ticks
}

// number prints three digits that count, thousands grouped.
func number(v float64) string {
	a := math.Abs(v)
	switch {
	case v == 0 || a < 1e-12:
		return "0"
	case a >= 1e9 || a < 1e-3:
		return strconv.FormatFloat(v, 'g', 3, 64)
	case a >= 999.5:
		text := strconv.FormatFloat(math.Round(a), 'f', 0, 64)
		for i := len(text) - 3; i > 0; i -= 3 {
			text = text[:i] + "," + text[i:]
		}
		if v < 0 {
			text = "-" + text
		}
		return text
	}
	text := strconv.FormatFloat(v, 'f', max(0, 2-int(math.Floor(math.Log10(a)))), 64)
	if strings.Contains(text, ".") {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	return text
}
