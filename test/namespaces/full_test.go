package namespaces_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestFullDisk: full means ENOSPC and nothing else; df is honest; deleting gives the space back.
func TestFullDisk(t *testing.T) {
	c := newColony(t, plan{diskMiB: 320})
	m := c.machines[0]
	check(t, os.Mkdir(filepath.Join(m.mount, "full"), 0o755))
	before := df(t, m)
	w := &traffic{dir: "full", on: m, root: m.mount}
	c.sub("fill", func(t *testing.T) { *w = *fill(t, c, m) })
	c.sub("full", func(t *testing.T) { whenFull(t, c, m, w, before) })
	c.sub("delete", func(t *testing.T) {
		for name := range w.sums {
			check(t, os.Remove(filepath.Join(c.machines[1].mount, name)))
		}
		began := time.Now()
		c.until(150*time.Second, "space to come back", func() bool { return df(t, m).free > before.free*8/10 })
		t.Logf("space was back %s after deleting", time.Since(began).Round(time.Second))
		again := tree(m, "again", 20, 4<<20)
		again.whole(t, c.machines[2])
		c.healthy(m, 30*time.Second)
	})
}

// space is what statfs says, in bytes.
type space struct{ size, free int64 }

func df(t *testing.T, m *machine) space {
	t.Helper()
	var s unix.Statfs_t
	check(t, unix.Statfs(m.mount, &s))
	return space{int64(s.Blocks) * s.Bsize, int64(s.Bavail) * s.Bsize}
}

// fill writes files of 4 MiB until the first error, which must be ENOSPC.
func fill(t *testing.T, c *colony, m *machine) *traffic {
	w := &traffic{dir: "full", on: m, root: m.mount, sums: map[string][32]byte{}}
	began := time.Now()
	for i := 0; time.Since(began) < 120*time.Second; i++ {
		name := filepath.Join("full", fmt.Sprint(i))
		data := pattern(uint64(i), 4<<20)
		if !w.write(name, data) {
			break
		}
		w.sums[name], w.bytes = sha(data), w.bytes+int64(len(data))
	}
	t.Logf("%.0f MB fit in; then %q; longest call %s (%s)", float64(w.bytes)/1e6, w.faults, w.stall.Round(10*time.Millisecond), w.slow)
	if len(w.faults) == 0 {
		t.Fatal("the colony never was full")
	}
	for _, fault := range w.faults {
		if !strings.HasSuffix(fault, syscall.ENOSPC.Error()) {
			t.Errorf("a full colony answers %s", fault)
		}
	}
	return w
}

// whenFull looks at a full colony.
func whenFull(t *testing.T, c *colony, m *machine, w *traffic, before space) {
	now := df(t, m)
	t.Logf("df: %d MB, %d free before, %d free when full", before.size>>20, before.free>>20, now.free>>20)
	if now.size < w.bytes || now.free > before.size/8 || before.free > w.bytes*13/10 {
		t.Errorf("df is not honest: %+v before, %+v when %d bytes filled it", before, now, w.bytes)
	}
	w.whole(t, c.machines[2])
	dir := filepath.Join(c.machines[1].mount, "names")
	check(t, os.Mkdir(dir, 0o755))
	for i := range 50 { // names and small files live with the metadata
		path := filepath.Join(dir, fmt.Sprint(i))
		check(t, os.WriteFile(path, []byte("small"), 0o644))
		check(t, os.Rename(path, path+".new"))
	}
	if got, err := os.ReadFile(filepath.Join(m.mount, "names", "7.new")); err != nil || string(got) != "small" {
		t.Errorf("a small file of a full colony reads %q, %v", got, err)
	}
	f, err := os.Create(filepath.Join(dir, "large"))
	check(t, err)
	_, err = f.Write(pattern(9, 9<<20))
	err = errors.Join(err, f.Sync())
	if err = errors.Join(err, f.Close()); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("writing 9 MiB when full: %v", err)
	}
	check(t, os.Remove(filepath.Join(dir, "large")))
	m.says("nearly full")
}
