package namespaces_test

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/honeyant/honeyant/admin"
)

// TestKill: kill -9 of any daemon costs those who keep a quorum at most 5 s, no error and no byte.
func TestKill(t *testing.T) {
	c := newColony(t, plan{mounts: 1})
	client := c.machines[3]
	var written []*traffic
	c.sub("storage", func(t *testing.T) {
		leader := c.leader(client)
		victim := c.other(leader)
		written = append(written, killDuring(t, c, victim, client, c.other(victim))...)
	})
	c.sub("leader", func(t *testing.T) {
		victim := c.leader(client)
		written = append(written, killDuring(t, c, victim, client, c.other(victim))...)
	})
	c.sub("client with an unlinked file", func(t *testing.T) { killWithOrphan(t, c, client) })
	c.sub("all at once", func(t *testing.T) {
		written = append(written, killAll(t, c))
		for _, w := range written {
			w.whole(t, c.machines[2])
		}
	})
}

// killDuring kills the victim while programs work on the others, and starts it again.
func killDuring(t *testing.T, c *colony, victim *machine, on ...*machine) (written []*traffic) {
	for _, m := range on {
		written = append(written, startTraffic(m, "kill-"+filepath.Base(t.Name())+"-"+m.name, 512<<10))
	}
	for _, w := range written {
		w.progress(c, 30*time.Second)
	}
	victim.kill()
	for _, w := range written {
		w.progress(c, 30*time.Second)
	}
	c.until(20*time.Second, "status to say that it is down", func() bool { return c.state(on[0], victim) == "down" })
	on[0].says("The colony is degraded.")
	on[0].says(" (" + victim.name + ") is down.")
	for _, w := range written {
		w.progress(c, 30*time.Second)
		w.unharmed(t)
		w.whole(t, c.other(victim))
	}
	victim.start()
	t.Logf("all was well again %s after the start", c.healthy(on[0], 60*time.Second).Round(100*time.Millisecond))
	c.flushed(victim) // it answers a moment before it has mounted
	for _, w := range written {
		w.whole(t, victim)
	}
	return written
}

// state is what ask says of another machine.
func (c *colony) state(ask, of *machine) string {
	s, _ := ask.status()
	for _, n := range s.Nodes {
		if n.Name == of.name {
			return n.State
		}
	}
	return ""
}

// inodes counts the volume's inodes, orphans included.
func (c *colony) inodes(ask *machine) uint64 {
	var list []admin.VolumeStatus
	ask.json(&list, "volume", "ls")
	if len(list) != 1 {
		c.t.Fatalf("volume ls: %+v", list)
	}
	return list[0].Inodes
}

// flushed waits until a machine has told the leader all that it changed, which a flush interval allows it to put off.
func (c *colony) flushed(m *machine) {
	c.until(5*time.Second, "the journal of "+m.name+" to be flushed", func() bool {
		s, err := m.status()
		for _, mount := range s.Mounts {
			if mount.JournalRecords > 0 || mount.DirtyBytes > 0 {
				return false
			}
		}
		return err == nil && len(s.Mounts) > 0
	})
}

// killWithOrphan: a file that only a dead machine had open goes away.
func killWithOrphan(t *testing.T, c *colony, client *machine) {
	before := c.inodes(c.machines[0])
	path := filepath.Join(client.mount, "orphan")
	f, err := os.Create(path)
	check(t, err)
	defer f.Close()
	_, err = f.Write(pattern(1, 6<<20))
	check(t, err)
	check(t, f.Sync())
	check(t, os.Remove(path))
	var b [100]byte
	if _, err := f.ReadAt(b[:], 1<<20); err != nil {
		t.Errorf("an unlinked file that is open can not be read: %v", err)
	}
	c.flushed(client) // else the machine takes its news of the removal with it
	if now := c.inodes(c.machines[0]); now != before+1 {
		t.Errorf("%d inodes before, %d with an open unlinked file", before, now)
	}
	client.kill()
	if now := c.inodes(c.machines[0]); now != before+1 {
		t.Errorf("the orphan of a client that may only be cut off is gone at once: %d inodes", now)
	}
	client.start()
	took := c.until(30*time.Second, "the orphan of a dead client to go", func() bool { return c.inodes(c.machines[0]) == before })
	t.Logf("the orphan of a killed client went %s after its restart", took.Round(100*time.Millisecond))
}

// killAll kills everything at once: what was fsynced, or closed a second before, is there afterwards.
func killAll(t *testing.T, c *colony) *traffic {
	w := tree(c.machines[0], "all", 60, 70_000)
	c.flushed(c.machines[0])
	open, err := os.Create(filepath.Join(c.machines[1].mount, "all", "open"))
	check(t, err)
	data := pattern(77, 3<<20)
	_, err = open.Write(data)
	check(t, err)
	check(t, open.Sync())
	w.sums[filepath.Join("all", "open")] = sha256.Sum256(data)
	busy := startTraffic(c.machines[3], "all-busy", 1<<20)
	busy.progress(c, 30*time.Second)
	var group sync.WaitGroup
	for _, m := range c.machines {
		group.Go(m.kill)
	}
	group.Wait()
	busy.end(t)
	open.Close()
	for _, m := range c.machines {
		m.launch()
	}
	began := time.Now()
	for _, m := range c.machines {
		c.until(60*time.Second, fmt.Sprintf("the mount of %s", m.name), func() bool {
			_, err := os.Stat(filepath.Join(m.mount, "all", "open"))
			return err == nil
		})
	}
	t.Logf("all mounts answered %s after the start of all", time.Since(began).Round(100*time.Millisecond))
	w.whole(t, c.machines[2])
	for name, want := range busy.sums { // those acknowledged before the kill
		if got, err := sum(filepath.Join(c.machines[2].mount, name)); err != nil || got != want {
			t.Errorf("%s was fsynced before all were killed: %v", name, err)
		}
	}
	c.healthy(c.machines[0], 60*time.Second)
	return w
}
