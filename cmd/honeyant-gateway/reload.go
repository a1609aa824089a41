package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/honeyant/honeyant/cmd/command"
	"github.com/honeyant/honeyant/gateway/control"
	"github.com/honeyant/honeyant/gateway/daemon"
)

// changeLimit bounds how long the command line waits for a reload or an upgrade.
const changeLimit = 2 * time.Minute

func newReload(o *options) *cobra.Command {
	var source sourceFlags
	var check bool
	c := &cobra.Command{
		Use: "reload", Short: "take the changed configuration into use, or only check it", Args: cobra.NoArgs,
		Long: "The running gateway reads its configuration again. If it is bad the one before goes on, and the error says the file\n" +
			"and the line. Connections, downloads and WebSockets live on.\nWith --check nothing is changed: the configuration (of the running gateway, or the one given) is set up in a process of its own.",
		Example: "  honeyant gateway reload --check && honeyant gateway reload\n  honeyant gateway reload --check --config Caddyfile.new",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if check {
				return checkConfig(cmd.Context(), o, source.Source)
			}
			if source.File != "" || len(source.Site) > 0 {
				return command.Usagef("the running gateway reads the configuration it was started with; change that file, or start another with: run --config")
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), changeLimit)
			defer cancel()
			done, err := o.client().Reload(ctx)
			if err != nil {
				return refusedUnlessNone(err)
			}
			if o.json {
				return command.PrintJSON(os.Stdout, done)
			}
			for _, w := range done.Warnings {
				fmt.Fprintln(os.Stderr, "warning:", w)
			}
			fmt.Printf("%s is in use (%s).\n", done.Config, control.Seconds(done.Took.Seconds()))
			return nil
		},
	}
	source.add(c)
	c.Flags().BoolVar(&check, "check", false, "only say whether it is good")
	return c
}

// refusedUnlessNone gives exit code 2 to what the gateway refused.
func refusedUnlessNone(err error) error {
	if errors.Is(err, control.ErrNone) || errors.Is(err, context.Canceled) {
		return err
	}
	return command.Usage(err)
}

func checkConfig(ctx context.Context, o *options, s daemon.Source) error {
	if s.File == "" && len(s.Site) == 0 {
		status, err := o.client().Status(ctx)
		if err != nil {
			return fmt.Errorf("%w; --config FILE names the configuration to check", err)
		}
		if _, err := os.Stat(status.Config); err != nil {
			return command.Usagef("the running gateway was configured on its command line; there is no file to check")
		}
		s.File = status.Config
	}
	if err := s.Validate(); err != nil {
		return command.Usage(err)
	}
	warnings, err := daemon.Validate(s)
	if err != nil {
		return command.Usage(err)
	}
	if o.json {
		return command.PrintJSON(os.Stdout, map[string]any{"config": s.Name(), "good": true, "warnings": warnings})
	}
	for _, w := range warnings {
		fmt.Fprintln(os.Stderr, "warning:", w)
	}
	fmt.Printf("%s is good.\n", s.Name())
	return nil
}

func newUpgrade(o *options) *cobra.Command {
	var program string
	c := &cobra.Command{
		Use: "upgrade", Aliases: []string{"restart"}, Short: "let a new process take over, with the program as it is on disk now", Args: cobra.NoArgs,
		Long: "The running gateway starts the program again (a newer one, if it was replaced) with the same listening sockets. When that one\n" +
			"serves, the old one ends what it has begun, up to its --drain limit. If the new one ends or is not ready in time, it is\nended, KILL included, and the old one goes on.",
		Example: "  install -m 755 honeyant-gateway.new /usr/local/bin/honeyant-gateway && honeyant gateway upgrade",
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), changeLimit)
			defer cancel()
			p, err := o.client().Upgrade(ctx, program)
			if err != nil {
				return err
			}
			if o.json {
				return command.PrintJSON(os.Stdout, p)
			}
			fmt.Printf("Process %d has taken over.\n", p.PID)
			return nil
		},
	}
	c.Flags().StringVar(&program, "program", "", "absolute path of another program to start")
	return c
}
