package main

import (
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/honeyant/honeyant/admin"
	"github.com/honeyant/honeyant/cmd/command"
	"github.com/honeyant/honeyant/frontend/fuse"
	"github.com/honeyant/honeyant/node"
)

func newMount(o *options) *cobra.Command {
	var once bool
	var transport string
	c := &cobra.Command{
		Use: "mount [VOLUME] PATH", Short: "show a volume at a directory of this machine", Args: cobra.RangeArgs(1, 2),
		Long:    "The daemon mounts the volume (default: main) and does so again when it restarts, until `honeyant umount`.",
		Example: "  honeyant mount /srv/colony\n  honeyant mount --fuse-transport dev /srv/colony",
		RunE: func(cmd *cobra.Command, args []string) error {
			volume := "main"
			if len(args) == 2 {
				volume = args[0]
			}
			path, err := filepath.Abs(args[len(args)-1])
			if err != nil {
				return err
			}
			if _, err := fuse.ParseTransport(transport); err != nil {
				return command.Usagef("--fuse-transport: %q is no transport: say auto, uring or dev", transport)
			}
			return o.client().Call(cmd.Context(), "mount", node.MountRequest{Volume: volume, Path: path, Once: once, FUSETransport: transport}, nil)
		},
	}
	c.Flags().StringVar(&transport, "fuse-transport", "", "how file calls reach the daemon: uring (io_uring, Linux 6.14), dev (/dev/fuse), or auto: io_uring\nwhere the machine has it (default: fuse_transport in honeyant.toml, which is auto)")
	c.Flags().BoolVar(&once, "once", false, "do not mount it again when the daemon restarts")
	return c
}

func newUmount(o *options) *cobra.Command {
	return &cobra.Command{
		Use: "umount PATH", Short: "take a mount away; always works", Args: cobra.ExactArgs(1),
		Long:    "Writes out what the mount holds and unmounts it. Programs that still have files open there keep working on\nwhat they have until they close it. Works without the daemon too.",
		Example: "  honeyant umount /srv/colony",
		RunE: func(cmd *cobra.Command, args []string) error {
			path, err := filepath.Abs(args[0])
			if err != nil {
				return err
			}
			err = o.client().Call(cmd.Context(), "umount", node.MountRequest{Path: path}, nil)
			if err == nil || !admin.Unreachable(err) {
				return err
			}
			if err := fuse.Unmount(cmd.Context(), path); err != nil {
				return fmt.Errorf("no daemon answers, and unmounting it without one did not work either: %w", err)
			}
			return nil
		},
	}
}
