package main

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/honeyant/honeyant/cmd/command"
)

func TestCpExitCodes(t *testing.T) {
	dir := t.TempDir()
	tree := filepath.Join(dir, "tree")
	if err := os.MkdirAll(filepath.Join(tree, "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(tree, "sub", "f"), []byte("f"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		code int
	}{
		{[]string{"cp", "-rq", tree, filepath.Join(dir, "copy")}, command.Done},
		{[]string{"cp", "-rqn", tree, dir}, command.Refused},
		{[]string{"cp", "-rq", tree, tree}, command.Refused},
		{[]string{"cp", "-q", tree, filepath.Join(dir, "x")}, command.Refused},
		{[]string{"cp", tree}, command.Refused},
		{[]string{"cp", "-q", filepath.Join(dir, "nope"), dir}, command.Failed},
		{[]string{"cp", "-rq", "--ssh", "/nonexistent/ssh", tree, "host:x"}, command.Unreachable},
	} {
		if code := program().Run(context.Background(), c.args); code != c.code {
			t.Errorf("honeyant %v: exit code %d, want %d", c.args, code, c.code)
		}
	}
}
