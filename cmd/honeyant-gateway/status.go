package main

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/honeyant/honeyant/cmd/command"
	"github.com/honeyant/honeyant/gateway/control"
	"github.com/honeyant/honeyant/gateway/life"
)

func newStatus(o *options) *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "the gateway's processes", Args: cobra.NoArgs,
		Example: "  honeyant gateway status",
		RunE: func(cmd *cobra.Command, _ []string) error {
			all, err := o.client().Statuses(cmd.Context())
			if err != nil {
				return err
			}
			if o.json {
				return command.PrintJSON(os.Stdout, all)
			}
			var rows [][]string
			for _, s := range all {
				if s.Counts == nil {
					rows = append(rows, []string{fmt.Sprint(s.PID), s.State})
					continue
				}
				rows = append(rows, []string{fmt.Sprint(s.PID), s.State, control.Seconds(time.Since(s.Started).Seconds()), s.Version, s.Config,
					strings.Join(s.Addresses, " "), fmt.Sprint(s.Counts.Connections), fmt.Sprint(s.Counts.Running), fmt.Sprint(s.Counts.Requests)})
			}
			printTable(os.Stdout, []string{"pid", "state", "up", "version", "config", "listens on", "connections", "running", "requests"}, rows)
			fmt.Printf("Process numbers begin anew at %d here (kernel.pid_max); the gateway tells processes apart by their start as well.\n", life.PIDMax())
			return nil
		},
	}
}

func newMetrics(o *options) *cobra.Command {
	return &cobra.Command{
		Use: "metrics", Short: "what Prometheus would read", Args: cobra.NoArgs,
		Example: "  honeyant gateway metrics | grep timeouts",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return o.client().Metrics(cmd.Context(), os.Stdout)
		},
	}
}
