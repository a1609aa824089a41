package main

import (
	"fmt"
	"log/slog"
	"os"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/honeyant/honeyant/cmd/command"
	"github.com/honeyant/honeyant/frontend/fuse/uring"
	"github.com/honeyant/honeyant/node"
)

func newServe(o *options) *cobra.Command {
	var level string
	c := &cobra.Command{
		Use: "serve", Short: "run the daemon in the foreground", Args: cobra.NoArgs,
		Long:    "Serves this machine's stores, metadata and mounts until it gets SIGTERM or SIGINT; then it writes out\nwhat the mounts hold, unmounts, and ends.",
		Example: "  honeyant serve --dir /var/lib/honeyant",
		RunE: func(cmd *cobra.Command, _ []string) error {
			var l slog.Level
			if err := l.UnmarshalText([]byte(level)); err != nil {
				return command.Usagef("--log: %v (debug, info, warn or error)", err)
			}
			if os.Getenv("GOMAXPROCS") == "" {
				runtime.GOMAXPROCS(uring.Processors())
			}
			log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: l}))
			n, err := node.Open(cmd.Context(), o.dir, node.Options{Log: log, Daemon: true})
			if err != nil {
				return err
			}
			node.NotifyReady()
			select {
			case <-cmd.Context().Done():
			case <-n.Failed():
			}
			err = n.Close()
			if fault := n.Fault(); fault != nil {
				return fmt.Errorf("the daemon had to stop: %w", fault)
			}
			return err
		},
	}
	c.Flags().StringVar(&level, "log", "info", "least level that is logged: debug, info, warn, error")
	return c
}
