package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/honeyant/honeyant/cmd/command"
	"github.com/honeyant/honeyant/gateway/control"
	"github.com/honeyant/honeyant/gateway/ledger"
)

func parseID(text string) (ledger.ID, error) {
	id, err := ledger.ParseID(text)
	if err != nil {
		return 0, command.Usagef("%q is no number of a request; honeyant gateway ps lists them", text)
	}
	return id, nil
}

func newWhy(o *options) *cobra.Command {
	return &cobra.Command{
		Use: "why ID", Short: "what one request or connection waits for, in words", Args: cobra.ExactArgs(1),
		Long:    "Says what it waits for, since when, how long it may, and what ends it then. Also of requests that ended a while ago.",
		Example: "  honeyant gateway why 1042",
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := parseID(args[0])
			if err != nil {
				return err
			}
			r, err := o.client().Entry(cmd.Context(), id)
			if err != nil {
				return err
			}
			if o.json {
				return command.PrintJSON(os.Stdout, struct {
					Why string `json:"why"`
					control.Row
				}{control.Why(r.Entry), r})
			}
			for i, line := range control.Explain(r.Entry) {
				if i > 0 {
					line = "  " + line
				}
				fmt.Println(clean(line))
			}
			return nil
		},
	}
}

func newKill(o *options) *cobra.Command {
	reason := ""
	c := &cobra.Command{
		Use: "kill ID...", Short: "end requests or connections, on both sides", Args: cobra.MinimumNArgs(1),
		Example: "  honeyant gateway kill 1042 --reason 'blocks the disk'",
		RunE: func(cmd *cobra.Command, args []string) error {
			var rows []control.Row
			for _, arg := range args {
				id, err := parseID(arg)
				if err != nil {
					return err
				}
				r, err := o.client().Kill(cmd.Context(), id, reason)
				if err != nil {
					return err
				}
				rows = append(rows, r)
			}
			if o.json {
				return command.PrintJSON(os.Stdout, rows)
			}
			for _, r := range rows {
				fmt.Println(clean(fmt.Sprintf("ended %s, which was %s", r.ID, control.Why(r.Entry))))
			}
			return nil
		},
	}
	c.Flags().StringVar(&reason, "reason", "", "for the log")
	return c
}

func newStack(o *options) *cobra.Command {
	return &cobra.Command{
		Use: "stack [ID]", Short: "what the goroutines of one request, or all, are doing", Args: cobra.MaximumNArgs(1),
		Long:    "A picture of the program's insides for those who look for a fault in it, without a debugger and without stopping anything.",
		Example: "  honeyant gateway stack 1042\n  honeyant gateway stack > all.txt",
		RunE: func(cmd *cobra.Command, args []string) error {
			var id ledger.ID
			if len(args) > 0 {
				parsed, err := parseID(args[0])
				if err != nil {
					return err
				}
				id = parsed
			}
			if !o.json {
				return o.client().Stack(cmd.Context(), id, os.Stdout)
			}
			var text strings.Builder
			if err := o.client().Stack(cmd.Context(), id, &text); err != nil {
				return err
			}
			return command.PrintJSON(os.Stdout, map[string]string{"stack": text.String()})
		},
	}
}

func newStats(o *options) *cobra.Command {
	var by []string
	var hung bool
	c := &cobra.Command{
		Use: "stats", Short: "what running and recent requests have in common", Args: cobra.NoArgs,
		Long:    "Groups the running requests and those that ended last, and counts in each group how many hung: ended by a deadline, or running\nwithout progress for ten seconds. Keys: " + strings.Join(control.Keys(), ", ") + ".",
		Example: "  honeyant gateway stats --by type\n  honeyant gateway stats --hung --by type,size,origin",
		RunE: func(cmd *cobra.Command, _ []string) error {
			live, err := o.client().Entries(cmd.Context(), nil)
			if err != nil {
				return err
			}
			recent, err := o.client().Recent(cmd.Context())
			if err != nil {
				return err
			}
			groups, err := control.Stats(append(live, recent...), by, hung)
			if err != nil {
				return command.Usage(err)
			}
			if o.json {
				return command.PrintJSON(os.Stdout, map[string]any{"by": by, "groups": groups})
			}
			var lines [][]string
			for _, g := range groups {
				lines = append(lines, append(append([]string{}, g.Keys...), fmt.Sprint(g.Requests), fmt.Sprint(g.Running), fmt.Sprint(g.Hung), fmt.Sprint(g.Aborted),
					control.Bytes(g.Bytes), control.Seconds(g.MaxIdle)))
			}
			printTable(os.Stdout, append(append([]string{}, by...), "requests", "running", "hung", "aborted", "bytes", "longest idle"), lines)
			return nil
		},
	}
	c.Flags().StringSliceVar(&by, "by", []string{"type"}, "keys to group by")
	c.Flags().BoolVar(&hung, "hung", false, "only those that hung")
	return c
}
