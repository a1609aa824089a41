package main

import (
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/honeyant/honeyant/cmd/command"
	"github.com/honeyant/honeyant/gateway/ledger"
	"github.com/honeyant/honeyant/gateway/life"
)

func newStop(o *options) *cobra.Command {
	var escalate string
	c := &cobra.Command{
		Use: "stop", Short: "stop every gateway process of this directory, for certain", Args: cobra.NoArgs,
		Long: "Asks each process to drain and end (TERM), then to end at once (INT), then ends it (KILL), with all it started. A process is\n" +
			"known by its number and the moment of its start and signalled through a pidfd: no other one can be hit.",
		Example: "  honeyant gateway stop\n  honeyant gateway stop --escalate TERM:10s,INT:5s,KILL",
		RunE: func(cmd *cobra.Command, _ []string) error {
			steps, err := life.ParseSteps(escalate)
			if err != nil {
				return command.Usagef("--escalate: %v", err)
			}
			instances, err := o.client().Dir.Instances()
			if err != nil {
				return err
			}
			report := func(line string) { fmt.Fprintln(os.Stderr, line) }
			type row struct {
				life.Process
				life.Stopped
			}
			var all []row
			for _, at := range instances {
				stopped, err := life.Stop(cmd.Context(), at.Process, steps, report)
				if err != nil {
					return err
				}
				all = append(all, row{at.Process, stopped})
			}
			if o.json {
				return command.PrintJSON(os.Stdout, all)
			}
			for _, r := range all {
				how := "had ended already"
				if r.By != "" {
					how = fmt.Sprintf("ended by %s after %s", r.By, r.After.Round(time.Millisecond))
				}
				fmt.Printf("process %d %s\n", r.PID, how)
			}
			return nil
		},
	}
	// TERM drains, which takes its limit and a little; a text, so that --help shows the form.
	steps := life.DefaultSteps()
	defaults := fmt.Sprintf("%s:%s,%s:%s,%s", life.SignalName(unix.SIGTERM), ledger.Defaults().Drain+3*time.Second,
		life.SignalName(unix.SIGINT), steps[1].Limit, life.SignalName(unix.SIGKILL))
	c.Flags().StringVar(&escalate, "escalate", defaults, "signals, and how long each may take")
	return c
}
