package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/bench"
	"github.com/honeyant/honeyant/bench/history"
	"github.com/honeyant/honeyant/cmd/command"
	"github.com/honeyant/honeyant/config"
	"github.com/honeyant/honeyant/internal/version"
	"github.com/honeyant/honeyant/node"
)

// benchOptions are the flags of honeyant bench.
type benchOptions struct {
	*options
	run       bench.Options
	size      string
	dryRun    bool
	tariff    bench.Tariff
	history   string
	noHistory bool
	noCloud   bool
	again     int
	within    time.Duration
	colony    colonyOptions
}

func newBench(o *options) *cobra.Command {
	b := &benchOptions{options: o}
	c := &cobra.Command{
		Use:   "bench [GROUP...] [HOST]",
		Short: "measure this machine, or every machine of the colony and the way between them",
		Long: `Measures in groups: ` + strings.Join(bench.Groups(), ", ") + `. Without a group
it takes those that need no other machine. Nothing has to be installed and nothing is left
behind; the result goes into the history, which on a machine of a colony is the colony's:
every node keeps it. doc/measuring.md says how each figure comes about.

ssh measures the way to HOST; without HOST, to a private sshd on this machine.
--all-pairs and --to measure net and ssh between the nodes of the colony; --all-nodes runs
the groups on every node. Both together do the whole colony.

Exit codes: 0 measured, 1 failed or stopped, 2 wrong usage, no space, or a program is missing
(nothing was measured), 3 nobody answered.`,
		Example: `  honeyant bench
  honeyant bench disk --size 4G --in /srv
  honeyant bench --profile full --dry-run --cost-gb 0.09 --cost-million-ops 0.2
  honeyant bench ssh backup.example
  honeyant bench net --all-pairs --json
  honeyant bench --all-nodes --all-pairs          # the whole colony
  honeyant bench history
  honeyant bench burst --for 30m
  honeyant bench --again 3 --within 72h           # was it the hour?`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error { return b.start(cmd.Context(), args) },
	}
	f := c.Flags()
	f.StringVar(&b.run.Profile, "profile", bench.Quick, "quick (under a minute) or full (half an hour)")
	f.StringVar(&b.run.Dir, "in", ".", "directory whose disk, or mount whose file system, is measured")
	f.StringVar(&b.size, "size", "", "size of the test file, such as 4G; at most a quarter of the free space is used")
	f.StringSliceVar(&b.run.Only, "only", nil, "only these measurements of the groups, such as disk.fsync")
	f.BoolVar(&b.run.Gentle, "gentle", false, "for a machine in use: low priority and long pauses")
	f.BoolVar(&b.dryRun, "dry-run", false, "only say what would be done and what it would cost")
	f.DurationVar(&b.run.BurstFor, "for", 15*time.Minute, "length of burst, for the processors and again for the disk")
	f.IntVar(&b.again, "again", 1, "how many times to measure: now, and then at moments drawn at random")
	f.DurationVar(&b.within, "within", 72*time.Hour, "the time in which --again measures")
	f.StringVar(&b.run.Plan, "plan", "", "name of the machine's plan in the price table, if the cloud does not tell")
	f.StringVar(&b.run.Region, "region", "", "region of the machine, if the cloud does not tell")
	f.BoolVar(&b.noCloud, "no-metadata", false, "do not ask the cloud's metadata service for the plan")
	f.Float64Var(&b.tariff.PerGBOut, "cost-gb", 0, "price of a GB that leaves the machine, for --dry-run")
	f.Float64Var(&b.tariff.PerMillionOps, "cost-million-ops", 0, "price of a million disk operations, for --dry-run")
	f.StringVar(&b.history, "history", "", "directory of the history (default: bench/ in the node's directory, or ~/.local/state/honeyant/bench)")
	f.BoolVar(&b.noHistory, "no-history", false, "do not keep the result")
	b.colony.flags(f)
	return c
}

// start sorts the arguments into groups and a host, and runs.
func (b *benchOptions) start(ctx context.Context, args []string) error {
	// The session that started a long run may end; what was measured is kept, and nothing is left.
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGHUP, syscall.SIGQUIT)
	defer stop()
	if err := b.arguments(args); err != nil {
		return err
	}
	if b.colony.wanted() {
		return b.startColony(ctx)
	}
	show := newBenchProgress(b.json)
	b.run.Progress = show.event
	plan, err := bench.MakePlan(ctx, b.run)
	if err != nil {
		return asRefusal(err)
	}
	if b.dryRun {
		return b.printPlan(plan)
	}
	return b.repeat(ctx, plan, pauses(b.again, b.within, rand.Float64), func(p *bench.Plan) error {
		b.announce(p)
		run, err := bench.Execute(ctx, p)
		show.end()
		if err != nil {
			return err
		}
		return b.finish(ctx, []*bench.Run{run})
	})
}

// repeat measures after each of the waits, first by plan and then by plans made anew: programs
// and the room on the disk may be others by then.
func (b *benchOptions) repeat(ctx context.Context, plan *bench.Plan, waits []time.Duration, measure func(*bench.Plan) error) error {
	for i, wait := range waits {
		if err := b.waitFor(ctx, wait); err != nil {
			return err
		}
		if i > 0 {
			var err error
			if plan, err = bench.MakePlan(ctx, b.run); err != nil {
				return asRefusal(err)
			}
		}
		if err := measure(plan); err != nil {
			return err
		}
	}
	return nil
}

// pauses are what to wait before each of n measurements within a time: nothing before the
// first, the others at moments drawn at random, because the neighbours of a machine differ by the hour.
func pauses(n int, within time.Duration, random func() float64) []time.Duration {
	moments := make([]time.Duration, max(n, 1))
	for i := range moments[1:] {
		moments[i+1] = time.Duration(random() * float64(within))
	}
	slices.Sort(moments)
	for i := len(moments) - 1; i > 0; i-- {
		moments[i] -= moments[i-1]
	}
	return moments
}

// waitFor says until when it waits. Nothing of the run before is lost if it is stopped meanwhile.
func (b *benchOptions) waitFor(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	fmt.Fprintf(os.Stderr, "measuring again at %s\n", time.Now().Add(d).Format("2006-01-02 15:04"))
	return bench.Pause(ctx, d)
}

func (b *benchOptions) arguments(args []string) error {
	var hosts []string
	for _, a := range args {
		if slices.Contains(bench.Groups(), a) {
			b.run.Groups = append(b.run.Groups, a)
		} else {
			hosts = append(hosts, a)
		}
	}
	ssh := slices.Contains(b.run.Groups, "ssh")
	switch {
	case len(hosts) == 1 && ssh:
		b.run.SSH = hosts[0]
	case len(hosts) > 1 && ssh:
		return command.Usagef("one host at a time: %s", strings.Join(hosts, " "))
	case len(hosts) > 0:
		return command.Usagef("there is no group %q; the groups are %s", hosts[0], strings.Join(bench.Groups(), ", "))
	}
	if b.size != "" {
		size, err := config.ParseSize(b.size)
		if err != nil {
			return err
		}
		b.run.SizeBytes = size
	}
	if b.tariff.PerGBOut < 0 || b.tariff.PerMillionOps < 0 {
		return command.Usagef("a price can not be negative")
	}
	switch {
	case b.again < 1 || b.again > 1000 || b.within < time.Minute:
		return command.Usagef("--again is between 1 and 1000, --within at least a minute")
	case b.again > 1 && b.json:
		return command.Usagef("--again prints a table for each run; with --json measure once and let cron repeat it")
	case b.again > 1 && b.colony.wanted():
		return command.Usagef("--again measures this machine; let cron repeat what is measured in the colony")
	}
	b.run.Version, b.run.Metadata = version.Text(), !b.noCloud
	return nil
}

// asRefusal gives errors of the preflight their exit code: nothing was measured.
func asRefusal(err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, honeyant.Unavailable) {
		return err
	}
	return command.Usage(err)
}

// historyDir is where results are kept.
func (b *benchOptions) historyDir() string { return historyDir(b.options, b.history) }

// historyDir is the directory named, else the node's, else one of the user's own.
func historyDir(o *options, named string) string {
	if named != "" {
		return named
	}
	if info, err := os.Stat(o.dir); err == nil && info.IsDir() && syscall.Access(o.dir, 2) == nil {
		return filepath.Join(o.dir, "bench")
	}
	state := os.Getenv("XDG_STATE_HOME")
	if home, err := os.UserHomeDir(); state == "" && err == nil {
		state = filepath.Join(home, ".local", "state")
	}
	return filepath.Join(state, "honeyant", "bench")
}

// finish keeps the runs and prints them.
func (b *benchOptions) finish(ctx context.Context, runs []*bench.Run) error {
	var kept error
	if !b.noHistory {
		for _, run := range runs {
			if len(run.Results) > 0 {
				kept = errors.Join(kept, b.keep(context.WithoutCancel(ctx), run))
			}
		}
	}
	return b.show(runs, kept)
}

// keepWait bounds how long the daemon may take to hand a run to the other nodes.
const keepWait = 2 * time.Minute

// keep adds a run to the history: through the daemon on a machine of a colony, so that every
// node has it; into the directory where none runs, or another was named.
func (b *benchOptions) keep(ctx context.Context, run *bench.Run) error {
	dir := b.historyDir()
	if b.history != "" || dir != filepath.Join(b.dir, "bench") {
		return history.Append(ctx, dir, run)
	}
	ctx, cancel := context.WithTimeout(ctx, keepWait)
	defer cancel()
	var kept *node.Kept
	err := b.client().Stream(ctx, "/bench/keep", run, func(line []byte) error {
		var l node.BenchLine
		err := json.Unmarshal(line, &l)
		kept = l.Kept
		return err
	})
	if err != nil || kept == nil || kept.Error != "" {
		return history.Append(ctx, dir, run) // the nodes fetch it when the daemon is back
	}
	b.tellKept(kept)
	return nil
}

// tellKept says on which nodes the history has the runs now.
func (b *benchOptions) tellKept(k *node.Kept) {
	if b.json || k == nil {
		return
	}
	line := "kept in the colony's history on " + strings.Join(k.Nodes, ", ")
	if len(k.Missed) > 0 {
		line += "; fetched later by " + strings.Join(k.Missed, "; ")
	}
	fmt.Fprintln(os.Stderr, line)
}

// show prints the runs; kept is what went wrong with keeping them.
func (b *benchOptions) show(runs []*bench.Run, kept error) error {
	if len(runs) == 1 && len(runs[0].Results) == 0 && len(runs[0].Skipped) > 0 && !b.json {
		return nothingMeasured(runs[0])
	}
	if err := b.print(runs); err != nil {
		return err
	}
	if kept != nil {
		return fmt.Errorf("the result was not kept: %w", kept)
	}
	for _, run := range runs {
		if run.Stopped != "" {
			return fmt.Errorf("%s", run.Stopped)
		}
		if len(run.Results) == 0 && len(run.Skipped) > 0 {
			return nothingMeasured(run)
		}
	}
	return nil
}

// nothingMeasured says why, in one line. A host that was to be reached by ssh was not.
func nothingMeasured(run *bench.Run) error {
	err := fmt.Errorf("nothing could be measured: %s", run.Skipped[0].Reason)
	if slices.Equal(run.Groups, []string{"ssh"}) {
		return &honeyant.Error{Kind: honeyant.Unavailable, Err: err}
	}
	return err
}
