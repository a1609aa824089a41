package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/honeyant/honeyant/bench"
	"github.com/honeyant/honeyant/bench/history"
	"github.com/honeyant/honeyant/cmd/command"
)

func newBenchCompare(o *options) *cobra.Command {
	var by, dir string
	var force, all, sample bool
	c := &cobra.Command{
		Use:   "compare A B ...",
		Short: "set measurements side by side and say what is proven",
		Long: "Compares runs with the first one: medians, the change with its 95 % interval, and a verdict in words. A side is\n" +
			"a machine (its last run), machine~2 (the last but two), machine@2026-11-20, machine@all (all its runs), the\n" +
			"beginning of a run's ID, or a file that honeyant bench --json wrote. One machine alone is compared with its\n" +
			"earlier runs, outliers explained. Sides that differ in more than one respect are refused with exit code 2.",
		Example: "  honeyant bench compare web1~1 web1\n  honeyant bench compare web1                     # was today an exception?\n  honeyant bench compare a b c --by os\n  honeyant bench compare before.json after.json\n  honeyant bench compare --sample ubuntu16 ubuntu18 amazonlinux",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			runs, err := runsFor(o, dir, sample, args)
			if err != nil {
				return err
			}
			sides := make([]history.Side, 0, len(args))
			for _, word := range args {
				s, err := history.Pick(runs, word)
				if err != nil {
					return asRefused(err)
				}
				sides = append(sides, s)
			}
			if len(sides) == 1 {
				return exceptions(o, os.Stdout, sides[0], runs)
			}
			c, err := history.Compare(sides, history.Options{By: history.Axis(by), Force: force})
			if err != nil {
				return asRefused(err)
			}
			a := compareAnswer{Comparison: c}
			for _, s := range sides {
				a.Outliers = append(a.Outliers, outliersOf(s, runs)...)
			}
			if o.json {
				return command.PrintJSON(os.Stdout, a)
			}
			showComparison(os.Stdout, a, all)
			return nil
		},
	}
	f := c.Flags()
	f.StringVar(&by, "by", "", "in what respect they are meant to differ: time, machine, os or plan (default: found out)")
	f.BoolVar(&force, "force", false, "compare unlike things all the same")
	f.BoolVar(&all, "all", false, "list equal and unproven rows too when there are many")
	f.BoolVar(&sample, "sample", false, "the sample figures of 2020")
	f.StringVar(&dir, "history", "", "history of measurements (default: this machine's)")
	return c
}

// runsFor reads the history, unless all sides are files.
func runsFor(o *options, dir string, sample bool, words []string) ([]*bench.Run, error) {
	if sample {
		return history.Sample(), nil
	}
	for _, w := range words {
		if !history.IsFile(w) {
			runs, _, err := loadHistory(o, dir)
			return runs, err
		}
	}
	return nil, nil
}

type compareAnswer struct {
	*history.Comparison
	Outliers []outlierOf `json:"outliers,omitempty"`
}

type outlierOf struct {
	Run  string `json:"run"`
	Text string `json:"text"`
	history.Outlier
}

func outliersOf(s history.Side, runs []*bench.Run) []outlierOf {
	var all []outlierOf
	for _, r := range s.Runs {
		for _, x := range history.Outliers(r, runs) {
			all = append(all, outlierOf{r.ID, x.String(), x})
		}
	}
	return all
}

// exceptions compares the last run of one side with all earlier ones of its machine.
func exceptions(o *options, w io.Writer, s history.Side, runs []*bench.Run) error {
	last := s.Runs[len(s.Runs)-1]
	earlier := 0
	for _, r := range runs {
		if r.Host.Name == last.Host.Name && r.Began.Before(last.Began) {
			earlier++
		}
	}
	found := outliersOf(history.Side{Runs: []*bench.Run{last}}, runs)
	if o.json {
		return command.PrintJSON(w, map[string]any{"run": last.ID, "earlier_runs": earlier, "outliers": found})
	}
	switch {
	case earlier < 3:
		fmt.Fprintf(w, "Run %s of %s has %d before it; three are needed to know what is usual.\n", last.ID, last.Host.Name, earlier)
	case len(found) == 0:
		fmt.Fprintf(w, "Run %s of %s is like the %d before it.\n", last.ID, last.Host.Name, earlier)
	}
	for _, x := range found {
		fmt.Fprintln(w, x.Text)
	}
	return nil
}

// manyRows is beyond what number the rows without news are left out.
const manyRows = 30

func showComparison(w io.Writer, a compareAnswer, all bool) {
	red, plain := "", ""
	if f, ok := w.(*os.File); ok && command.IsTerminal(f) {
		red, plain = "\033[31m", "\033[0m"
	}
	header := []string{""}
	for i, s := range a.Sides {
		label := s.Label
		if i == 0 {
			label += " (reference)"
		}
		header = append(header, label)
	}
	var rows [][]string
	for _, f := range a.Facts {
		name := f.Name
		if f.Differs {
			name = red + "≠ " + name + plain
		}
		row := []string{name}
		for _, v := range f.Values {
			if v == "" {
				v = "?"
			}
			row = append(row, v)
		}
		rows = append(rows, row)
	}
	command.PrintTable(w, header, rows)
	by := "by " + string(a.By)
	if a.Forced {
		by = "by force, though unlike: whatever differs above may be the cause"
	}
	fmt.Fprintf(w, "\nCompared %s. ≠ differs.\n\n", by)
	quiet := 0
	var hidden []string
	rows = rows[:0]
	for _, r := range a.Rows {
		news := len(a.Rows) <= manyRows || all
		row := []string{r.Title, r.Unit, cellText(r.Cells[0])}
		var notes []string
		notes = append(notes, hiddenLines(r, 0, a.Sides)...)
		for i, c := range r.Cells[1:] {
			row = append(row, cellText(c), c.Verdict)
			news = news || c.Sense == history.SenseBetter || c.Sense == history.SenseWorse
			notes = append(notes, hiddenLines(r, i+1, a.Sides)...)
		}
		if !news {
			quiet++
			continue
		}
		rows = append(rows, row)
		hidden = append(hidden, notes...)
	}
	header = []string{"measurement", "unit", a.Sides[0].Label}
	for _, s := range a.Sides[1:] {
		header = append(header, s.Label, "change")
	}
	command.PrintTable(w, header, rows)
	for _, r := range a.Rows {
		if line := productLine(r, a.Sides); line != "" {
			fmt.Fprintln(w, line)
		}
	}
	if quiet > 0 {
		fmt.Fprintf(w, "\n%d more rows are equal or not proven to differ (--all shows them).\n", quiet)
	}
	for _, h := range hidden {
		fmt.Fprintln(w, "hidden:", h)
	}
	for _, n := range a.Notes {
		fmt.Fprintln(w, "note:", n)
	}
	for _, x := range a.Outliers {
		fmt.Fprintf(w, "outlier in %s: %s\n", x.Run, x.Text)
	}
	for _, l := range a.LeftOut {
		fmt.Fprintf(w, "not compared: %s: %s\n", l.Key, l.Reason)
	}
}

// leastStep is from which ratio between neighbours on a chain of sides is spelt out.
const leastStep = 1.5

// productLine spells out how far the last of three or more sides is from the reference when each is some times
// better than the one before: "6.0 × 6.0 = 36×". Nothing for other rows.
func productLine(r history.Row, sides []history.Side) string {
	var steps []string
	last, higher := r.Cells[0].Median, r.Better == bench.Higher
	for _, c := range r.Cells[1:] {
		if c.N == 0 || last <= 0 || c.Median <= 0 {
			return ""
		}
		step := c.Median / last
		if !higher {
			step = 1 / step
		}
		if step < leastStep {
			return ""
		}
		steps, last = append(steps, fmt.Sprintf("%.1f", step)), c.Median
	}
	if len(steps) < 2 {
		return ""
	}
	whole := last / r.Cells[0].Median
	if !higher {
		whole = 1 / whole
	}
	return fmt.Sprintf("%s: %s = %.0f times %s, the reference", r.Title, strings.Join(steps, " × "), whole, sides[0].Label)
}

// hiddenLines are what a figure alone does not show.
func hiddenLines(r history.Row, side int, sides []history.Side) (lines []string) {
	for _, h := range r.Cells[side].Hidden {
		lines = append(lines, fmt.Sprintf("%s, %s: %s", r.Title, sides[side].Label, h))
	}
	return lines
}

func cellText(c history.Cell) string {
	if c.N == 0 {
		return "–"
	}
	text := fmt.Sprintf("%.4g", c.Median)
	if c.N > 1 {
		text += fmt.Sprintf(" ±%.2g", c.MAD)
	}
	return text
}
