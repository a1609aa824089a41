package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/honeyant/honeyant/cmd/command"
	"github.com/honeyant/honeyant/transfer"
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

// While it copies it says MB/s and the time left, and at the end MB/s of all (A2).
func TestCpSaysItsSpeedAndTheTimeLeft(t *testing.T) {
	var p pace
	at := transfer.Progress{Phase: "copying", BytesTotal: 1000e6, FilesTotal: 1}
	began := time.Unix(1000, 0)
	var first, later bytes.Buffer
	printProgress(&first, false, at, p.add(at, began))
	at.Bytes, at.Moved = 250e6, 250e6
	printProgress(&later, false, at, p.add(at, began.Add(5*time.Second)))
	if text := first.String(); !strings.Contains(text, "0.0 MB/s  ? left") {
		t.Errorf("nothing is known yet: %q", text)
	}
	// 250 MB in 5 s are 50 MB/s; 750 MB are left.
	if text := later.String(); !strings.Contains(text, " 25 %") || !strings.Contains(text, "50.0 MB/s  15s left") || strings.Contains(text, "\x1b") {
		t.Errorf("%q", text)
	}
	later.Reset()
	printProgress(&later, true, at, estimate{speed: 50e6, left: time.Second})
	if text := later.String(); !strings.HasPrefix(text, "\r") || strings.Contains(text, "\n") {
		t.Errorf("a line on a terminal does not stay in its place: %q", text)
	}
	dir := alone(t)
	source := filepath.Join(dir, "source")
	if err := os.WriteFile(source, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	text, code := output(t, "cp", source, filepath.Join(dir, "copy"))
	if code != command.Done || !regexp.MustCompile(`MiB in .*, [0-9.]+ MB/s, read back and compared`).MatchString(text) {
		t.Errorf("exit code %d: %s", code, text)
	}
}
