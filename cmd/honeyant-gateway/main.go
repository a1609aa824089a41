// Command honeyant-gateway is the HTTPS gateway: Caddy with deadlines, a ledger of all that runs, and hand-over without a
// lost request. One file per subcommand; `honeyant gateway ...` runs it from its own directory.
//
// Exit codes: 0 done, 1 failed, 2 wrong usage or refused, 3 no gateway runs.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/honeyant/honeyant/gateway/control"
)

// The exit codes are a contract with scripts.
const (
	exitDone = iota
	exitFailed
	exitRefused
	exitUnreachable
)

// version is set by the linker (Makefile).
var version string

func versionText() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "unknown"
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string) int {
	root := newRoot()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitDone
	}
	var silent *silentError
	if !errors.As(err, &silent) {
		fmt.Fprintln(os.Stderr, "honeyant gateway:", err)
	}
	return exitCode(err)
}

// silentError fails with a code after everything has been printed already.
type silentError struct{ code int }

func (e *silentError) Error() string { return "failed" }

// usageError is wrong usage or a refusal: exit code 2.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error { return &usageError{fmt.Errorf(format, args...)} }

func exitCode(err error) int {
	var silent *silentError
	var usage *usageError
	switch {
	case errors.As(err, &silent):
		return silent.code
	case errors.As(err, &usage):
		return exitRefused
	case errors.Is(err, control.ErrNone):
		return exitUnreachable
	}
	return exitFailed
}

// options are the flags that all commands share.
type options struct {
	control string
	json    bool
}

func (o *options) client() *control.Client { return &control.Client{Dir: control.Dir(o.control)} }

func newRoot() *cobra.Command {
	o := &options{}
	root := &cobra.Command{
		Use:               "honeyant-gateway",
		Short:             "HTTPS that never hangs",
		Long:              "The HTTPS gateway of Honeyant: Caddy with a deadline for every wait, a list of all that runs, and\nreload, restart and upgrade without a lost request. `honeyant gateway ...` is the same program.\n\nStart with: honeyant gateway run --site example.org --root /www\n       or:  honeyant gateway run --site example.org --to http://127.0.0.1:8080",
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
	}
	if os.Getenv("HONEYANT_GATEWAY_AS") != "" { // as the user called it
		root.Annotations = map[string]string{cobra.CommandDisplayNameAnnotation: os.Getenv("HONEYANT_GATEWAY_AS")}
	}
	root.PersistentFlags().StringVar(&o.control, "control", string(control.DefaultDir(os.Getenv)), "directory of the control sockets ($HONEYANT_GATEWAY_DIR)")
	root.PersistentFlags().BoolVar(&o.json, "json", false, "print JSON")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &usageError{err} })
	root.AddCommand(
		newRun(o), newReload(o), newUpgrade(o), newStop(o), newStatus(o),
		newPs(o), newWhy(o), newKill(o), newStack(o), newStats(o), newMetrics(o), newDiff(o), newSelftest(o),
		newVersion(o),
	)
	root.SetHelpCommand(newHelp(o))
	asUsage(root)
	return root
}

// asUsage turns the argument checks of all commands into usage errors.
func asUsage(c *cobra.Command) {
	if check := c.Args; check != nil {
		c.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				return usagef("%s\n  %s", err, cmd.UseLine())
			}
			return nil
		}
	}
	for _, sub := range c.Commands() {
		asUsage(sub)
	}
	if c.HasSubCommands() && c.RunE == nil {
		c.Args = cobra.ArbitraryArgs
		c.RunE = func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				hint := ""
				if like := cmd.SuggestionsFor(args[0]); len(like) > 0 {
					hint = fmt.Sprintf(" (did you mean %s?)", strings.Join(like, " or "))
				}
				return usagef("unknown command %q%s; see: %s --help", args[0], hint, cmd.CommandPath())
			}
			return cmd.Help()
		}
	}
}
