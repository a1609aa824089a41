package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/honeyant/honeyant/admin"
)

func newFsck(o *options) *cobra.Command {
	return &cobra.Command{
		Use: "fsck", Short: "check metadata against what the stores really hold", Args: cobra.NoArgs,
		Long:    "Checks the metadata in themselves, then asks every store what it holds and compares. It only reports:\nwhat is missing is healed by itself; what is unknown is quarantined for a day before it is reclaimed.\nExit code 1 if something is wrong.",
		Example: "  honeyant fsck",
		RunE: func(cmd *cobra.Command, _ []string) error {
			var r admin.FsckReport
			if err := o.client().Call(cmd.Context(), "fsck", nil, &r); err != nil {
				return err
			}
			if o.json {
				if err := printJSON(os.Stdout, r); err != nil {
					return err
				}
			} else {
				showFsck(&r)
			}
			if !r.OK {
				return &silentError{exitFailed}
			}
			return nil
		},
	}
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
