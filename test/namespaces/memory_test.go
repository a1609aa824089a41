package namespaces_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// limitBytes is what the cgroup of the measured daemon may use, page cache included.
const limitBytes = 200 << 20

// memoryGroup makes a cgroup that kills beyond the limit, of version 1 or 2, and answers the
// file that takes processes in.
func memoryGroup(name string) (procs string, err error) {
	dir, file := filepath.Join("/sys/fs/cgroup/memory", name), "memory.limit_in_bytes"
	if _, err := os.Stat("/sys/fs/cgroup/memory"); err != nil {
		raw, err := os.ReadFile("/sys/fs/cgroup/cgroup.subtree_control")
		if err != nil || !strings.Contains(string(raw), "memory") {
			return "", errors.New("no memory controller of cgroups, neither version 1 nor 2")
		}
		dir, file = filepath.Join("/sys/fs/cgroup", name), "memory.max"
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		return "", err
	}
	return filepath.Join(dir, "cgroup.procs"), os.WriteFile(filepath.Join(dir, file), []byte(fmt.Sprint(limitBytes)), 0)
}

// resident reads what the kernel says of a daemon's memory, in bytes: VmRSS or VmHWM, the peak.
func (m *machine) resident(field string) int64 {
	m.c.t.Helper()
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", m.process.Process.Pid))
	m.c.must(err)
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		var kib int64
		if _, err := fmt.Sscanf(s.Text(), field+": %d kB", &kib); err == nil {
			return kib << 10
		}
	}
	m.c.t.Fatalf("%s has no %s: is it dead?", m.name, field)
	return 0
}

// TestMemory: a daemon with a cap of 96 MiB lives in a cgroup of 200 MiB through a gigabyte and
// thousands of small files.
func TestMemory(t *testing.T) {
	c := newColony(t, plan{diskMiB: 1700})
	m := c.machines[0]
	procs, err := memoryGroup(c.net.prefix + "-mem")
	if err != nil {
		t.Skip(err)
	}
	m.stop()
	m.enter = []string{"sh", "-c", "echo $$ >" + procs + ` && exec "$@"`, "sh"}
	m.start()
	m.back()
	c.healthy(m, 30*time.Second)
	c.pass(3 * time.Second)
	const mib = 1 << 20
	idle := m.resident("VmRSS")
	t.Logf("idle: %d MiB resident", idle/mib)
	if idle > 60*mib {
		t.Errorf("%d MiB resident when idle, 60 are allowed", idle/mib)
	}
	began := time.Now()
	big := pattern(5, 4<<20)
	f, err := os.Create(filepath.Join(m.mount, "big"))
	check(t, err)
	for range 256 {
		_, err := f.Write(big)
		check(t, err)
	}
	check(t, f.Sync())
	check(t, f.Close())
	t.Logf("1 GiB written at %.0f MB/s, peak %d MiB", 1074/time.Since(began).Seconds(), m.resident("VmHWM")/mib)
	began = time.Now()
	f, err = os.Open(filepath.Join(m.mount, "big"))
	check(t, err)
	defer f.Close()
	got := make([]byte, len(big))
	for i := range 256 {
		if _, err := io.ReadFull(f, got); err != nil || string(got) != string(big) {
			t.Fatalf("piece %d of the gigabyte reads wrongly: %v", i, err)
		}
	}
	t.Logf("and read at %.0f MB/s, peak %d MiB", 1074/time.Since(began).Seconds(), m.resident("VmHWM")/mib)
	began = time.Now()
	var group sync.WaitGroup
	var small [4]*traffic
	for i := range small {
		group.Go(func() { small[i] = tree(m, fmt.Sprintf("small%d", i), 1250, 6000) })
	}
	group.Wait()
	t.Logf("5,000 files of 6 kB at %.0f/s by 4 programs, peak %d MiB", 5000/time.Since(began).Seconds(), m.resident("VmHWM")/mib)
	small[3].whole(t, c.machines[1])
	if peak := m.resident("VmHWM"); peak > 160*mib {
		t.Errorf("peak of %d MiB resident, 160 are allowed", peak/mib)
	}
}
