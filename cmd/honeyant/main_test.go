package main

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/spf13/cobra"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/admin"
)

// The exit codes are a contract with scripts.
func TestExitCodes(t *testing.T) {
	for _, c := range []struct {
		err  error
		code int
	}{
		{usagef("bad flag"), exitRefused},
		{honeyant.E("x", honeyant.Invalid, "", nil), exitRefused},
		{honeyant.E("x", honeyant.Exist, "", nil), exitRefused},
		{&admin.Remote{Kind: honeyant.Conflict, Text: "busy"}, exitRefused},
		{fmt.Errorf("wrapped: %w", honeyant.E("x", honeyant.Unavailable, "", nil)), exitUnreachable},
		{honeyant.E("x", honeyant.Corrupt, "", nil), exitFailed},
		{errors.New("anything"), exitFailed},
		{&silentError{exitFailed}, exitFailed},
	} {
		if got := exitCode(c.err); got != c.code {
			t.Errorf("%v: exit code %d, want %d", c.err, got, c.code)
		}
	}
}

func TestWrongUsageIsExitCodeTwo(t *testing.T) {
	t.Setenv("HONEYANT_DIR", t.TempDir())
	for _, args := range [][]string{
		{"fly"}, {"node", "fly"}, {"join"}, {"join", "127.0.0.1:1"}, {"mount"}, {"status", "--nope"}, {"token", "create", "--ttl", "-1s"},
		{"demo", "--nodes", "2"}, {"init", "--capacity", "lots"}, {"policy", "set", "/x", "copies=99"}, {"node", "remove", "n1"},
	} {
		if code := run(context.Background(), args); code != exitRefused {
			t.Errorf("honeyant %v: exit code %d, want %d", args, code, exitRefused)
		}
	}
}

func TestWithoutADaemonIsExitCodeThree(t *testing.T) {
	t.Setenv("HONEYANT_DIR", t.TempDir())
	for _, args := range [][]string{{"status"}, {"node", "ls"}, {"store", "ls", "--json"}, {"why", "/x"}, {"fsck"}} {
		if code := run(context.Background(), args); code != exitUnreachable {
			t.Errorf("honeyant %v: exit code %d, want %d", args, code, exitUnreachable)
		}
	}
}

// Every command explains itself: a short text, and an example where it can be run as it is.
func TestEveryCommandHasHelp(t *testing.T) {
	var visit func(c *cobra.Command)
	visit = func(c *cobra.Command) {
		if c.Short == "" {
			t.Errorf("%s has no short help", c.CommandPath())
		}
		if c.Runnable() && !c.HasSubCommands() && c.Example == "" && c.Name() != "version" {
			t.Errorf("%s has no example", c.CommandPath())
		}
		for _, sub := range c.Commands() {
			visit(sub)
		}
	}
	visit(newRoot())
}

func TestBytesText(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 10 << 20: "10 MiB", 3 << 30: "3.0 GiB", 5 << 50: "5.0 PiB"} {
		if got := bytesText(n); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
}
