package transfer_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/pkg/sftp"
	"go.uber.org/goleak"

	"github.com/honeyant/honeyant/transfer"
)

// This binary is also what the tests start: an ssh (actSSH) that runs the far end in a
// process of its own, and a copy that is killed in the middle (actCopy).
func TestMain(m *testing.M) {
	switch os.Getenv("TRANSFER_ACT") {
	case "ssh":
		os.Exit(actSSH(os.Args[1:]))
	case "copy":
		os.Exit(actCopy(os.Args[1], os.Args[2], os.Getenv("TRANSFER_KILL")))
	}
	goleak.VerifyTestMain(m)
}

// actSSH is an ssh whose hosts are cases: "peer" has a honeyant, "plain" has none, "down"
// can not be reached, "dies" is lost after a few files, "motd" greets first.
func actSSH(args []string) int {
	at := slices.Index(args, "--")
	host := args[at+1]
	subsystem := slices.Contains(args[:at], "-s")
	ctx := context.Background()
	switch {
	case host == "down":
		fmt.Fprintln(os.Stderr, "ssh: connect to host down port 22: Connection refused")
		return 255
	case subsystem:
		s, err := sftp.NewServer(struct {
			io.Reader
			io.WriteCloser
		}{os.Stdin, os.Stdout})
		if err == nil {
			err = s.Serve()
		}
		if err != nil && err != io.EOF {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return 0
	case host == "plain":
		fmt.Fprintln(os.Stderr, "sh: honeyant: not found")
		return 127
	case host == "dies":
		left := 3
		err := transfer.ServeWatched(ctx, os.Stdin, os.Stdout, func(change, _ string) {
			if change == "rename" {
				if left--; left == 0 {
					os.Exit(1)
				}
			}
		})
		fmt.Fprintln(os.Stderr, err)
		return 1
	case host == "motd":
		fmt.Println("Welcome to a machine that talks.")
	}
	if err := transfer.Serve(ctx, os.Stdin, os.Stdout, 10*time.Second, slog.New(slog.DiscardHandler)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// actCopy copies and kills itself, as kill -9 does, after so many changes.
func actCopy(src, dst, kill string) int {
	c, err := transfer.New(transfer.Options{Sources: []string{src}, Target: dst, Recursive: true, Jobs: 1})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	left, err := strconv.Atoi(kill)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	c.OnChange(func(string, string) {
		if left--; left == 0 {
			self, _ := os.FindProcess(os.Getpid())
			_ = self.Kill()
			select {}
		}
	})
	r, err := c.Run(context.Background())
	if err != nil {
		fmt.Fprintln(os.Stderr, err, r.Errors)
		return 1
	}
	fmt.Println(r.Moved, r.Resumed)
	return 0
}

// sshOptions makes the tests' ssh the one that is used.
func sshOptions(t *testing.T) []string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("TRANSFER_ACT", "ssh")
	return []string{self}
}
