package namespaces_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/honeyant/honeyant/admin"
	"github.com/honeyant/honeyant/config"
)

// machine is one machine of a colony: a network namespace, a disk, a daemon, a mount.
type machine struct {
	c       *colony
	index   int
	name    string
	store   bool
	disk    string // where its disk is mounted
	image   string // what the disk is made of
	dir     string // the node's directory on it
	mount   string
	process *exec.Cmd // nil while the daemon is not running
	exited  chan struct{}
	enter   []string // put before the daemon's command line
}

// format makes the image an empty ext4.
func (m *machine) format() error {
	f, err := os.Create(m.image)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Truncate(int64(m.c.plan.diskMiB)<<20), f.Close()); err != nil {
		return err
	}
	return command("mkfs.ext4", "-q", "-F", "-m", "0", "-E", "nodiscard,lazy_itable_init=1,lazy_journal_init=1", m.image)
}

// loop mounts the image at the machine's disk.
func (m *machine) loop() error {
	if err := m.format(); err != nil {
		return err
	}
	return attach(m.image, m.disk)
}

// attach mounts an image or the file of a block device of ours.
func attach(image, at string) error {
	out, err := exec.Command("losetup", "-f", "--show", "--direct-io=on", image).Output()
	if err != nil {
		return fmt.Errorf("losetup %s: %w", image, err)
	}
	return command("mount", "-o", "noatime,noinit_itable", strings.TrimSpace(string(out)), at)
}

func (m *machine) place() []string {
	listen := address(m.index) + ":7268"
	args := []string{"--name", m.name, "--listen", listen, "--advertise", listen, "--memory", "96MiB"}
	if !m.store {
		return append(args, "--capacity", "0")
	}
	return args
}

// join makes the machine a member and starts it.
func (m *machine) join(j admin.Join) {
	m.c.t.Helper()
	m.ok(append([]string{"join", j.Address, "--token", j.Token}, m.place()...)...)
	m.settle()
	m.start()
}

// settle changes the configuration as the plan says.
func (m *machine) settle() {
	if m.c.plan.settings == nil {
		return
	}
	cfg, err := config.Load(m.dir)
	m.c.must(err)
	m.c.plan.settings(cfg)
	m.c.must(config.Write(m.dir, cfg))
}

// start runs the daemon and waits until it answers.
func (m *machine) start() {
	m.c.t.Helper()
	m.launch()
	m.c.until(40*time.Second, m.name+" to answer", func() bool {
		select {
		case <-m.exited:
			m.c.t.Fatalf("the daemon of %s ended at its start", m.name)
		default:
		}
		_, err := m.status()
		return err == nil
	})
}

// launch runs the daemon.
func (m *machine) launch() {
	c := m.c
	log, err := os.OpenFile(filepath.Join(c.dir, m.name+".log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	c.must(err)
	defer log.Close()
	line := append(append([]string{"nsenter", "--net=/run/netns/" + c.net.namespace(m.index), "--"}, m.enter...), c.program, "serve", "--dir", m.dir)
	cmd := exec.Command(line[0], line[1:]...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	c.must(cmd.Start())
	c.must(note(filepath.Join(c.dir, "pids"), cmd.Process.Pid))
	exited := make(chan struct{})
	m.process, m.exited = cmd, exited
	go func() {
		cmd.Wait()
		close(exited)
	}()
}

// note writes down a process for the sweep.
func note(path string, pid int) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(f, pid)
	return errors.Join(err, f.Close())
}

// kill is kill -9.
func (m *machine) kill() {
	m.process.Process.Signal(syscall.SIGKILL)
	<-m.exited
}

// stop is SIGTERM; a daemon that takes longer than 20 s is an error.
func (m *machine) stop() {
	m.c.t.Helper()
	m.process.Process.Signal(syscall.SIGTERM)
	select {
	case <-m.exited:
	case <-time.After(20 * time.Second):
		m.c.t.Errorf("the daemon of %s did not stop within 20 s", m.name)
		m.kill()
	}
}

func (m *machine) running() bool {
	if m.process == nil {
		return false
	}
	select {
	case <-m.exited:
		return false
	default:
		return true
	}
}

// callLimit is how long a command may take at all.
const callLimit = 60 * time.Second

// result of a command.
type result struct {
	out, errs string
	code      int
	took      time.Duration
}

// call runs the program like a person at a shell of that machine.
func (m *machine) call(limit time.Duration, args ...string) (result, error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	line := append([]string{"--net=/run/netns/" + m.c.net.namespace(m.index), "--", m.c.program}, args...)
	cmd := exec.CommandContext(ctx, "nsenter", append(line, "--dir", m.dir)...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	began := time.Now()
	err := cmd.Run()
	r := result{out: out.String(), errs: errs.String(), code: cmd.ProcessState.ExitCode(), took: time.Since(began)}
	if ctx.Err() != nil {
		return r, fmt.Errorf("honeyant %s on %s hung for %s", args[0], m.name, limit)
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = nil
	}
	return r, err
}

// ok runs a command that must succeed.
func (m *machine) ok(args ...string) result {
	m.c.t.Helper()
	r, err := m.call(callLimit, args...)
	if err != nil || r.code != 0 {
		m.c.t.Fatalf("honeyant %s on %s: exit %d, %v: %s%s", strings.Join(args, " "), m.name, r.code, err, r.out, r.errs)
	}
	return r
}

// json runs a command that must print JSON, whatever its exit code.
func (m *machine) json(to any, args ...string) result {
	m.c.t.Helper()
	r, err := m.call(callLimit, append(args, "--json")...)
	if err == nil {
		err = json.Unmarshal([]byte(r.out), to)
	}
	if err != nil {
		m.c.t.Fatalf("honeyant %s on %s: exit %d, %v: %s%s", strings.Join(args, " "), m.name, r.code, err, r.out, r.errs)
	}
	return r
}

// status asks the daemon of m.
func (m *machine) status() (admin.Status, error) {
	var s admin.Status
	r, err := m.call(10*time.Second, "status", "--json")
	if err == nil {
		err = json.Unmarshal([]byte(r.out), &s)
	}
	return s, err
}
