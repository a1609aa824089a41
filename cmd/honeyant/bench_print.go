package main

import (
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/honeyant/honeyant/bench"
	"github.com/honeyant/honeyant/bench/pair"
	"github.com/honeyant/honeyant/cmd/command"
)

// announce says before anything is measured what a run will do, and what it will not.
func (b *benchOptions) announce(p *bench.Plan) {
	fmt.Fprintf(os.Stderr, "measuring %s: about %s\n", strings.Join(p.Groups, ", "), about(p.Total.Lasts))
	if p.FileBytes > 0 {
		fmt.Fprintf(os.Stderr, "test file of %s in %s (%s free), removed at the end\n", bytesText(p.FileBytes), p.Directory, bytesText(p.FreeBytes))
	}
	for _, n := range p.Missing {
		fmt.Fprintf(os.Stderr, "left out of %s: %s is not installed (%s)\n", n.Group, n.Program, n.Why)
	}
}

func about(d time.Duration) string {
	if d < 2*time.Minute {
		return fmt.Sprintf("%.0f s", math.Ceil(d.Seconds()/5)*5)
	}
	return fmt.Sprintf("%.0f min", math.Ceil(d.Minutes()))
}

// dryRunReport is what --dry-run --json prints.
type dryRunReport struct {
	*bench.Plan
	Seconds float64 `json:"seconds"`
	Cost    float64 `json:"cost"` // in the currency of the prices given
}

func (b *benchOptions) printPlan(p *bench.Plan) error {
	if b.json {
		return command.PrintJSON(os.Stdout, dryRunReport{Plan: p, Seconds: p.Total.Lasts.Seconds(), Cost: p.Cost(b.tariff)})
	}
	rows := [][]string{}
	for _, u := range append(p.Uses, p.Total) {
		rows = append(rows, []string{u.Group, about(u.Lasts), about(u.CPU), bytesText(u.WriteBytes), bytesText(u.ReadBytes), strconv.FormatInt(u.DiskOps, 10), bytesText(u.NetBytes)})
	}
	command.PrintTable(os.Stdout, []string{"group", "lasts", "cpu time", "writes ≤", "reads ≤", "disk operations ≤", "traffic out ≤"}, rows)
	fmt.Println()
	if p.FileBytes > 0 {
		fmt.Printf("Test file: %s in %s, where %s are free.\n", bytesText(p.FileBytes), p.Directory, bytesText(p.FreeBytes))
	}
	for _, n := range p.Missing {
		fmt.Printf("Left out of %s: %s is not installed (%s).\n", n.Group, n.Program, n.Why)
	}
	if b.tariff == (bench.Tariff{}) {
		fmt.Println("Cost: say what is metered with --cost-gb and --cost-million-ops; most small machines meter neither.")
	} else {
		fmt.Printf("Cost: at most %.4f at %g a GB out and %g a million disk operations (estimates are from above).\n", p.Cost(b.tariff), b.tariff.PerGBOut, b.tariff.PerMillionOps)
	}
	fmt.Println("Nothing was measured or written.")
	return nil
}

func (b *benchOptions) print(runs []*bench.Run) error {
	if b.json {
		if len(runs) == 1 && !b.colony.wanted() {
			return command.PrintJSON(os.Stdout, runs[0])
		}
		return command.PrintJSON(os.Stdout, runs)
	}
	for i, run := range runs {
		if i > 0 {
			fmt.Println()
		}
		printRun(run)
	}
	return nil
}

func printRun(run *bench.Run) {
	h := run.Host
	where := h.CPU
	if h.Plan != "" {
		where = h.Plan + ", " + where
	}
	fmt.Printf("%s: %s, %d processors, %s, %s, kernel %s, %s\n", h.Name, where, h.Cores, bytesText(h.MemoryBytes), h.OS, h.Kernel, h.Virtualisation)
	rows := [][]string{}
	for i := range run.Results {
		rows = append(rows, resultRow(run, &run.Results[i]))
	}
	if len(rows) > 0 {
		command.PrintTable(os.Stdout, []string{"what", "figure", "unit", "±", "p99", "besides", ""}, rows)
	}
	reasons := map[string][]string{}
	var order []string
	for _, k := range run.Skipped {
		if reasons[k.Reason] == nil {
			order = append(order, k.Reason)
		}
		name := k.Name
		if k.Peer != nil {
			name += " " + k.Peer.From + "→" + k.Peer.To
		}
		reasons[k.Reason] = append(reasons[k.Reason], name)
	}
	for _, reason := range order {
		fmt.Printf("left out: %s: %s\n", strings.Join(reasons[reason], ", "), reason)
	}
	if s := run.Spent; s != nil {
		fmt.Printf("Spent: %s written to disks, %s read from them, %s sent by this machine.\n", bytesText(s.WriteBytes), bytesText(s.ReadBytes), bytesText(s.NetSentBytes))
	}
	if run.Tainted {
		fmt.Printf("Not idle (results marked * may be too low): %s.\n", strings.Join(run.Why, "; "))
	}
}

func resultRow(run *bench.Run, r *bench.Result) []string {
	title := r.Name
	if spec, ok := bench.Lookup(r.Name); ok {
		title = spec.Title
	}
	if r.Peer != nil {
		title += ", " + r.Peer.From + " → " + r.Peer.To
	}
	spread, p99, mark := "", "", ""
	if r.Median != 0 && len(r.Samples) > 1 {
		spread = fmt.Sprintf("%.0f %%", 100*r.MAD/math.Abs(r.Median))
	}
	if r.Latency != nil {
		p99 = figure(r.Latency.P99) + " " + r.Latency.Unit
	}
	if r.Tainted {
		mark = "*"
	}
	var besides []string
	for _, a := range r.Also {
		if strings.HasSuffix(a.Name, "_mad") || a.Name == "p99" {
			continue
		}
		text := strings.ReplaceAll(a.Name, "_", " ") + " " + figure(a.Value)
		if mad, ok := r.Value(a.Name + "_mad"); ok {
			text += " ±" + figure(mad)
		}
		besides = append(besides, text+" "+a.Unit)
	}
	if disk := run.Find("disk.write.seq"); disk != nil && disk.Median > 0 && r.Unit == "MB/s" && (r.Group == "net" || r.Group == "ssh") {
		besides = append(besides, figure(r.Median/disk.Median)+" × local disk")
	}
	return []string{title, figure(r.Median), r.Unit, spread, p99, strings.Join(besides, ", "), mark}
}

// figure is a number with three digits that count.
func figure(v float64) string {
	switch a := math.Abs(v); {
	case a >= 100:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case a >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	case a == 0:
		return "0"
	case a >= 0.01:
		return strconv.FormatFloat(v, 'f', 2, 64)
	}
	return strconv.FormatFloat(v, 'g', 2, 64)
}

// benchProgress shows what is being measured: one line that changes on a terminal, a line
// for each result elsewhere.
type benchProgress struct{ terminal, quiet, shown bool }

func newBenchProgress(json bool) *benchProgress {
	terminal := command.IsTerminal(os.Stderr)
	return &benchProgress{terminal: terminal, quiet: json && !terminal}
}

func (p *benchProgress) event(e bench.Event) {
	if p.quiet {
		return
	}
	if !p.terminal {
		if e.Result != nil {
			fmt.Fprintf(os.Stderr, "%s: %s %s\n", e.Result.Key(), figure(e.Result.Median), e.Result.Unit)
		}
		return
	}
	if e.Result != nil || e.Skip != nil {
		return
	}
	title := e.Name
	if spec, ok := bench.Lookup(e.Name); ok {
		title = spec.Title
	}
	fmt.Fprintf(os.Stderr, "\r\x1b[K[%d/%d] %s, about %s left", e.Done+1, e.Of, title, about(e.Left))
	p.shown = true
}

func (p *benchProgress) end() {
	if p.shown {
		fmt.Fprint(os.Stderr, "\r\x1b[K")
	}
}

// step shows a step of a measurement on another node.
func (p *benchProgress) step(s *pair.Step) {
	switch {
	case p.quiet:
	case p.terminal:
		fmt.Fprintf(os.Stderr, "\r\x1b[K%s: %s", s.Node, s.Text)
		p.shown = true
	case s.Result != nil:
		fmt.Fprintf(os.Stderr, "%s: %s %s\n", s.Result.Key(), figure(s.Result.Median), s.Result.Unit)
	}
}
