package systemd_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// container is a machine whose first process is systemd. It sees this one's files; what it changes goes away with it.
type container struct {
	t    *testing.T
	root string
	init int // systemd's number here
}

// needs are the programs without which nothing can be tested.
var needs = []string{"systemd-nspawn", "nsenter", "systemctl", "curl", "mount", "umount"}

// boot starts systemd with the binaries and units where make install puts them.
func boot(t *testing.T) *container {
	t.Helper()
	if os.Getenv("HONEYANT_SYSTEMD") == "" {
		t.Skip("boots systemd in a container: run make systemd")
	}
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	for _, tool := range needs {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("needs %s (apt-get install systemd-container curl)", tool)
		}
	}
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	for _, name := range []string{"upper", "work", "root"} {
		check(t, os.MkdirAll(at(name), 0o755))
	}
	run(t, "mount", "-t", "tmpfs", "honeyant-systemd", at("upper")) // the temporary directory may be on an overlay itself
	t.Cleanup(func() { run(t, "umount", at("upper")) })
	check(t, os.MkdirAll(at("upper/up"), 0o755))
	check(t, os.MkdirAll(at("upper/work"), 0o755))
	run(t, "mount", "-t", "overlay", "honeyant-systemd", "-o", fmt.Sprintf("lowerdir=/,upperdir=%s,workdir=%s", at("upper/up"), at("upper/work")), at("root"))
	t.Cleanup(func() { run(t, "umount", at("root")) })
	run(t, "make", "-C", filepath.Join("..", ".."), "install", "DESTDIR="+at("root"))
	// What else this machine starts would be in the way, with its ports for example.
	for _, wants := range []string{"multi-user", "sockets", "timers", "remote-fs"} {
		check(t, os.RemoveAll(at("root/etc/systemd/system/"+wants+".target.wants")))
	}

	c := &container{t: t, root: at("root")}
	log, err := os.Create(at("log"))
	check(t, err)
	cmd := exec.Command("systemd-nspawn", "--directory="+c.root, "--boot", "--private-network", "--register=no", "--keep-unit", "--settings=no",
		"--machine=honeyant-"+strconv.Itoa(os.Getpid()), "--console=pipe", "--bind=/dev/fuse", "--property=DeviceAllow=/dev/fuse rw")
	cmd.Stdout, cmd.Stderr = log, log
	check(t, cmd.Start())
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM) // an orderly end
		end := time.AfterFunc(30*time.Second, func() { cmd.Process.Kill() })
		defer end.Stop()
		if err := cmd.Wait(); err != nil && t.Failed() {
			t.Log("systemd-nspawn: ", err)
		}
		if text, err := os.ReadFile(at("log")); err == nil && t.Failed() {
			t.Logf("it said: %s", text)
		}
	})
	c.until(20*time.Second, "the container", func() bool {
		raw, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", cmd.Process.Pid, cmd.Process.Pid))
		c.init, _ = strconv.Atoi(string(bytes.TrimSpace(raw)))
		return c.init != 0
	})
	c.until(60*time.Second, "systemd to be up", func() bool {
		out, _ := c.try("systemctl", "is-system-running")
		return strings.HasPrefix(out, "running") || strings.HasPrefix(out, "degraded") // of this machine's own units some need more
	})
	return c
}

// try runs a command in the container; out is what it said.
func (c *container) try(args ...string) (out string, err error) {
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	defer stop()
	raw, err := exec.CommandContext(ctx, "nsenter", append([]string{"-t", strconv.Itoa(c.init), "-m", "-u", "-i", "-n", "-p", "--"}, args...)...).CombinedOutput()
	return string(raw), err
}

// do runs a command that must succeed.
func (c *container) do(args ...string) string {
	c.t.Helper()
	out, err := c.try(args...)
	if err != nil {
		journal, _ := c.try("journalctl", "--no-pager", "-n", "60", "-u", "honeyant*")
		c.t.Fatalf("%s: %v: %s\n%s", strings.Join(args, " "), err, out, journal)
	}
	return out
}

// property is what systemd knows of a unit.
func (c *container) property(unit, name string) string {
	c.t.Helper()
	return strings.TrimSpace(c.do("systemctl", "show", "--value", "-p", name, unit))
}

// write makes a file in the container.
func (c *container) write(path, text string) {
	c.t.Helper()
	cmd := exec.Command("nsenter", "-t", strconv.Itoa(c.init), "-m", "--", "sh", "-c", `mkdir -p "$(dirname "$1")" && cat >"$1"`, "sh", path)
	cmd.Stdin = strings.NewReader(text)
	if out, err := cmd.CombinedOutput(); err != nil {
		c.t.Fatalf("writing %s: %v: %s", path, err, out)
	}
}

// get asks the gateway of the container.
func (c *container) get() string {
	out, err := c.try("curl", "-sS", "--max-time", "20", "http://127.0.0.1/")
	if err != nil {
		return "error: " + out
	}
	return out
}

func (c *container) until(limit time.Duration, what string, ready func() bool) time.Duration {
	c.t.Helper()
	began := time.Now()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !ready() {
		if time.Since(began) > limit {
			c.t.Fatalf("waited %s in vain for %s", limit, what)
		}
		<-tick.C
	}
	return time.Since(began)
}

func run(t *testing.T, name string, args ...string) {
	t.Helper()
	var said bytes.Buffer
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = io.MultiWriter(&said), &said
	if err := cmd.Run(); err != nil {
		t.Errorf("%s %s: %v: %s", name, strings.Join(args, " "), err, said.String())
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
