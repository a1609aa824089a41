package namespaces_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/honeyant/honeyant/admin"
)

// sectorBytes and recordHeader are of doc/format/segment.md: a generation is the number of a
// segment and the sector of a record in it, whose body begins two sectors later.
const (
	sectorBytes  = 4096
	recordHeader = 2
)

// damage overwrites n bytes of a copy in the segment file of its store, offset bytes after the
// beginning of the record's body.
func damage(r admin.WhyReplica, m *machine, offset int64, n int) error {
	segment, sector := r.Generation>>24, r.Generation&(1<<24-1)
	f, err := os.OpenFile(filepath.Join(m.dir, "store", fmt.Sprintf("%012x.seg", segment)), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.WriteAt(bytes.Repeat([]byte{0x5a}, n), int64(sector+recordHeader)*sectorBytes+offset)
	return err
}

// copyOf finds a copy of a file's first chunk on another machine than the leader, which is to
// stay it, and that machine.
func (c *colony) copyOf(name string) (*machine, admin.WhyReplica) {
	c.t.Helper()
	var why admin.WhyReport
	ask := c.machines[0]
	ask.json(&why, "why", filepath.Join(ask.mount, name))
	leader := c.leader(ask)
	for _, m := range c.machines {
		for _, chunk := range why.Chunks[:min(1, len(why.Chunks))] {
			for _, r := range chunk.Replicas {
				if m != leader && r.Node == m.name {
					return m, r
				}
			}
		}
	}
	c.t.Fatalf("%s has no copy beside the leader: %+v", name, why)
	return nil, admin.WhyReplica{}
}

// replaced waits until a chunk has two good copies and not the damaged one.
func (c *colony) replaced(name string, bad admin.WhyReplica, ask *machine) time.Duration {
	c.t.Helper()
	var why admin.WhyReport
	defer func() {
		if c.t.Failed() {
			c.t.Logf("why says %+v", why)
		}
	}()
	return c.until(60*time.Second, "the damaged copy to be replaced", func() bool {
		ask.json(&why, "why", filepath.Join(ask.mount, name))
		good := 0
		for _, r := range why.Chunks[0].Replicas {
			if r.Store == bad.Store && r.Generation == bad.Generation {
				return false
			}
			if r.State == "ok" {
				good++
			}
		}
		return good == 2
	})
}

// TestCorruption: damaged bytes on a disk are never read; the copy is replaced from a good one.
func TestCorruption(t *testing.T) {
	c := newColony(t, plan{})
	data := pattern(3, 3<<20)
	for _, name := range []string{"read", "scrubbed", "gone"} {
		check(t, os.WriteFile(filepath.Join(c.machines[0].mount, name), data, 0o644))
	}
	reads := func(m *machine, name string) {
		if got, err := os.ReadFile(filepath.Join(m.mount, name)); err != nil || !bytes.Equal(got, data) {
			c.t.Fatalf("%s reads %s, of which its copy is damaged, wrongly: %d bytes, %v", m.name, name, len(got), err)
		}
	}
	c.sub("read", func(t *testing.T) {
		m, bad := c.copyOf("read")
		check(t, damage(bad, m, 1_000_000, 100))
		reads(m, "read")
		t.Logf("replaced %s after it was read", c.replaced("read", bad, m).Round(100*time.Millisecond))
	})
	c.sub("scrub", func(t *testing.T) {
		m, bad := c.copyOf("scrubbed")
		check(t, damage(bad, m, 900_000, 1))
		m.ok("scrub")
		t.Logf("replaced %s after a scrub began", c.replaced("scrubbed", bad, m).Round(100*time.Millisecond))
		reads(m, "scrubbed")
	})
	c.sub("fsck", func(t *testing.T) {
		m, bad := c.copyOf("gone")
		ask := c.other(m)
		for _, worker := range []string{"heal", "scrub"} { // either would replace it before we look
			ask.ok("worker", "pause", worker)
		}
		m.kill() // a clean stop would leave an index of what there was
		check(t, damage(bad, m, -recordHeader*sectorBytes, recordHeader*sectorBytes))
		m.launch()
		m.back()
		r, code := ask.fsck()
		if r.OK || code != 1 || r.Missing != 1 {
			t.Errorf("fsck does not tell that a copy is gone: exit %d, %+v", code, r)
		}
		reads(m, "gone")
		for _, worker := range []string{"heal", "scrub"} {
			ask.ok("worker", "resume", worker)
		}
		t.Logf("replaced after %s", c.replaced("gone", bad, ask).Round(100*time.Millisecond))
		c.until(60*time.Second, "fsck to say that all is well", func() bool { r, _ = ask.fsck(); return r.OK })
	})
}
