package namespaces_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/honeyant/honeyant/config"
)

// callDeadline is what the machines of the cuts are configured to.
const callDeadline = 6 * time.Second

// TestCut: a cable that falls out silently costs those who keep a quorum at most 5 s and no
// error; those who are cut off get an errno after the call deadline, and go on afterwards.
func TestCut(t *testing.T) {
	c := newColony(t, plan{mounts: 1, settings: func(cfg *config.Config) { cfg.CallDeadline = callDeadline }})
	client := c.machines[3]
	storage := func() *machine { return c.other(c.leader(client)) }
	leader := func() *machine { return c.leader(client) }
	var written []*traffic
	for _, how := range []string{"both", "inward", "outward"} {
		c.sub("storage "+how, func(t *testing.T) { written = append(written, cutDuring(t, c, storage(), how, client)) })
		c.sub("leader "+how, func(t *testing.T) { written = append(written, cutDuring(t, c, leader(), how, client)) })
	}
	c.sub("two voters from each other", func(t *testing.T) {
		a := leader()
		b := c.other(a)
		w := startTraffic(client, "cut-pair", 256<<10)
		w.progress(c, 30*time.Second)
		check(t, errors.Join(c.net.lose(a.index, b.index, true), c.net.lose(b.index, a.index, true)))
		c.pass(8 * time.Second)
		check(t, errors.Join(c.net.lose(a.index, b.index, false), c.net.lose(b.index, a.index, false)))
		w.progress(c, 30*time.Second)
		w.unharmed(t)
		c.healthy(client, 60*time.Second)
		written = append(written, w)
	})
	c.sub("client", func(t *testing.T) { cutClient(t, c, client) })
	for _, w := range written {
		w.whole(t, c.machines[1])
	}
}

// sever loses what m sends, what is sent to it, or both; or repairs that.
func (c *colony) sever(m *machine, how string, gone bool) {
	c.t.Helper()
	if how == "both" {
		c.must(c.net.cut(m.index, gone))
		return
	}
	for _, o := range c.machines {
		if o == m {
			continue
		}
		from, to := m, o
		if how == "inward" {
			from, to = o, m
		}
		c.must(c.net.lose(from.index, to.index, gone))
	}
}

// pass lets time go by.
func (c *colony) pass(d time.Duration) { <-time.After(d) }

// cutDuring cuts the victim off while a program works on another machine and one on the victim.
func cutDuring(t *testing.T, c *colony, victim *machine, how string, on *machine) *traffic {
	w := startTraffic(on, fmt.Sprintf("cut-%s", filepath.Base(t.Name())), 256<<10)
	check(t, os.WriteFile(filepath.Join(victim.mount, w.dir, "own"), []byte("before"), 0o644))
	w.progress(c, 30*time.Second)
	c.sever(victim, how, true)
	cutOff(t, victim, filepath.Join(victim.mount, w.dir, "own"))
	w.progress(c, 30*time.Second)
	c.sever(victim, how, false)
	goesOn(t, c, victim, filepath.Join(victim.mount, w.dir, "own"))
	w.progress(c, 30*time.Second)
	w.unharmed(t)
	t.Logf("all was well %s later", c.healthy(on, 60*time.Second).Round(100*time.Millisecond))
	return w
}

// cutOff demands that calls on a machine that is cut off end with an errno in time, and that
// its daemon says what is wrong. One after the other: the kernel lets no call look for a new name in a directory
// while another one makes a file there, and that one waits.
func cutOff(t *testing.T, m *machine, path string) {
	for name, call := range map[string]func() error{
		"stat":   func() error { _, err := os.Stat(path); return err },
		"create": func() error { return os.WriteFile(path+"-new", []byte("x"), 0o644) },
	} {
		began := time.Now()
		err := call()
		took := time.Since(began)
		var errno syscall.Errno
		if !errors.As(err, &errno) {
			t.Errorf("%s on %s, which is cut off, answers %v", name, m.name, err)
		}
		if took > callDeadline+3*time.Second {
			t.Errorf("%s on %s, which is cut off, took %s", name, m.name, took)
		}
		t.Logf("%s on %s, which is cut off: %v after %s", name, m.name, errno, took.Round(10*time.Millisecond))
	}
	s, err := m.status()
	if err != nil || s.Health != "critical" {
		t.Errorf("status on %s, which is cut off, says %q, %v", m.name, s.Health, err)
	}
	m.says("No metadata leader answers")
}

// goesOn demands that a machine works again without being touched.
func goesOn(t *testing.T, c *colony, m *machine, path string) {
	took := c.until(20*time.Second, "calls on "+m.name+" to go on", func() bool {
		return os.WriteFile(path, []byte("after"), 0o644) == nil
	})
	t.Logf("%s went on %s after its cable was back", m.name, took.Round(10*time.Millisecond))
}

// cutClient: the mount of a machine without a store can be taken away while it is cut off, and
// a program that waits there gets its errno.
func cutClient(t *testing.T, c *colony, m *machine) {
	path := filepath.Join(m.mount, "client-file")
	check(t, os.WriteFile(path, []byte("before"), 0o644))
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	check(t, err)
	defer f.Close()
	c.sever(m, "both", true)
	c.until(callDeadline+5*time.Second, "leases to end, by which it answers from memory", func() bool {
		_, err := os.Stat(path)
		return err != nil
	})
	cutOff(t, m, path)
	if _, err := f.Write(pattern(1, 10_000)); err == nil {
		if err := f.Sync(); err == nil {
			t.Error("an fsync on a machine that is cut off succeeded")
		}
	}
	waiting := make(chan error, 1)
	go func() {
		_, err := os.Stat(path)
		waiting <- err
	}()
	r, err := m.call(callLimit, "umount", m.mount)
	t.Logf("umount on a machine that is cut off: exit %d after %s: %s%s", r.code, r.took.Round(10*time.Millisecond), r.out, r.errs)
	if err != nil || r.took > callDeadline+6*time.Second {
		t.Errorf("umount took %s, %v", r.took, err)
	}
	if mounted(m.mount) {
		t.Errorf("umount left %s mounted", m.mount)
	}
	select {
	case err := <-waiting:
		if err == nil {
			t.Error("a stat on a machine that is cut off succeeded")
		}
	case <-time.After(callDeadline + 3*time.Second):
		t.Error("a program hangs in a mount that was taken away")
	}
	f.Close()
	c.sever(m, "both", false)
	c.until(30*time.Second, "the mount to be made again", func() bool {
		r, err := m.call(callLimit, "mount", m.mount)
		return err == nil && r.code == 0
	})
	goesOn(t, c, m, path)
	if got, err := os.ReadFile(filepath.Join(c.machines[0].mount, "client-file")); err != nil || string(got) != "after" {
		t.Errorf("another machine reads %q, %v", got, err)
	}
}

// mounted tells whether something is mounted at path. It does not touch the file system there.
func mounted(path string) bool {
	var here, above unix.Stat_t
	if err := unix.Stat(path, &here); err != nil {
		return true // a dead mount
	}
	return unix.Stat(filepath.Dir(path), &above) == nil && here.Dev != above.Dev
}
