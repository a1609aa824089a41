package main

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/honeyant/honeyant/admin"
	"github.com/honeyant/honeyant/cmd/command"
	"github.com/honeyant/honeyant/node"
)

func newWorker(o *options) *cobra.Command {
	c := &cobra.Command{Use: "worker", Short: "the background jobs of the colony"}
	c.AddCommand(&cobra.Command{
		Use: "ls", Short: "list the jobs", Args: cobra.NoArgs,
		Example: "  honeyant worker ls",
		RunE: func(cmd *cobra.Command, _ []string) error {
			var workers []admin.WorkerStatus
			if err := o.client().Call(cmd.Context(), "worker.ls", nil, &workers); err != nil {
				return err
			}
			if o.json {
				return command.PrintJSON(os.Stdout, workers)
			}
			rows := [][]string{}
			for _, w := range workers {
				rows = append(rows, []string{w.Name, w.State, w.Progress, w.Error})
			}
			command.PrintTable(os.Stdout, []string{"worker", "state", "progress", "last error"}, rows)
			return nil
		},
	})
	for _, verb := range []struct{ use, short string }{{"pause", "stop a job until it is resumed"}, {"resume", "let a job go on"}} {
		c.AddCommand(&cobra.Command{
			Use: verb.use + " NAME", Short: verb.short, Args: cobra.ExactArgs(1),
			Example: "  honeyant worker " + verb.use + " heal",
			RunE: func(cmd *cobra.Command, args []string) error {
				return o.client().Call(cmd.Context(), "worker."+verb.use, node.WorkerRequest{Name: args[0]}, nil)
			},
		})
	}
	return c
}
