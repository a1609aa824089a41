package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/honeyant/honeyant/bench"
	"github.com/honeyant/honeyant/cmd/command"
)

// historyRow is one run as `honeyant bench history --json` prints it.
type historyRow struct {
	ID       string    `json:"id"`
	Began    time.Time `json:"began"`
	Machine  string    `json:"machine"`
	Node     string    `json:"node,omitempty"`
	Plan     string    `json:"plan,omitempty"`
	OS       string    `json:"os"`
	Profile  string    `json:"profile"`
	Groups   []string  `json:"groups"`
	Results  int       `json:"results"`
	LeftOut  int       `json:"left_out"`
	Tainted  bool      `json:"tainted"`
	Stopped  bool      `json:"stopped"`
	Duration float64   `json:"duration_seconds"`
}

func newBenchHistory(o *options) *cobra.Command {
	var dir, machine string
	c := &cobra.Command{
		Use:   "history",
		Short: "the runs that were kept",
		Long: "Lists what was measured, oldest first. On a machine of a colony these are the runs of all its nodes: each keeps\n" +
			"them all, and what was kept is never changed or removed. `honeyant bench compare` takes the IDs.",
		Example: "  honeyant bench history\n  honeyant bench history --machine web1 --json",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			runs, from, err := loadHistory(o, dir)
			if err != nil {
				return err
			}
			rows := []historyRow{}
			for _, r := range runs {
				if machine == "" || r.Host.Name == machine || r.Host.Node == machine {
					rows = append(rows, historyRowOf(r))
				}
			}
			if o.json {
				return command.PrintJSON(os.Stdout, rows)
			}
			if len(rows) == 0 {
				fmt.Printf("Nothing is kept in %s yet: honeyant bench\n", from)
				return nil
			}
			showHistory(rows)
			return nil
		},
	}
	c.Flags().StringVar(&dir, "history", "", "history of measurements (default: this machine's)")
	c.Flags().StringVar(&machine, "machine", "", "only the runs of this machine, by name or node ID")
	return c
}

func showHistory(rows []historyRow) {
	var cells [][]string
	for _, r := range rows {
		var marks []string
		if r.Tainted {
			marks = append(marks, "not idle")
		}
		if r.Stopped {
			marks = append(marks, "stopped")
		}
		cells = append(cells, []string{r.ID, r.Machine, r.Node, r.Plan, r.Profile, strings.Join(r.Groups, " "), strconv.Itoa(r.Results), strings.Join(marks, ", ")})
	}
	command.PrintTable(os.Stdout, []string{"run", "machine", "node", "plan", "profile", "groups", "figures", ""}, cells)
}

func historyRowOf(r *bench.Run) historyRow {
	groups := r.Groups
	if groups == nil {
		groups = []string{}
	}
	return historyRow{ID: r.ID, Began: r.Began, Machine: r.Host.Name, Node: r.Host.Node, Plan: r.Host.Plan, OS: r.Host.OSID, Profile: r.Profile, Groups: groups,
		Results: len(r.Results), LeftOut: len(r.Skipped), Tainted: r.Tainted, Stopped: r.Stopped != "", Duration: r.Ended.Sub(r.Began).Seconds()}
}
