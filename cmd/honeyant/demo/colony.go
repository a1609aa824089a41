package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/honeyant/honeyant/admin"
)

// daemon is one node of the demo: a directory, an address, a process, a mount.
type daemon struct {
	name    string
	dir     string
	address string
	mount   string // "" without FUSE
	cmd     *exec.Cmd
	exited  chan struct{}
}

// colony is the demo's machines, all on this one.
type colony struct {
	program string // this program
	dir     string
	fuse    bool
	nodes   []*daemon
}

// newColony picks addresses 127.0.0.11, .12, ... with a port that is free on all of them.
func newColony(program, dir string, count int, fuse bool) (*colony, error) {
	c := &colony{program: program, dir: dir, fuse: fuse}
	port, err := freePort(count)
	if err != nil {
		return nil, err
	}
	for i := range count {
		d := &daemon{name: fmt.Sprintf("n%d", i+1), address: net.JoinHostPort(host(i), port)}
		d.dir = filepath.Join(dir, d.name)
		if fuse {
			d.mount = filepath.Join(dir, "mnt-"+d.name)
			if err := os.MkdirAll(d.mount, 0o755); err != nil {
				return nil, err
			}
		}
		c.nodes = append(c.nodes, d)
	}
	return c, nil
}

func host(i int) string { return fmt.Sprintf("127.0.0.%d", 11+i) }

func freePort(count int) (string, error) {
	for range 20 {
		ln, err := net.Listen("tcp", net.JoinHostPort(host(0), "0"))
		if err != nil {
			return "", err
		}
		_, port, _ := net.SplitHostPort(ln.Addr().String())
		ln.Close()
		free := true
		for i := 1; i < count && free; i++ {
			other, err := net.Listen("tcp", net.JoinHostPort(host(i), port))
			if free = err == nil; free {
				other.Close()
			}
		}
		if free {
			return port, nil
		}
	}
	return "", errors.New("found no port that is free on all addresses of the demo")
}

// call runs the program like a person at a shell of that node; the answer is its JSON.
func (c *colony) call(ctx context.Context, d *daemon, result any, args ...string) error {
	cmd := exec.CommandContext(ctx, c.program, append(args, "--dir", d.dir, "--json")...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if result != nil && out.Len() > 0 {
		if jsonErr := json.Unmarshal(out.Bytes(), result); jsonErr == nil {
			return nil // an exit code may still say "critical"; the JSON says it too
		}
	}
	if err != nil {
		return fmt.Errorf("honeyant %s on %s: %w: %s", strings.Join(args, " "), d.name, err, strings.TrimSpace(errs.String()))
	}
	return nil
}

// start runs the daemon of d and waits until it answers.
func (c *colony) start(ctx context.Context, d *daemon) error {
	log, err := os.OpenFile(filepath.Join(c.dir, d.name+".log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(c.program, "serve", "--dir", d.dir)
	cmd.Stdout, cmd.Stderr = log, log
	// ^C at the terminal must reach the demo, not its daemons: it stops them in order.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	if err := cmd.Start(); err != nil {
		return err
	}
	d.cmd, d.exited = cmd, make(chan struct{})
	go func(exited chan struct{}) {
		cmd.Wait()
		close(exited)
	}(d.exited)
	return wait(ctx, 30*time.Second, d.name+" to answer", func() bool {
		var s admin.Status
		return admin.NewClient(d.dir).Call(ctx, "status", nil, &s) == nil
	})
}

// kill ends the daemon as a power switch would end a machine's programs.
func (d *daemon) kill() {
	if d.cmd != nil {
		d.cmd.Process.Signal(syscall.SIGKILL)
		<-d.exited
		d.cmd = nil
	}
}

func (d *daemon) running() bool { return d.cmd != nil }

// stop ends everything that was started, mounts included.
func (c *colony) stop() {
	for _, d := range c.nodes {
		if d.cmd != nil {
			d.cmd.Process.Signal(syscall.SIGTERM)
		}
	}
	for _, d := range c.nodes {
		if d.cmd != nil {
			select {
			case <-d.exited:
			case <-time.After(15 * time.Second):
			}
			d.kill()
		}
		if d.mount != "" {
			syscall.Unmount(d.mount, syscall.MNT_DETACH)
		}
	}
}

func (c *colony) status(ctx context.Context, d *daemon) (admin.Status, error) {
	var s admin.Status
	err := admin.NewClient(d.dir).Call(ctx, "status", nil, &s)
	return s, err
}

// anyStatus asks the first daemon that runs.
func (c *colony) anyStatus(ctx context.Context) (admin.Status, error) {
	for _, d := range c.nodes {
		if d.running() {
			return c.status(ctx, d)
		}
	}
	return admin.Status{}, errors.New("no daemon runs")
}

// byID finds the daemon that the colony calls id: they join in order, so n1 is the first.
func (c *colony) byID(id string) *daemon {
	for _, d := range c.nodes {
		if d.name == id {
			return d
		}
	}
	return nil
}

// wait asks ready again and again until it holds, or gives up.
func wait(ctx context.Context, limit time.Duration, what string, ready func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for !ready() {
		select {
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return fmt.Errorf("waited %s in vain for %s", limit, what)
			}
			return ctx.Err()
		case <-tick.C:
		}
	}
	return nil
}
