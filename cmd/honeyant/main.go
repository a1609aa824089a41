// Command honeyant turns a handful of machines into one colony that shares its disks as
// one POSIX file system. One file per subcommand; this is the only place that may exit.
//
// Exit codes: 0 done, 1 failed, 2 wrong usage or refused, 3 nobody answered.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/admin"
)

// The exit codes are a contract with scripts.
const (
	exitDone = iota
	exitFailed
	exitRefused
	exitUnreachable
)

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
		fmt.Fprintln(os.Stderr, "honeyant:", err)
	}
	return exitCode(err)
}

// silentError fails with a code after everything has been printed already.
type silentError struct{ code int }

func (e *silentError) Error() string { return "failed" }

// usageError is wrong usage: exit code 2.
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
	case errors.Is(err, honeyant.Unavailable):
		return exitUnreachable
	case errors.Is(err, honeyant.Invalid), errors.Is(err, honeyant.Conflict), errors.Is(err, honeyant.Exist),
		errors.Is(err, honeyant.Permission), errors.Is(err, honeyant.NotPermitted), errors.Is(err, honeyant.Unsupported):
		return exitRefused
	}
	return exitFailed
}

// options are the flags that all commands share.
type options struct {
	dir  string
	json bool
}

func (o *options) client() *admin.Client { return admin.NewClient(o.dir) }

func newRoot() *cobra.Command {
	o := &options{}
	root := &cobra.Command{
		Use:               "honeyant",
		Short:             "a handful of machines, one shared disk",
		Long:              "Honeyant turns a handful of machines into one colony: every machine shares its disk with\nevery other, all of them mount one POSIX file system, and nothing is lost when one dies.\n\nStart with: honeyant demo (everything on this machine), or honeyant init (the real thing).",
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
	}
	dir := os.Getenv("HONEYANT_DIR")
	if dir == "" {
		dir = "/var/lib/honeyant"
	}
	root.PersistentFlags().StringVar(&o.dir, "dir", dir, "directory of this node ($HONEYANT_DIR)")
	root.PersistentFlags().BoolVar(&o.json, "json", false, "print JSON")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &usageError{err} })
	bench := newBench(o)
	bench.AddCommand(newBenchReport(o), newBenchCompare(o))
	root.AddCommand(
		newDemo(o), newInit(o), newJoin(o), newServe(o), newMount(o), newUmount(o), newStatus(o),
		newNode(o), newStore(o), newVolume(o), newToken(o), newPolicy(o), newWhy(o), newWorker(o),
		bench, newPrice(o), newPlan(o), newFsck(o), newScrub(o), newCp(o), newDoctor(o), newGateway(o), newVersion(o),
	)
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
