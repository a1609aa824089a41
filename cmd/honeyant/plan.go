package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/honeyant/honeyant/admin"
	"github.com/honeyant/honeyant/advice"
	"github.com/honeyant/honeyant/cmd/command"
)

// planOptions are the flags of honeyant plan.
type planOptions struct {
	*options
	price                 priceOptions
	gb                    float64
	nodes, copies         int
	plan, fleet, provider string
	given                 string
	ec, bucket            string
	add, remove, replace  []string
	vmLoss, history       string
	explain, sample       bool
	table                 *advice.Table
	setting               advice.Setting
	wish                  advice.Wish
	from                  string // where the machines come from, in words
}

func newPlan(o *options) *cobra.Command {
	p := &planOptions{options: o}
	c := &cobra.Command{
		Use:   "plan",
		Short: "equal workers or a honeypot, which machine to buy, keep or drop: with the arithmetic",
		Long: "Says for each way to use the machines how much fits, how fast it is, what it survives and what it costs, and\n" +
			"recommends one. The machines are those that were measured (the history), or --fleet; with --gb and --nodes\n" +
			"alone it looks for the cheapest machines in the price table. What was not measured is assumed and listed.\n" +
			"Exit code 2 for an impossible plan or a bad table.",
		Example: "  honeyant plan                                     # the machines that were measured\n" +
			"  honeyant plan --gb 200 --nodes 10                 # equal workers or one honeypot: both totals\n" +
			"  honeyant plan --fleet 3xlightsail/nano --add 3×lightsail/nano\n" +
			"  honeyant plan --replace n1,n2,n3=lightsail/large  # three by one\n" +
			"  honeyant plan --remove n2 --explain --currency JPY",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return p.run(cmd.Context(), os.Stdout) },
	}
	p.price.flags(c)
	f := c.Flags()
	f.Float64Var(&p.gb, "gb", 0, "GB of files that must fit")
	f.IntVar(&p.nodes, "nodes", 0, "how many machines")
	f.StringVar(&p.plan, "plan", "", "plan of the machines for --nodes, such as lightsail/nano")
	f.StringVar(&p.fleet, "fleet", "", "machines by plan, such as 3×lightsail/nano,lightsail/large")
	f.StringVar(&p.given, "machines", "", "machines with figures of your own (CSV; doc/advice.md lists the columns)")
	f.StringVar(&p.provider, "provider", "", "look only at this provider's plans")
	f.IntVar(&p.copies, "copies", 0, "full copies of each file (default 2)")
	f.StringVar(&p.ec, "ec", "", "look at an erasure code too, such as 4+2 (not built yet)")
	f.StringVar(&p.bucket, "bucket", "", "look at this bucket too, such as backblaze/b2 (not built yet)")
	f.StringArrayVar(&p.add, "add", nil, "what if: more machines, such as 3×lightsail/nano")
	f.StringArrayVar(&p.remove, "remove", nil, "what if: without these machines, by name")
	f.StringArrayVar(&p.replace, "replace", nil, "what if: NAMES=PLANS, such as n1,n2,n3=lightsail/large")
	f.StringVar(&p.vmLoss, "vm-loss", "2%", "chance that a machine and its disk are lost for good within a year")
	f.StringVar(&p.history, "history", "", "history of measurements (default: this machine's)")
	f.BoolVar(&p.sample, "sample", false, "with the sample figures of 2020")
	f.BoolVar(&p.explain, "explain", false, "the arithmetic of every way, not only of the recommended one")
	return c
}

// planAnswer is what the command prints.
type planAnswer struct {
	Machines   string                 `json:"machines_from"`
	Fleet      []advice.Machine       `json:"machines,omitempty"`
	Outcomes   []*advice.Outcome      `json:"ways"`
	Advice     advice.Recommendation  `json:"recommended"`
	Without    []advice.Without       `json:"without_each,omitempty"`
	WhatIf     string                 `json:"what_if,omitempty"`
	WhatFleet  []advice.Machine       `json:"what_if_machines,omitempty"`
	WhatWays   []*advice.Outcome      `json:"what_if_ways,omitempty"`
	WhatAdvice *advice.Recommendation `json:"what_if_recommended,omitempty"`
	GB         float64                `json:"wanted_gb,omitempty"`
}

func (p *planOptions) run(ctx context.Context, w io.Writer) error {
	if err := p.prepare(); err != nil {
		return err
	}
	a := &planAnswer{GB: p.gb}
	if p.nodes > 0 && p.gb > 0 && p.fleet == "" && p.given == "" {
		ways, err := advice.Cheapest(p.table, advice.Search{Nodes: p.nodes, Wish: p.wish, Provider: p.provider, Worker: p.plan}, p.setting)
		if err != nil {
			return err
		}
		if len(p.add)+len(p.remove)+len(p.replace) > 0 {
			return command.Usagef("--add, --remove and --replace change machines: name them with --fleet, or measure them")
		}
		a.Machines, a.Outcomes = fmt.Sprintf("the cheapest %d machines of the price table for each way", p.nodes), ways
	} else {
		fleet, err := p.machines(ctx)
		if err != nil {
			return err
		}
		a.Machines, a.Fleet = p.from, fleet
		if a.Outcomes, err = advice.Ways(fleet, p.wish, p.setting); err != nil {
			return err
		}
		if err := p.whatIf(a); err != nil {
			return err
		}
	}
	a.Advice = advice.Recommend(a.Outcomes, p.gb)
	var err error
	if a.Without, err = advice.WithoutEach(a.Fleet, a.Advice.Best, p.wish, p.setting); err != nil {
		return err
	}
	if p.json {
		return command.PrintJSON(w, a)
	}
	p.show(w, a)
	return nil
}

func (p *planOptions) prepare() error {
	var err error
	var unit advice.Unit
	if p.table, unit, err = p.price.load(p.options); err != nil {
		return err
	}
	p.setting = advice.Setting{Hazards: advice.DefaultHazards(), Rates: p.table.Rates, Unit: unit}
	if p.setting.Hazards.LossPerYear, err = parseShare(p.vmLoss); err != nil {
		return command.Usagef("--vm-loss: %s", err)
	}
	switch {
	case p.gb < 0 || p.nodes < 0 || p.copies < 0:
		return command.Usagef("--gb, --nodes and --copies can not be negative")
	case p.nodes > 0 && p.gb == 0 && p.plan == "" && p.fleet == "":
		return command.Usagef("%d machines of which plan (--plan), or for how much data (--gb)?", p.nodes)
	case p.nodes > 0 && (p.fleet != "" || p.given != ""), p.fleet != "" && p.given != "":
		return command.Usagef("only one of --fleet, --machines and --nodes says which machines there are")
	case p.nodes == 0 && p.plan != "":
		return command.Usagef("how many of %s? Say --nodes, or --fleet 3×%s", p.plan, p.plan)
	}
	p.wish = advice.Wish{GB: p.gb, Copies: p.copies}
	if p.ec != "" {
		k, m, ok := strings.Cut(p.ec, "+")
		p.wish.K, _ = strconv.Atoi(k)
		p.wish.M, _ = strconv.Atoi(m)
		if !ok || p.wish.K < 1 || p.wish.M < 1 {
			return command.Usagef("--ec is written 4+2, not %q", p.ec)
		}
	}
	if p.bucket != "" {
		offer, err := p.table.Find(p.bucket)
		if err != nil {
			return err
		}
		if offer.Kind != advice.KindBucket {
			return command.Usagef("%s is no bucket; honeyant price --kind bucket lists some", offer.Name())
		}
		p.wish.Bucket = advice.BucketOf(offer)
	}
	return nil
}

// parseShare reads 2% or 0.02.
func parseShare(text string) (float64, error) {
	number, isPercent := strings.CutSuffix(strings.TrimSpace(text), "%")
	v, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if isPercent {
		v /= 100
	}
	if err != nil || !(v >= 0 && v < 1) {
		return 0, fmt.Errorf("%q is no share: write 2%% or 0.02", text)
	}
	return v, nil
}

// machines are those of --fleet, of --nodes and --plan, or those that were measured.
func (p *planOptions) machines(ctx context.Context) ([]advice.Machine, error) {
	text := p.fleet
	if p.nodes > 0 {
		text = fmt.Sprintf("%d×%s", p.nodes, p.plan)
	}
	if text != "" {
		p.from = text
		return advice.ParseFleet(text, p.table, nil)
	}
	if p.given != "" {
		p.from = p.given
		f, err := os.Open(p.given)
		if err != nil {
			return nil, command.Usagef("no such file: %s", err)
		}
		defer f.Close()
		return advice.ReadMachines(f, p.table)
	}
	runs, from, err := loadOrSample(p.options, p.history, p.sample)
	if err != nil {
		return nil, err
	}
	p.from = from
	fleet := advice.FromRuns(p.table, runs)
	if !p.sample {
		p.capacities(ctx, fleet)
	}
	return fleet, nil
}

// capacities takes what each machine gives to the colony from the colony, if it answers.
func (p *planOptions) capacities(ctx context.Context, fleet []advice.Machine) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	var s admin.Status
	if p.client().Call(ctx, "status", nil, &s) != nil {
		return
	}
	for i := range fleet {
		for _, n := range s.Nodes {
			if (n.Name == fleet[i].Name || n.ID == fleet[i].Name) && n.CapacityBytes > 0 {
				fleet[i].DiskGB = advice.Figure{Value: float64(n.CapacityBytes) / 1e9, Origin: advice.Measured, Note: "capacity of its store"}
			}
		}
	}
}

func (p *planOptions) whatIf(a *planAnswer) error {
	fleet := a.Fleet
	var words []string
	var err error
	for _, names := range p.remove {
		if fleet, err = advice.Remove(fleet, names); err != nil {
			return err
		}
		words = append(words, "without "+names)
	}
	for _, text := range p.replace {
		if fleet, err = advice.Replace(fleet, text, p.table); err != nil {
			return err
		}
		names, by, _ := strings.Cut(text, "=")
		words = append(words, names+" replaced by "+by)
	}
	for _, text := range p.add {
		if fleet, err = advice.ParseFleet(text, p.table, fleet); err != nil {
			return err
		}
		words = append(words, "with "+text+" more")
	}
	if len(words) == 0 {
		return nil
	}
	a.WhatIf, a.WhatFleet = strings.Join(words, ", "), fleet
	if a.WhatWays, err = advice.Ways(fleet, p.wish, p.setting); err != nil {
		return err
	}
	r := advice.Recommend(a.WhatWays, p.gb)
	a.WhatAdvice = &r
	return nil
}
