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

// chunkOn finds the first chunk of a file and its copy on a machine.
func chunkOn(c *colony, path string, on *machine) (admin.WhyChunk, admin.WhyReplica) {
	c.t.Helper()
	var why admin.WhyReport
	on.json(&why, "why", path)
	for _, chunk := range why.Chunks {
		for _, r := range chunk.Replicas {
			if r.Node == on.name {
				return chunk, r
			}
		}
	}
	c.t.Fatalf("%s has no copy on %s: %+v", path, on.name, why)
	return admin.WhyChunk{}, admin.WhyReplica{}
}

// replaced waits until a chunk has two good copies and not the damaged one.
func (c *colony) replaced(path string, bad admin.WhyReplica, ask *machine) time.Duration {
	c.t.Helper()
	var why admin.WhyReport
	defer func() {
		if c.t.Failed() {
			c.t.Logf("why says %+v", why)
		}
	}()
	return c.until(60*time.Second, "the damaged copy to be replaced", func() bool {
		ask.json(&why, "why", path)
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
	m := c.machines[0]
	data := pattern(3, 3<<20)
	write := func(name string) string {
		path := filepath.Join(m.mount, name)
		check(t, os.WriteFile(path, data, 0o644))
		return path
	}
	read, scrubbed, gone := write("read"), write("scrubbed"), write("gone")
	c.sub("read", func(t *testing.T) {
		_, bad := chunkOn(c, read, m)
		check(t, damage(bad, m, 1_000_000, 100))
		if got, err := os.ReadFile(read); err != nil || !bytes.Equal(got, data) {
			t.Fatalf("a file with a damaged copy here reads wrongly: %d bytes, %v", len(got), err)
		}
		t.Logf("replaced %s after it was read", c.replaced(read, bad, m).Round(100*time.Millisecond))
	})
	c.sub("scrub", func(t *testing.T) {
		_, bad := chunkOn(c, scrubbed, m)
		check(t, damage(bad, m, 2_000_000, 1))
		m.ok("scrub")
		t.Logf("replaced %s after a scrub began", c.replaced(scrubbed, bad, m).Round(100*time.Millisecond))
	})
	c.sub("fsck", func(t *testing.T) {
		_, bad := chunkOn(c, gone, m)
		m.stop()
		check(t, damage(bad, m, -recordHeader*sectorBytes, recordHeader*sectorBytes)) // the store will not know it
		m.launch()
		m.back()
		ask := c.machines[1]
		r, code := ask.fsck()
		if r.OK || code != 1 || r.Missing == 0 && len(r.Faults) == 0 {
			var why admin.WhyReport
			ask.json(&why, "why", filepath.Join(ask.mount, "gone"))
			t.Errorf("fsck does not tell that a copy is gone: exit %d, %+v; why says %+v", code, r, why)
		}
		t.Logf("fsck: exit %d, %+v", code, r)
		if got, err := os.ReadFile(gone); err != nil || !bytes.Equal(got, data) {
			t.Errorf("a file whose copy here is gone reads wrongly: %d bytes, %v", len(got), err)
		}
		t.Logf("replaced after %s", c.replaced(filepath.Join(ask.mount, "gone"), bad, ask).Round(100*time.Millisecond))
		c.until(60*time.Second, "fsck to say that all is well", func() bool { r, _ = ask.fsck(); return r.OK })
	})
}
