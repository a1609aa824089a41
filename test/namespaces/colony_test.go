package namespaces_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/honeyant/honeyant/admin"
	"github.com/honeyant/honeyant/config"
)

// plan says what colony a test wants. Zero means the default.
type plan struct {
	machines int                    // with a store; default 3
	mounts   int                    // further machines that only mount
	diskMiB  int                    // of each image; default 768
	settings func(*config.Config)   // changes every machine's honeyant.toml
	disk     func(m *machine) error // mounts m.disk; default: a loop device on an image
	later    int                    // this many of the machines are not started, nor have they joined
	smoke    bool                   // runs with -short, too
}

// colony is the machines of one test.
type colony struct {
	t        *testing.T
	net      network
	dir      string
	program  string
	plan     plan
	machines []*machine
	closers  []func() // of disks, after everything else
}

// newColony starts the machines of p with everything mounted, and takes it all away at the
// end of the test.
func newColony(t *testing.T, p plan) *colony {
	t.Helper()
	if why := missing(); why != "" {
		t.Skip(why)
	}
	if testing.Short() && !p.smoke {
		t.Skip("takes long: run it without -short")
	}
	if p.machines == 0 {
		p.machines = 3
	}
	if p.diskMiB == 0 {
		p.diskMiB = 768
	}
	c := &colony{t: t, plan: p, program: os.Getenv(binEnv), dir: filepath.Join(os.Getenv(rootEnv), t.Name())}
	c.net = network{prefix: fmt.Sprintf("%s-%d", prefix(), time.Now().UnixNano()%100000)}
	c.must(os.MkdirAll(c.dir, 0o755))
	t.Cleanup(c.end)
	c.must(c.net.open(p.machines + p.mounts))
	for i := range p.machines + p.mounts {
		c.machines = append(c.machines, c.newMachine(i))
	}
	first := c.machines[0]
	var reply struct {
		Join admin.Join `json:"join"`
	}
	first.json(&reply, append([]string{"init"}, first.place()...)...)
	first.settle()
	first.start()
	for _, m := range c.machines[1 : len(c.machines)-p.later] {
		m.join(reply.Join)
	}
	for _, m := range c.machines[:len(c.machines)-p.later] {
		m.ok("mount", m.mount)
	}
	if p.machines-p.later >= 3 {
		c.until(30*time.Second, "three voters", func() bool { return c.voters(first) >= 3 })
	}
	c.until(30*time.Second, "all stores to have room", func() bool {
		var stores []admin.StoreStatus
		if r, err := first.call(callLimit, "store", "ls", "--json"); err != nil || json.Unmarshal([]byte(r.out), &stores) != nil {
			return false
		}
		room := 0
		for _, s := range stores {
			if s.State == "active" && s.AvailableBytes > 0 {
				room++
			}
		}
		return room == p.machines-p.later
	})
	c.pass(1500 * time.Millisecond) // by then a heartbeat has told everybody
	return c
}

// sub runs a part of the test.
func (c *colony) sub(name string, part func(t *testing.T)) {
	whole := c.t
	whole.Run(name, func(t *testing.T) {
		c.t = t
		defer func() { c.t = whole }()
		part(t)
	})
}

func (c *colony) newMachine(i int) *machine {
	name := fmt.Sprintf("n%d", i+1)
	m := &machine{c: c, index: i, name: name, store: i < c.plan.machines,
		disk: filepath.Join(c.dir, name+"-disk"), image: filepath.Join(c.dir, name+".img"), mount: filepath.Join(c.dir, name)}
	m.dir = filepath.Join(m.disk, "honeyant")
	c.must(os.MkdirAll(m.disk, 0o755))
	c.must(os.MkdirAll(m.mount, 0o755))
	open := c.plan.disk
	if open == nil {
		open = (*machine).loop
	}
	c.must(open(m))
	return m
}

// end takes the colony away and says what its daemons said if the test failed.
func (c *colony) end() {
	for _, m := range c.machines {
		if m.running() {
			m.process.Process.Signal(syscall.SIGTERM)
		}
	}
	for _, m := range c.machines {
		if m.process != nil {
			select {
			case <-m.exited:
			case <-time.After(10 * time.Second):
				c.t.Errorf("the daemon of %s did not end within 10 s of SIGTERM; its log has its goroutines", m.name)
				m.process.Process.Signal(syscall.SIGQUIT)
				c.pass(time.Second)
				m.kill()
			}
		}
	}
	if c.t.Failed() {
		for _, m := range c.machines {
			c.t.Logf("log of %s:\n%s", m.name, tail(filepath.Join(c.dir, m.name+".log"), 40))
		}
	}
	keep := os.Getenv("HONEYANT_NS_KEEP")
	if out, err := exec.Command("sh", "-c", sweep, "sweep", c.dir, c.net.prefix, keep).CombinedOutput(); err != nil {
		c.t.Logf("taking the colony away: %v: %s", err, out)
	}
	for _, closer := range c.closers {
		closer()
	}
}

func tail(path string, lines int) string {
	raw, _ := os.ReadFile(path)
	all := strings.Split(strings.TrimRight(string(raw), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// voters counts the voters that are up.
func (c *colony) voters(ask *machine) (count int) {
	s, _ := ask.status()
	for _, n := range s.Nodes {
		if n.Voter && n.State == "up" {
			count++
		}
	}
	return count
}

// leader is the machine that leads, as ask sees it.
func (c *colony) leader(ask *machine) *machine {
	c.t.Helper()
	var found *machine
	c.until(20*time.Second, "a leader", func() bool {
		s, err := ask.status()
		if err != nil {
			return false
		}
		for _, n := range s.Nodes {
			for _, m := range c.machines {
				if n.Leader && n.Name == m.name {
					found = m
				}
			}
		}
		return found != nil
	})
	return found
}

// other is the first running machine with a store that is none of these.
func (c *colony) other(than ...*machine) *machine {
	for _, m := range c.machines {
		out := !m.running() || !m.store
		for _, o := range than {
			out = out || o == m
		}
		if !out {
			return m
		}
	}
	c.t.Fatal("no other machine runs")
	return nil
}

// until asks ready again and again, or fails the test.
func (c *colony) until(limit time.Duration, what string, ready func() bool) time.Duration {
	c.t.Helper()
	began := time.Now()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for !ready() {
		if time.Since(began) > limit {
			c.t.Fatalf("waited %s in vain for %s", limit, what)
		}
		<-tick.C
	}
	return time.Since(began)
}

// healthy waits until status says that nothing is at risk.
func (c *colony) healthy(ask *machine, limit time.Duration) time.Duration {
	c.t.Helper()
	var last admin.Status
	defer func() {
		if c.t.Failed() {
			c.t.Logf("last status: %s %q %+v", last.Health, last.Summary, last.Chunks)
		}
	}()
	return c.until(limit, "health ok", func() bool {
		s, err := ask.status()
		if err == nil {
			last = s
		}
		return err == nil && s.Health == "ok" && s.Chunks.UnderReplicated == 0 && s.Heal.Pending == 0
	})
}

func (c *colony) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}
