package main

import (
	"context"
	"testing"

	"github.com/honeyant/honeyant/cmd/command"
	"github.com/honeyant/honeyant/cmd/command/commandtest"
)

func TestEverythingIsExplained(t *testing.T) { commandtest.Explained(t, newRoot()) }

// The exit codes are a contract with scripts.
func TestExitCodes(t *testing.T) {
	for _, c := range []struct {
		name string
		args []string
		code int
	}{
		{"a command", []string{"version"}, command.Done},
		{"no such command", []string{"fly"}, command.Refused},
		{"no such flag", []string{"ps", "--nope"}, command.Refused},
		{"an argument missing", []string{"why"}, command.Refused},
		{"no such order", []string{"ps", "--sort", "colour"}, command.Refused},
		{"nobody runs", []string{"--control", t.TempDir(), "status"}, command.Unreachable},
	} {
		t.Run(c.name, func(t *testing.T) {
			if code := program().Run(context.Background(), c.args); code != c.code {
				t.Errorf("honeyant-gateway %v: exit code %d, want %d", c.args, code, c.code)
			}
		})
	}
}
