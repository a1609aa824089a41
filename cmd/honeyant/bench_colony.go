package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/admin"
	"github.com/honeyant/honeyant/bench"
	"github.com/honeyant/honeyant/bench/history"
	"github.com/honeyant/honeyant/bench/pair"
	"github.com/honeyant/honeyant/cmd/command"
	"github.com/honeyant/honeyant/node"
)

// colonyOptions choose nodes and pairs of the colony.
type colonyOptions struct {
	allPairs, allNodes bool
	to                 []string
}

func (c *colonyOptions) flags(f *pflag.FlagSet) {
	f.BoolVar(&c.allPairs, "all-pairs", false, "measure the way between every two nodes of the colony, both directions")
	f.BoolVar(&c.allNodes, "all-nodes", false, "measure the groups on every node of the colony, one after the other")
	f.StringSliceVar(&c.to, "to", nil, "measure the way from this node to these, by name or ID")
}

func (c *colonyOptions) wanted() bool { return c.allPairs || c.allNodes || len(c.to) > 0 }

func (c *colonyOptions) validate(groups []string) error {
	if len(c.to) > 0 && (c.allPairs || c.allNodes) {
		return command.Usagef("--to measures from this node only: leave --all-pairs and --all-nodes away")
	}
	for _, g := range groups {
		switch {
		case g == "burst":
			return command.Usagef("burst is measured on one machine at a time: honeyant bench burst")
		case c.allNodes && !c.allPairs && g == "ssh":
			return command.Usagef("ssh is measured between nodes: honeyant bench ssh --all-pairs")
		case !c.allNodes && !slices.Contains(pairGroups(), g):
			return command.Usagef("only %s are measured between nodes, not %s", strings.Join(pairGroups(), " and "), g)
		}
	}
	return nil
}

// pairGroups are what is measured between nodes.
func pairGroups() []string { return []string{"net", "ssh"} }

// requests are what the daemon is asked, one after the other.
func (b *benchOptions) requests() (list []node.BenchRequest) {
	c := b.colony
	work := pair.Work{Groups: b.run.Groups, Profile: b.run.Profile, Gentle: b.run.Gentle, Size: b.run.SizeBytes}
	keep := !b.noHistory && b.history == ""
	alone, between := work, work
	alone.Groups = slices.DeleteFunc(slices.Clone(work.Groups), func(g string) bool { return c.allPairs && g == "ssh" })
	between.Groups = slices.DeleteFunc(slices.Clone(work.Groups), func(g string) bool { return !slices.Contains(pairGroups(), g) })
	if len(work.Groups) == 0 {
		between.Groups = pairGroups()
	}
	if c.allNodes && (len(alone.Groups) > 0 || len(work.Groups) == 0) {
		list = append(list, node.BenchRequest{AllNodes: true, Work: alone, Keep: keep})
	}
	if (c.allPairs || len(c.to) > 0) && len(between.Groups) > 0 {
		list = append(list, node.BenchRequest{AllPairs: c.allPairs, To: c.to, Work: between, Keep: keep})
	}
	return list
}

// startColony lets the daemon measure nodes or pairs.
func (b *benchOptions) startColony(ctx context.Context) error {
	if err := b.colony.validate(b.run.Groups); err != nil {
		return err
	}
	if b.dryRun {
		return b.printColonyPlan(ctx)
	}
	c := colonyRuns{show: newBenchProgress(b.json)}
	var err error
	for _, req := range b.requests() {
		if err = b.client().Stream(ctx, "/bench", req, c.line); err != nil {
			break
		}
	}
	c.show.end()
	return b.finishColony(ctx, &c, err)
}

// colonyRuns is what the daemon told.
type colonyRuns struct {
	show    *benchProgress
	runs    []*bench.Run
	skipped []bench.Skip
	failed  error
	kept    *node.Kept
}

func (c *colonyRuns) line(text []byte) error {
	var l node.BenchLine
	if err := json.Unmarshal(text, &l); err != nil {
		return honeyant.E("bench", honeyant.Corrupt, "", err)
	}
	switch {
	case l.Step != nil:
		c.show.step(l.Step)
	case l.Run != nil:
		c.runs = append(c.runs, l.Run)
	case l.Skip != nil:
		c.skipped = append(c.skipped, *l.Skip)
	case l.Kept != nil:
		if c.kept == nil || c.kept.Error == "" { // a fault of the first part stays
			c.kept = l.Kept
		}
	case l.Error != "":
		c.failed = &admin.Remote{Kind: l.Kind, Text: l.Error}
	}
	return nil
}

// finishColony prints what was measured and chooses the exit code; fault is that of the socket.
func (b *benchOptions) finishColony(ctx context.Context, c *colonyRuns, fault error) error {
	if fault != nil && len(c.runs) == 0 {
		return fault
	}
	for _, k := range c.skipped {
		name := k.Name
		if k.Peer != nil {
			name = k.Peer.From + " → " + k.Peer.To
		}
		fmt.Fprintf(os.Stderr, "honeyant: not measured: %s: %s\n", name, k.Reason)
	}
	if c.failed != nil && len(c.runs) == 0 {
		if errors.Is(c.failed, honeyant.NotExist) { // a name that no node has
			return command.Usage(c.failed)
		}
		return c.failed
	}
	if len(c.runs) == 0 {
		return &honeyant.Error{Kind: honeyant.Unavailable, Err: fmt.Errorf("nothing could be measured")}
	}
	var kept error
	switch {
	case c.kept != nil && c.kept.Error != "":
		kept = errors.New(c.kept.Error)
	case c.kept != nil:
		b.tellKept(c.kept)
	case b.history != "" && !b.noHistory:
		for _, run := range c.runs {
			if len(run.Results) > 0 {
				kept = errors.Join(kept, history.Append(context.WithoutCancel(ctx), b.history, run))
			}
		}
	}
	if err := b.show(c.runs, kept); err != nil {
		return err
	}
	if fault != nil || c.failed != nil || len(b.colony.to) > 0 && len(c.skipped) > 0 {
		return command.Silent(command.Unreachable)
	}
	return nil
}

// printColonyPlan estimates what measuring the colony will send.
func (b *benchOptions) printColonyPlan(ctx context.Context) error {
	var st admin.Status
	if err := b.client().Call(ctx, "status", nil, &st); err != nil {
		return err
	}
	if b.colony.allNodes {
		plan, err := bench.MakePlan(ctx, b.run)
		if err != nil {
			return asRefusal(err)
		}
		fmt.Fprintf(os.Stderr, "On each of %d nodes, one after the other; estimated for this one:\n", len(st.Nodes))
		return b.printPlan(plan)
	}
	pairs := len(st.Nodes) * (len(st.Nodes) - 1)
	if len(b.colony.to) > 0 {
		pairs = len(b.colony.to)
	}
	groups := b.run.Groups
	if len(groups) == 0 {
		groups = pairGroups()
	}
	use := pair.Estimate(groups, b.run.Profile == bench.Full, b.run.Gentle)
	use.NetBytes *= int64(pairs)
	use.Lasts *= time.Duration(pairs)
	plan := &bench.Plan{Groups: groups, Profile: b.run.Profile, Uses: []bench.Use{}, Total: use}
	plan.Total.Group = fmt.Sprintf("%d pairs", pairs)
	return b.printPlan(plan)
}
