package life

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Child is a program that runs for its parent and never outlives it. Start starts it, and one goroutine waits for it;
// Done is closed when it has ended.
type Child struct {
	Process
	cgroup string // "" if none could be made
	done   chan struct{}
	err    error // how it ended, to be read after done
}

// StartChild starts cmd such that it is killed when this process dies, in a process group of its own and, where this process
// may make one, in a cgroup of its own, which catches even children that moved to another group.
// It changes cmd.SysProcAttr.
func StartChild(cmd *exec.Cmd) (*Child, error) {
	c := &Child{done: make(chan struct{})}
	attr := &unix.SysProcAttr{Setpgid: true, Pdeathsig: unix.SIGKILL}
	if cmd.SysProcAttr != nil {
		*attr = *cmd.SysProcAttr
		attr.Setpgid, attr.Pdeathsig = true, unix.SIGKILL
	}
	cmd.SysProcAttr = attr
	var group *os.File
	if dir, err := makeCgroup(); err == nil {
		group, err = os.Open(dir)
		if err != nil {
			return nil, errors.Join(err, os.Remove(dir))
		}
		c.cgroup = dir
		attr.UseCgroupFD, attr.CgroupFD = true, int(group.Fd())
	}
	started := make(chan error, 1)
	// The kernel sends the death signal when the *thread* that forked ends, so one thread stays for the child.
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(c.done)
		err := cmd.Start()
		if err == nil {
			c.Process, err = Identify(cmd.Process.Pid)
			if errors.Is(err, ErrGone) { // it has ended already and waits for Wait
				c.PID, err = cmd.Process.Pid, nil
			}
		}
		started <- err
		if err == nil {
			c.err = cmd.Wait()
		}
	}()
	err := <-started
	if group != nil {
		err = errors.Join(err, group.Close())
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("starting %s: %w", cmd.Path, err), c.removeCgroup())
	}
	return c, nil
}

// Done is closed when the child has ended.
func (c *Child) Done() <-chan struct{} { return c.done }

// Err is how the child ended, nil before that and after exit code 0.
func (c *Child) Err() error {
	select {
	case <-c.done:
		return c.err
	default:
		return nil
	}
}

// Stop escalates as Stop(ctx, c.Process, ...) does, and then ends all that is left in the child's cgroup.
func (c *Child) Stop(ctx context.Context, steps []Step, report func(string)) (Stopped, error) {
	stopped, err := Stop(ctx, c.Process, steps, report)
	if c.cgroup != "" {
		err = errors.Join(err, os.WriteFile(filepath.Join(c.cgroup, "cgroup.kill"), []byte("1"), 0))
	}
	if err != nil {
		return stopped, err
	}
	select {
	case <-c.done:
	case <-time.After(killLimit):
		return stopped, fmt.Errorf("pid %d was killed and is not collected after %s: something it started keeps its output open", c.PID, killLimit)
	}
	return stopped, c.removeCgroup()
}

func (c *Child) removeCgroup() error {
	if c.cgroup == "" {
		return nil
	}
	// The kernel takes the killed ones out a moment after they died: EBUSY until then.
	deadline := time.Now().Add(time.Second)
	for {
		err := os.Remove(c.cgroup)
		if err == nil || errors.Is(err, os.ErrNotExist) {
			return nil
		}
		if !errors.Is(err, unix.EBUSY) || time.Now().After(deadline) {
			return err
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// makeCgroup makes a group below this process's own, which works where systemd (Delegate=yes) or root allows it.
func makeCgroup() (string, error) {
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(own)) {
		if path, ok := strings.CutPrefix(strings.TrimSpace(line), "0::"); ok {
			parent := filepath.Join("/sys/fs/cgroup", path)
			if _, err := os.Stat(filepath.Join(parent, "cgroup.kill")); err != nil {
				return "", err // the root has none, and kernels before 5.14 neither
			}
			return os.MkdirTemp(parent, "honeyant-child-")
		}
	}
	return "", errors.New("no cgroup v2 here")
}
