package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/honeyant/honeyant/admin"
	"github.com/honeyant/honeyant/cmd/command"
)

func newStatus(o *options) *cobra.Command {
	var watch bool
	c := &cobra.Command{
		Use:     "status",
		Short:   "health in plain words: what is at risk, what heals, until when",
		Long:    "Prints how the colony is. Exit code 0 while it is ok or degraded, 1 when it is critical,\n3 when the daemon of this machine does not answer.",
		Example: "  honeyant status\n  honeyant status --watch\n  honeyant status --json | jq .health",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if watch {
				return watchStatus(cmd.Context(), o)
			}
			return printStatus(cmd.Context(), o, os.Stdout)
		},
	}
	c.Flags().BoolVar(&watch, "watch", false, "print again every two seconds")
	return c
}

func printStatus(ctx context.Context, o *options, w io.Writer) error {
	var s admin.Status
	if err := o.client().Call(ctx, "status", nil, &s); err != nil {
		return err
	}
	if o.json {
		if err := command.PrintJSON(w, s); err != nil {
			return err
		}
	} else {
		showStatus(w, &s)
	}
	if s.Health == "critical" {
		return command.Silent(command.Failed)
	}
	return nil
}

func showStatus(w io.Writer, s *admin.Status) {
	fmt.Fprintf(w, "The colony is %s.\n", s.Health)
	for _, line := range s.Summary {
		fmt.Fprintln(w, " ", line)
	}
	fmt.Fprintln(w)
	showNodes(w, s.Nodes)
	fmt.Fprintf(w, "\nspace   %s used, %s available of %s\n", bytesText(s.Bytes.Used), bytesText(s.Bytes.Available), bytesText(s.Bytes.Capacity))
	fmt.Fprintf(w, "chunks  %d, %d short of copies, %d unreadable now\n", s.Chunks.Total, s.Chunks.UnderReplicated, s.Chunks.Lost)
	if c := &s.Chunks; c.Sparse+c.Rewritten > 0 {
		fmt.Fprintf(w, "        %d mostly unused, %s to win by rewriting them; %d rewritten under this leader, %s won\n",
			c.Sparse, bytesText(c.Unused), c.Rewritten, bytesText(c.Freed))
		if c.Stuck != "" {
			fmt.Fprintf(w, "        they can not be rewritten now: %s\n", c.Stuck)
		}
	}
	if b := s.Backup; b != nil {
		fmt.Fprintf(w, "backup  of the metadata %s ago, whole on %d stores, %s\n", durationText(seconds(b.AgeSeconds)), b.Copies, bytesText(b.Bytes))
	} else {
		fmt.Fprintln(w, "backup  none of the metadata yet")
	}
	for _, m := range s.Mounts {
		fmt.Fprintf(w, "mount   %s at %s: %d files open, %d inodes held, %s unwritten, %s read ahead\n",
			m.Volume, m.Path, m.OpenFiles, m.Inodes, bytesText(m.DirtyBytes), bytesText(m.ReadCacheBytes))
		fmt.Fprintf(w, "        %d files and directories used by this node alone, %d changes to tell the leader (oldest %.1f s)\n",
			m.HeldInodes, m.JournalRecords, m.JournalAgeSeconds)
		if m.LostChanges > 0 {
			fmt.Fprintf(w, "        %d changes of this node were lost to others while it was cut off, or could not be committed; its log says which\n", m.LostChanges)
		}
	}
	fmt.Fprintf(w, "memory  %s resident, cap %s\n", bytesText(s.Memory.RSSBytes), bytesText(s.Memory.CapBytes))
}

func showNodes(w io.Writer, nodes []admin.NodeStatus) {
	rows := make([][]string, 0, len(nodes))
	for _, n := range nodes {
		role := n.Role
		if n.Leader {
			role = "leader"
		}
		state := n.State
		if state != "up" && n.SilentSeconds > 0 {
			state = fmt.Sprintf("%s for %s", state, durationText(seconds(n.SilentSeconds)))
		}
		rows = append(rows, []string{n.ID, n.Name, n.Address, state, role, bytesText(n.UsedBytes), bytesText(n.AvailableBytes), bytesText(n.CapacityBytes)})
	}
	command.PrintTable(w, []string{"node", "name", "address", "state", "metadata", "used", "available", "capacity"}, rows)
}

func watchStatus(ctx context.Context, o *options) error {
	tick := time.NewTicker(2 * time.Second)
	defer tick.Stop()
	for {
		if command.IsTerminal(os.Stdout) && !o.json {
			fmt.Print("\033[H\033[2J")
		}
		if err := printStatus(ctx, o, os.Stdout); err != nil && admin.Unreachable(err) {
			fmt.Fprintln(os.Stderr, "honeyant:", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}
