package namespaces_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/honeyant/honeyant/admin"
	"github.com/honeyant/honeyant/config"
)

// quick makes a silent machine count as gone after seconds.
func quick(cfg *config.Config) {
	cfg.DownAfter, cfg.OutAfter, cfg.CallDeadline = 3*time.Second, 10*time.Second, 6*time.Second
}

// fsck is what the check of metadata against stores says, and its exit code.
func (m *machine) fsck() (r admin.FsckReport, code int) {
	m.c.t.Helper()
	code = m.json(&r, "fsck").code
	return r, code
}

// TestHeal: what a dead machine held is made anew; when it is back, what is too much goes;
// then a machine is drained and removed.
func TestHeal(t *testing.T) {
	c := newColony(t, plan{settings: quick})
	first, victim := c.machines[0], c.machines[2]
	w := tree(first, "heal", 60, 1<<20)
	c.sub("out", func(t *testing.T) {
		victim.kill()
		c.until(20*time.Second, "status to say that it is out", func() bool { return c.state(first, victim) == "out" })
		first.says("What it held is re-created on others.")
		took := c.until(60*time.Second, "the heal", func() bool {
			s, err := first.status()
			return err == nil && s.Chunks.UnderReplicated == 0 && s.Heal.Pending == 0
		})
		t.Logf("60 MB on three machines were healed %s after the machine was out", took.Round(100*time.Millisecond))
		for name := range w.sums {
			if copies := c.copies(first, name); copies[victim.name] > 0 && copies["n1"]+copies["n2"] < 2 {
				t.Fatalf("%s has the copies %v", name, copies)
			}
		}
	})
	c.sub("back", func(t *testing.T) {
		victim.start()
		var r admin.FsckReport
		took := c.until(90*time.Second, "the surplus to be dropped", func() bool {
			r, _ = first.fsck()
			return r.Replicas == 2*r.Chunks
		})
		t.Logf("the surplus was dropped %s after the machine was back: %+v", took.Round(100*time.Millisecond), r)
		c.healthy(first, 60*time.Second)
		w.whole(t, victim)
	})
	c.sub("drain and remove", func(t *testing.T) {
		began := time.Now()
		r := first.ok("node", "drain", victim.name, "--yes")
		if !strings.Contains(r.out, "may be removed and deleted") {
			t.Errorf("drain ends with %q", r.out)
		}
		t.Logf("drained in %s", time.Since(began).Round(100*time.Millisecond))
		c.removed(victim)
		w.whole(t, c.machines[1])
		c.until(20*time.Second, "a removed machine to be refused", func() bool {
			_, err := os.ReadFile(filepath.Join(victim.mount, "heal", "f00000"))
			return err != nil
		})
		if s, err := first.status(); err != nil || len(s.Nodes) != 2 {
			t.Errorf("status lists %+v, %v", s.Nodes, err)
		}
	})
}

// removed removes a machine; the leader itself asks for another try.
func (c *colony) removed(victim *machine) {
	c.t.Helper()
	c.until(30*time.Second, "the removal of "+victim.name, func() bool {
		r, err := c.other(victim).call(callLimit, "node", "remove", victim.name, "--yes")
		return err == nil && r.code == 0
	})
}

// copies counts the good copies of a file's chunks on each machine, the least of any chunk first.
func (c *colony) copies(ask *machine, name string) map[string]int {
	c.t.Helper()
	var why admin.WhyReport
	ask.json(&why, "why", filepath.Join(ask.mount, name))
	on := map[string]int{}
	for _, chunk := range why.Chunks {
		for _, r := range chunk.Replicas {
			if r.State == "ok" {
				on[r.Node]++
			}
		}
	}
	return on
}

// TestTwoMachines: a second machine raises the copies from one to two and mirrors the metadata;
// after the death of the first, a person promotes it and everything acknowledged is there.
func TestTwoMachines(t *testing.T) {
	c := newColony(t, plan{machines: 2, later: 1, settings: quick})
	one, two := c.machines[0], c.machines[1]
	alone := tree(one, "alone", 20, 1<<20)
	c.sub("join", func(t *testing.T) {
		var reply struct {
			Join admin.Join `json:"join"`
		}
		one.json(&reply, "token", "create")
		two.join(reply.Join)
		two.ok("mount", two.mount)
		took := c.until(60*time.Second, "two copies of everything", func() bool {
			for name := range alone.sums {
				if on := c.copies(one, name); on["n1"] == 0 || on["n2"] == 0 {
					return false
				}
			}
			return true
		})
		t.Logf("20 MB had two copies %s after the join", took.Round(100*time.Millisecond))
		c.healthy(one, 60*time.Second)
		alone.whole(t, two)
		if c.voters(one) != 1 {
			t.Errorf("two machines have %d voters", c.voters(one))
		}
	})
	both := startTraffic(one, "both", 512<<10)
	both.progress(c, 30*time.Second)
	c.sub("promote", func(t *testing.T) {
		one.kill()
		both.end(t)
		began := time.Now()
		_, err := os.Stat(filepath.Join(two.mount, "alone"))
		var errno syscall.Errno
		if !errors.As(err, &errno) || time.Since(began) > 10*time.Second {
			t.Errorf("a call without a quorum answers %v after %s", err, time.Since(began))
		}
		two.says("No metadata leader answers")
		two.stop()
		r := two.ok("node", "promote", "--yes")
		t.Logf("promote says: %s%s", r.out, r.errs)
		two.start()
		two.back()
		c.until(30*time.Second, "the promoted machine to lead", func() bool { s, _ := two.status(); return s.Leader != "" })
		alone.whole(t, two)
		both.whole(t, two)
		// A leader without its mirror waits 10 s for it (rule 3), longer than calls wait here.
		c.until(20*time.Second, "the promoted machine to go on alone", func() bool {
			return os.MkdirAll(filepath.Join(two.mount, "goes-on"), 0o755) == nil
		})
		after := tree(two, "after", 10, 100_000)
		after.whole(t, two)
	})
	c.sub("the first comes back", func(t *testing.T) {
		one.launch()
		c.pass(5 * time.Second)
		if _, err := os.ReadFile(filepath.Join(one.mount, "after", "f00000")); err == nil {
			t.Log("the first machine has joined again and sees what the second did")
		} else if s, err := one.status(); err == nil && s.Leader == "n1" {
			t.Errorf("the first machine leads beside the promoted one: %+v", s)
		}
		check(t, os.WriteFile(filepath.Join(two.mount, "still"), []byte("here"), 0o644))
	})
}
