package main

import (
	"context"
	"os"
	"path/filepath"
	"testing"
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
		{[]string{"cp", "-rq", tree, filepath.Join(dir, "copy")}, exitDone},
		{[]string{"cp", "-rqn", tree, dir}, exitRefused},
		{[]string{"cp", "-rq", tree, tree}, exitRefused},
		{[]string{"cp", "-q", tree, filepath.Join(dir, "x")}, exitRefused},
		{[]string{"cp", tree}, exitRefused},
		{[]string{"cp", "-q", filepath.Join(dir, "nope"), dir}, exitFailed},
		{[]string{"cp", "-rq", "--ssh", "/nonexistent/ssh", tree, "host:x"}, exitUnreachable},
	} {
		if code := run(context.Background(), c.args); code != c.code {
			t.Errorf("honeyant %v: exit code %d, want %d", c.args, code, c.code)
		}
	}
}
