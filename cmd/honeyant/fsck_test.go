package main

import (
	"context"
	"testing"

	"github.com/honeyant/honeyant/cmd/command"
)

// What deletes the last of lost changes is not done without being asked for twice.
func TestConfirmIncarnationAsks(t *testing.T) {
	t.Setenv("HONEYANT_DIR", t.TempDir())
	if code := program().Run(context.Background(), []string{"fsck", "--confirm-incarnation"}); code != command.Refused {
		t.Errorf("without --yes: exit code %d", code)
	}
	if code := program().Run(context.Background(), []string{"fsck", "--confirm-incarnation", "--yes"}); code != command.Unreachable {
		t.Errorf("without a daemon: exit code %d", code)
	}
}
