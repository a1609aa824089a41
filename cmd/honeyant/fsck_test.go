package main

import (
	"context"
	"testing"
)

// What deletes the last of lost changes is not done without being asked for twice.
func TestConfirmIncarnationAsks(t *testing.T) {
	t.Setenv("HONEYANT_DIR", t.TempDir())
	if code := run(context.Background(), []string{"fsck", "--confirm-incarnation"}); code != exitRefused {
		t.Errorf("without --yes: exit code %d", code)
	}
	if code := run(context.Background(), []string{"fsck", "--confirm-incarnation", "--yes"}); code != exitUnreachable {
		t.Errorf("without a daemon: exit code %d", code)
	}
}
