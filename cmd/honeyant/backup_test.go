package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/honeyant/honeyant/cmd/command"
)

// A store that is named wrongly is told and not made.
func TestBackupFindRefusesWhatIsNoStore(t *testing.T) {
	t.Setenv("HONEYANT_DIR", t.TempDir())
	missing, file := filepath.Join(t.TempDir(), "typo"), filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{missing, file} {
		for _, args := range [][]string{{"backup", "find", path}, {"backup", "find", "--only", path}, {"backup", "restore", "--yes", path}} {
			if code := program().Run(context.Background(), args); code != command.Refused {
				t.Errorf("honeyant %v: exit code %d, want %d", args, code, command.Refused)
			}
		}
	}
	if _, err := os.Stat(missing); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s is there now: %v", missing, err)
	}
}

// Without a backup there is nothing to agree to.
func TestBackupRestoreWithoutABackupFails(t *testing.T) {
	for _, args := range [][]string{{"backup", "restore"}, {"backup", "restore", "--yes"}, {"backup", "find"}} {
		t.Setenv("HONEYANT_DIR", t.TempDir())
		if code := program().Run(context.Background(), args); code != command.Failed {
			t.Errorf("honeyant %v: exit code %d, want %d", args, code, command.Failed)
		}
	}
}
