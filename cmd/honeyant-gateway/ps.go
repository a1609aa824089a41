package main

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/honeyant/honeyant/cmd/command"
	"github.com/honeyant/honeyant/gateway/control"
	"github.com/honeyant/honeyant/gateway/ledger"
)

func newPs(o *options) *cobra.Command {
	var sort string
	var filter struct{ phase, origin, route, side, older, idle string }
	var connections, all bool
	c := &cobra.Command{
		Use: "ps", Short: "every request that runs, what it waits for, and how long it may", Args: cobra.NoArgs,
		Long:    "Lists the running requests of all gateway processes, also of those that drain. `why ID` says more of one.",
		Example: "  honeyant gateway ps --sort idle\n  honeyant gateway ps --phase origin-read --older 30s\n  honeyant gateway ps --connections --side origin --json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			compare, ok := orders()[sort]
			if !ok {
				return command.Usagef("--sort %s: one of %s", sort, strings.Join(orderNames(), ", "))
			}
			query := url.Values{}
			for key, value := range map[string]string{"phase": filter.phase, "origin": filter.origin, "route": filter.route, "side": filter.side,
				"older": filter.older, "idle": filter.idle} {
				if value != "" {
					query.Set(key, value)
				}
			}
			if filter.phase != "" && !slices.Contains(ledger.Phases(), ledger.Phase(filter.phase)) {
				return command.Usagef("--phase %s: one of %s", filter.phase, phaseNames())
			}
			for flag, text := range map[string]string{"older": filter.older, "idle": filter.idle} {
				if d, err := time.ParseDuration(text); text != "" && (err != nil || d < 0) {
					return command.Usagef("--%s %s is no time; write 30s", flag, text)
				}
			}
			if !all {
				query.Set("kind", string(ledger.Request))
				if connections {
					query.Set("kind", string(ledger.Connection))
				}
			}
			return showRows(cmd.Context(), o, query, compare)
		},
	}
	f := c.Flags()
	f.StringVar(&sort, "sort", "age", "by "+strings.Join(orderNames(), ", "))
	f.StringVar(&filter.phase, "phase", "", "only in this phase: "+phaseNames())
	f.StringVar(&filter.origin, "origin", "", "only with this origin")
	f.StringVar(&filter.route, "route", "", "only of this route")
	f.StringVar(&filter.side, "side", "", "only of this side: client or origin (with --connections)")
	f.StringVar(&filter.older, "older", "", "only what is at least so old, such as 30s")
	f.StringVar(&filter.idle, "idle", "", "only what made no progress for so long")
	f.BoolVar(&connections, "connections", false, "connections instead of requests")
	f.BoolVar(&all, "all", false, "both")
	return c
}

func showRows(ctx context.Context, o *options, query url.Values, compare func(a, b control.Row) int) error {
	rows, err := o.client().Entries(ctx, query)
	if err != nil {
		return err
	}
	slices.SortStableFunc(rows, compare)
	if o.json {
		if rows == nil {
			rows = []control.Row{}
		}
		return command.PrintJSON(os.Stdout, rows)
	}
	var lines [][]string
	for _, r := range rows {
		limit, left := "-", "-"
		if r.Deadline != nil {
			limit, left = control.Seconds(r.Deadline.LimitSeconds), control.Seconds(r.Deadline.LeftSeconds)
		}
		what := strings.TrimSpace(r.Method + " " + r.Host + r.Path)
		if r.Kind == ledger.Connection {
			what = string(r.Side) + " connection"
		}
		pid := fmt.Sprint(r.PID)
		if r.State != control.Serving {
			pid += " (" + r.State + ")"
		}
		lines = append(lines, []string{r.ID.String(), control.Seconds(r.AgeSeconds), string(r.Phase), control.Seconds(r.IdleSeconds), limit, left,
			control.Bytes(r.InBytes), control.Bytes(r.OutBytes), r.Client, r.Origin, r.Route, pid, what})
	}
	printTable(os.Stdout, []string{"id", "age", "phase", "idle", "limit", "left", "in", "out", "client", "origin", "route", "pid", "what"}, lines)
	return nil
}

func orders() map[string]func(a, b control.Row) int {
	by := func(of func(control.Row) float64) func(a, b control.Row) int {
		return func(a, b control.Row) int { return cmp.Or(cmp.Compare(of(b), of(a)), cmp.Compare(a.ID, b.ID)) }
	}
	return map[string]func(a, b control.Row) int{
		"age":   by(func(r control.Row) float64 { return r.AgeSeconds }),
		"idle":  by(func(r control.Row) float64 { return r.IdleSeconds }),
		"bytes": by(func(r control.Row) float64 { return float64(r.InBytes + r.OutBytes) }),
		"rate":  by(func(r control.Row) float64 { return r.Rate }),
		"id":    func(a, b control.Row) int { return cmp.Compare(a.ID, b.ID) },
		"left": func(a, b control.Row) int {
			left := func(r control.Row) float64 {
				if r.Deadline == nil {
					return 1e18
				}
				return r.Deadline.LeftSeconds
			}
			return cmp.Or(cmp.Compare(left(a), left(b)), cmp.Compare(a.ID, b.ID))
		},
		"origin": func(a, b control.Row) int { return cmp.Or(cmp.Compare(a.Origin, b.Origin), cmp.Compare(a.ID, b.ID)) },
		"phase":  func(a, b control.Row) int { return cmp.Or(cmp.Compare(a.Phase, b.Phase), cmp.Compare(a.ID, b.ID)) },
	}
}

func orderNames() []string {
	return []string{"age", "idle", "bytes", "rate", "left", "origin", "phase", "id"}
}

func phaseNames() string {
	var names []string
	for _, p := range ledger.Phases() {
		names = append(names, string(p))
	}
	return strings.Join(names, ", ")
}
