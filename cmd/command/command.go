// Package command is what the programs of Honeyant have in common as command lines: the exit codes, errors that choose one,
// refusal of wrong usage, the end on a signal, and how results are printed. It knows nothing of what the commands do.
package command

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

// The exit codes are a contract with scripts.
const (
	Done        = iota // what was asked for is done
	Failed             // it was tried and failed, or what was looked at is bad
	Refused            // wrong usage, or not allowed; nothing was changed
	Unreachable        // nobody answered
)

// Program is one command line.
type Program struct {
	Name string                // stands before messages on standard error
	Root func() *cobra.Command // made anew for each run
	Code func(error) int       // the exit code of an error that is neither Silent nor Usage
}

// Main runs the arguments of this process until they are done, or until SIGINT or SIGTERM ends the context, and exits.
func (p Program) Main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := p.Run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}

// Run runs one line of arguments, prints its error on standard error, and answers the exit code.
func (p Program) Run(ctx context.Context, args []string) int {
	root := p.Root()
	root.SilenceErrors, root.SilenceUsage = true, true
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return Usage(err) })
	asUsage(root)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return Done
	}
	if !errors.As(err, new(*silentError)) {
		fmt.Fprintln(os.Stderr, p.Name+":", err)
	}
	return p.ExitCode(err)
}

// ExitCode is the exit code that an error means.
func (p Program) ExitCode(err error) int {
	var silent *silentError
	switch {
	case errors.As(err, &silent):
		return silent.code
	case errors.As(err, new(*usageError)):
		return Refused
	}
	return p.Code(err)
}

// Silent is an error that fails with a code after everything has been printed already.
func Silent(code int) error { return &silentError{code} }

type silentError struct{ code int }

func (e *silentError) Error() string { return "failed" }

// Usage makes an error one of wrong usage, or a refusal; it keeps its text.
func Usage(err error) error { return &usageError{err} }

// Usagef is Usage of a new error.
func Usagef(format string, args ...any) error { return Usage(fmt.Errorf(format, args...)) }

type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// asUsage turns the argument checks of all commands into usage errors, and lets groups refuse unknown commands.
func asUsage(c *cobra.Command) {
	if check := c.Args; check != nil {
		c.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				return Usagef("%s\n  %s", err, cmd.UseLine())
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
				return Usagef("unknown command %q%s; see: %s --help", args[0], hint, cmd.CommandPath())
			}
			return cmd.Help()
		}
	}
}
