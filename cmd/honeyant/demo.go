package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/honeyant/honeyant/cmd/command"
	"github.com/honeyant/honeyant/cmd/honeyant/demo"
)

func newDemo(o *options) *cobra.Command {
	opts := demo.Options{}
	c := &cobra.Command{
		Use: "demo", Short: "a colony of three on this machine, killed in parts, nothing lost", Args: cobra.NoArgs,
		Long:    "Builds a colony of three daemons on 127.0.0.x, copies real files in through one mount, compares them\nthrough another, kills a node and then the leader in the middle of copies, and counts what was lost.\nEverything it makes is taken away again. Exit code 0 only if all held.",
		Example: "  honeyant demo\n  honeyant demo --from /etc --keep",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if opts.Nodes < 3 {
				return command.Usagef("--nodes: the demo needs 3 or more, since with fewer nothing serves on after a death")
			}
			program, err := os.Executable()
			if err != nil {
				return err
			}
			opts.Program = program
			opts.Show = demo.NewShow(os.Stderr, command.IsTerminal(os.Stderr))
			began := time.Now()
			res, err := demo.Run(cmd.Context(), opts)
			if errors.Is(err, context.Canceled) {
				return errors.New("interrupted; everything the demo had made is taken away")
			}
			if err != nil {
				return err
			}
			if o.json {
				err = command.PrintJSON(os.Stdout, res)
			} else {
				fmt.Println()
				command.PrintTable(os.Stdout, []string{"files", "MB", "MB/s", "longest stall", "heal", "lost bytes", "errors", "took"}, [][]string{{
					fmt.Sprint(res.Files), fmt.Sprintf("%.1f", float64(res.Bytes)/1e6), fmt.Sprintf("%.1f", res.MBPerS), fmt.Sprintf("%.1f s", res.StallSeconds),
					fmt.Sprintf("%.1f s", res.HealSeconds), fmt.Sprint(res.LostBytes), fmt.Sprint(res.Errors), durationText(time.Since(began))}})
			}
			if err == nil && !res.OK {
				fmt.Fprintln(os.Stderr, "Something did not hold; run again with --keep and look into the logs.")
				return command.Silent(command.Failed)
			}
			return err
		},
	}
	c.Flags().IntVar(&opts.Nodes, "nodes", 3, "how many nodes")
	c.Flags().StringVar(&opts.From, "from", "", "directory to copy in (default: the Go sources of this machine)")
	c.Flags().BoolVar(&opts.Keep, "keep", false, "leave the directories and logs")
	return c
}
