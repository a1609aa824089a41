package main

import (
	"context"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/honeyant/honeyant/admin"
	"github.com/honeyant/honeyant/cmd/command"
)

func newFsck(o *options) *cobra.Command {
	confirmed, yes := false, false
	c := &cobra.Command{
		Use: "fsck", Short: "check metadata against what the stores really hold", Args: cobra.NoArgs,
		Long:    "Checks the metadata in themselves, then asks every store what it holds and compares. It only reports:\nwhat is missing is healed by itself; what is unknown is quarantined for a day before it is reclaimed.\n\nReplicas that no file refers to and that were made before a promotion or restore are kept until a person says\n--confirm-incarnation: should a node that was given up come back, they may be all that is left of its last changes.\nExit code 1 if something is wrong.",
		Example: "  honeyant fsck\n  honeyant fsck --confirm-incarnation",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if confirmed {
				return confirmIncarnation(cmd.Context(), o, yes)
			}
			var r admin.FsckReport
			if err := o.client().Call(cmd.Context(), "fsck", nil, &r); err != nil {
				return err
			}
			if o.json {
				if err := command.PrintJSON(os.Stdout, r); err != nil {
					return err
				}
			} else {
				showFsck(&r)
			}
			if !r.OK {
				return command.Silent(command.Failed)
			}
			return nil
		},
	}
	c.Flags().BoolVar(&confirmed, "confirm-incarnation", false, "let go the replicas from before the last promotion or restore that no file refers to")
	c.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return c
}

func confirmIncarnation(ctx context.Context, o *options, yes bool) error {
	err := confirm("Replicas that no file refers to and that were made before the last promotion or restore go into quarantine,\nand are deleted a day later. What a lost node had acknowledged and nobody else has is gone for good then.", yes)
	if err != nil {
		return err
	}
	var incarnation uint32
	if err := o.client().Call(ctx, "fsck.confirm", nil, &incarnation); err != nil {
		return err
	}
	if o.json {
		return command.PrintJSON(os.Stdout, map[string]uint32{"incarnation": incarnation})
	}
	fmt.Printf("Confirmed for what was made before incarnation %d.\n", incarnation)
	return nil
}

func showFsck(r *admin.FsckReport) {
	fmt.Printf("%d inodes, %d chunks, %d replicas (%s)\n", r.Inodes, r.Chunks, r.Replicas, bytesText(int64(r.ReplicaBytes)))
	for _, f := range r.Faults {
		fmt.Println("fault:", f)
	}
	fmt.Printf("missing replicas %d, unknown replicas %d (%d in quarantine)\n", r.Missing, r.Unknown, r.Quarantined)
	for _, s := range r.StoresSkipped {
		fmt.Println("not reached:", s)
	}
	if r.OK {
		fmt.Println("All is well.")
	}
}

func newScrub(o *options) *cobra.Command {
	return &cobra.Command{
		Use: "scrub", Short: "read every replica and verify it, now", Args: cobra.NoArgs,
		Long:    "Starts a scrub of all stores at once instead of waiting for the next one; worker ls shows how far it is.\nDamaged copies are replaced from good ones.",
		Example: "  honeyant scrub && honeyant worker ls",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return o.client().Call(cmd.Context(), "scrub", nil, nil)
		},
	}
}
