package main

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/admin"
	"github.com/honeyant/honeyant/cmd/command"
	"github.com/honeyant/honeyant/cmd/command/commandtest"
)

// The exit codes are a contract with scripts.
func TestExitCodes(t *testing.T) {
	for _, c := range []struct {
		err  error
		code int
	}{
		{command.Usagef("bad flag"), command.Refused},
		{honeyant.E("x", honeyant.Invalid, "", nil), command.Refused},
		{honeyant.E("x", honeyant.Exist, "", nil), command.Refused},
		{&admin.Remote{Kind: honeyant.Conflict, Text: "busy"}, command.Refused},
		{fmt.Errorf("wrapped: %w", honeyant.E("x", honeyant.Unavailable, "", nil)), command.Unreachable},
		{honeyant.E("x", honeyant.Corrupt, "", nil), command.Failed},
		{errors.New("anything"), command.Failed},
		{command.Silent(command.Failed), command.Failed},
	} {
		if got := program().ExitCode(c.err); got != c.code {
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
		if code := program().Run(context.Background(), args); code != command.Refused {
			t.Errorf("honeyant %v: exit code %d, want %d", args, code, command.Refused)
		}
	}
}

func TestWithoutADaemonIsExitCodeThree(t *testing.T) {
	t.Setenv("HONEYANT_DIR", t.TempDir())
	for _, args := range [][]string{{"status"}, {"node", "ls"}, {"store", "ls", "--json"}, {"why", "/x"}, {"fsck"}} {
		if code := program().Run(context.Background(), args); code != command.Unreachable {
			t.Errorf("honeyant %v: exit code %d, want %d", args, code, command.Unreachable)
		}
	}
}

func TestEverythingIsExplained(t *testing.T) { commandtest.Explained(t, newRoot()) }

func TestBytesText(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 10 << 20: "10 MiB", 3 << 30: "3.0 GiB", 5 << 50: "5.0 PiB"} {
		if got := bytesText(n); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
}
