package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/honeyant/honeyant/cmd/command"
	"github.com/honeyant/honeyant/gateway/code"
	"github.com/honeyant/honeyant/gateway/control"
	"github.com/honeyant/honeyant/gateway/daemon"
	"github.com/honeyant/honeyant/gateway/ledger"
	"github.com/honeyant/honeyant/gateway/life"
	"github.com/honeyant/honeyant/internal/version"
)

// sourceFlags say where the configuration comes from.
type sourceFlags struct{ daemon.Source }

func (s *sourceFlags) add(c *cobra.Command) {
	f := c.Flags()
	f.StringVarP(&s.File, "config", "c", "", "a Caddyfile, or Caddy's JSON if the name ends in .json")
	f.StringVar(&s.Adapter, "adapter", "", "a Caddy configuration adapter, if the file is something else")
	f.StringSliceVar(&s.Site, "site", nil, "host name to serve, or :8080 for plain HTTP on a port; may be repeated")
	f.StringVar(&s.Root, "root", "", "directory to serve")
	f.StringSliceVar(&s.To, "to", nil, "origin to pass requests to, such as http://127.0.0.1:8080; may be repeated")
	f.BoolVar(&s.Internal, "internal", false, "certificates of an authority made here instead of ACME, for tests and private networks")
}

// spareHeap is never touched, so it is no memory of the machine's. The collector counts it as live: it lets the heap, which is a few
// megabytes, grow by so much more before it runs, and one of hundreds, with many connections, hardly more than it would anyway.
const spareHeap = 16 << 20

func newRun(o *options) *cobra.Command {
	var source sourceFlags
	opts := daemon.Options{}
	c := &cobra.Command{
		Use: "run", Short: "serve", Args: cobra.NoArgs,
		Long: "Serves until it is stopped or a successor takes over. SIGTERM and SIGINT drain and stop, a second one stops at once,\n" +
			"SIGHUP reloads the configuration, SIGUSR2 upgrades, SIGUSR1 and SIGQUIT write all goroutines to the log and go on.\nListening sockets passed by systemd are used.",
		Example: "  honeyant gateway run --site example.org --root /www\n  honeyant gateway run --site example.org --to http://127.0.0.1:8080\n  honeyant gateway run --config /etc/honeyant/Caddyfile",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := source.Validate(); err != nil {
				return command.Usage(err)
			}
			if err := life.KeepNotify(); err != nil {
				return err
			}
			program, err := os.Executable()
			if err != nil {
				return err
			}
			log := slog.New(slog.NewJSONHandler(os.Stderr, nil))
			opts.Source, opts.Control, opts.Version, opts.Log = source.Source, control.Dir(o.control), version.Text(), log
			opts.Program, opts.Args = program, os.Args[1:]
			opts.Ledger = ledger.New(daemon.Base())
			spare := make([]byte, spareHeap)
			defer runtime.KeepAlive(spare)
			ctx, cancel := signal.NotifyContext(context.WithoutCancel(cmd.Context()), os.Interrupt, unix.SIGTERM)
			defer cancel()
			stopSignals := watchSignals(ctx, o, log)
			defer stopSignals()
			return daemon.Run(ctx, opts)
		},
	}
	source.add(c)
	c.Flags().DurationVar(&opts.Drain, "drain", ledger.Defaults().Drain, "how long running requests may take at a stop or upgrade")
	c.Flags().DurationVar(&opts.Takeover, "takeover", 30*time.Second, "how long a successor may take until it serves")
	c.Flags().DurationVar(&opts.Announce, "announce", 300*time.Millisecond, "how long connections are told before they are closed")
	return c
}

// watchSignals reacts to the signals that do not stop the process, and to the second one that does. It asks over the
// control socket, as anybody else would.
func watchSignals(ctx context.Context, o *options, log *slog.Logger) (stop func()) {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, unix.SIGHUP, unix.SIGUSR1, unix.SIGUSR2, unix.SIGQUIT)
	second := make(chan os.Signal, 2)
	ended, quit := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		stopping := ctx.Done()
		for {
			select {
			case <-quit:
				return
			case <-stopping:
				stopping = nil
				signal.Notify(second, os.Interrupt, unix.SIGTERM)
			case s := <-second:
				log.Warn("stopped at once, without draining", "code", code.Drain, "signal", s.String())
				os.Exit(command.Failed)
			case s := <-signals:
				if err := react(ctx, s, o); err != nil {
					log.Error("signal", "code", code.ControlFailed, "signal", s.String(), "error", err.Error())
				}
			}
		}
	}()
	return func() {
		signal.Stop(signals)
		signal.Stop(second)
		close(quit)
		<-ended
	}
}

func react(ctx context.Context, s os.Signal, o *options) error {
	const limit = time.Minute
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	switch s {
	case unix.SIGHUP:
		_, err := o.client().Reload(ctx)
		return err
	case unix.SIGUSR2:
		_, err := o.client().Upgrade(ctx, "")
		return err
	}
	text, err := control.Stack(0)
	_, writeErr := os.Stderr.WriteString(text)
	return errors.Join(err, writeErr)
}
