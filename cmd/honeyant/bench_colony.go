package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/pflag"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/admin"
	"github.com/honeyant/honeyant/bench"
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
	kinds := 0
	for _, set := range []bool{c.allPairs, c.allNodes, len(c.to) > 0} {
		if set {
			kinds++
		}
	}
	if kinds > 1 {
		return command.Usagef("one of --all-pairs, --all-nodes and --to")
	}
	if c.allNodes {
		for _, g := range groups {
			if g == "ssh" || g == "burst" {
				return command.Usagef("%s is measured on one machine at a time: honeyant bench %s", g, g)
			}
		}
		return nil
	}
	for _, g := range groups {
		if g != "net" {
			return command.Usagef("only net is measured between nodes, not %s", g)
		}
	}
	return nil
}

// startColony lets the daemon measure nodes or pairs.
func (b *benchOptions) startColony(ctx context.Context) error {
	if err := b.colony.validate(b.run.Groups); err != nil {
		return err
	}
	req := node.BenchRequest{AllPairs: b.colony.allPairs, AllNodes: b.colony.allNodes, To: b.colony.to,
		Work: pair.Work{Groups: b.run.Groups, Profile: b.run.Profile, Gentle: b.run.Gentle, Size: b.run.SizeBytes}}
	if b.dryRun {
		return b.printColonyPlan(ctx)
	}
	show := newBenchProgress(b.json)
	var runs []*bench.Run
	var skipped []bench.Skip
	var failed error
	err := b.client().Stream(ctx, "/bench", req, func(line []byte) error {
		var l node.BenchLine
		if err := json.Unmarshal(line, &l); err != nil {
			return honeyant.E("bench", honeyant.Corrupt, "", err)
		}
		switch {
		case l.Step != nil:
			show.step(l.Step)
		case l.Run != nil:
			runs = append(runs, l.Run)
		case l.Skip != nil:
			skipped = append(skipped, *l.Skip)
		case l.Error != "":
			failed = &admin.Remote{Kind: l.Kind, Text: l.Error}
		}
		return nil
	})
	show.end()
	if err != nil && len(runs) == 0 {
		return err
	}
	for _, k := range skipped {
		name := k.Name
		if k.Peer != nil {
			name = k.Peer.From + " → " + k.Peer.To
		}
		fmt.Fprintf(os.Stderr, "honeyant: not measured: %s: %s\n", name, k.Reason)
	}
	if failed != nil && len(runs) == 0 {
		if errors.Is(failed, honeyant.NotExist) { // a name that no node has
			return command.Usage(failed)
		}
		return failed
	}
	if len(runs) == 0 {
		return &honeyant.Error{Kind: honeyant.Unavailable, Err: fmt.Errorf("nothing could be measured")}
	}
	if err := b.finish(ctx, runs); err != nil {
		return err
	}
	if err != nil || failed != nil || len(b.colony.to) > 0 && len(skipped) > 0 {
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
	use := pair.Estimate(b.run.Profile == bench.Full, b.run.Gentle)
	use.NetBytes *= int64(pairs)
	use.Lasts *= time.Duration(pairs)
	plan := &bench.Plan{Groups: []string{"net"}, Profile: b.run.Profile, Uses: []bench.Use{}, Total: use}
	plan.Total.Group = fmt.Sprintf("%d pairs", pairs)
	return b.printPlan(plan)
}
