package namespaces_test

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// entriesEnv says how many names the large directory has; make entries sets a million.
const entriesEnv = "HONEYANT_ENTRIES"

// TestManyEntries: a directory of very many names, made on one machine, is listed whole on another while a third removes
// and makes names in it; single names are found; it is removed; and no daemon outgrows its memory by it.
func TestManyEntries(t *testing.T) {
	count := 20_000
	if s := os.Getenv(entriesEnv); s != "" {
		var err error
		count, err = strconv.Atoi(s)
		check(t, err)
	}
	c := newColony(t, plan{diskMiB: 768 + count/300})
	maker, lister, changer := c.machines[0], c.machines[1], c.machines[2]
	check(t, os.Mkdir(filepath.Join(maker.mount, "many"), 0o755))
	name := func(m *machine, i int) string { return filepath.Join(m.mount, "many", fmt.Sprintf("e%07d", i)) }
	log := func(what string, n int, began time.Time) {
		t.Logf("%s: %d, %.0f/s; peaks %d, %d, %d MiB", what, n, float64(n)/time.Since(began).Seconds(),
			maker.resident("VmHWM")>>20, lister.resident("VmHWM")>>20, changer.resident("VmHWM")>>20)
	}

	began := time.Now()
	c.each(count, func(i int) error { return unix.Mknod(name(maker, i), unix.S_IFREG|0o644, 0) })
	c.flushed(maker)
	log("made", count, began)

	// Every tenth name goes away and as many come while the directory is read.
	var changes sync.WaitGroup
	changes.Go(func() {
		c.each(count/10, func(i int) error {
			return errors.Join(os.Remove(name(changer, 10*i+3)), unix.Mknod(name(changer, count+i), unix.S_IFREG|0o644, 0))
		})
	})
	began = time.Now()
	seen := entries(t, filepath.Join(lister.mount, "many"))
	log("listed while it changed", len(seen), began)
	changes.Wait()
	for i := range count {
		switch times := seen[filepath.Base(name(lister, i))]; {
		case times > 1:
			t.Fatalf("entry %d is listed %d times", i, times)
		case times == 0 && i%10 != 3:
			t.Fatalf("entry %d, which nobody touched, is not listed", i)
		}
	}
	began = time.Now()
	after := entries(t, filepath.Join(lister.mount, "many"))
	log("listed again", len(after), began)
	if len(after) != count/10+count-count/10 {
		t.Errorf("%d entries are listed at rest, %d are there", len(after), count)
	}
	for at := range after {
		if i, err := strconv.Atoi(at[1:]); err != nil || i < count && i%10 == 3 {
			t.Fatalf("%s is listed, which was removed", at)
		}
	}
	began = time.Now()
	for range 1000 {
		i := rand.IntN(count)
		if _, err := os.Lstat(name(lister, i)); (err == nil) == (i%10 == 3) {
			t.Fatalf("entry %d: %v", i, err)
		}
	}
	log("looked up one by one", 1000, began)
	if err := os.Remove(filepath.Join(lister.mount, "many")); !errors.Is(err, unix.ENOTEMPTY) {
		t.Errorf("removing it while it is full: %v", err)
	}

	began = time.Now()
	check(t, os.RemoveAll(filepath.Join(lister.mount, "many")))
	log("removed", count, began)
	if _, err := os.Stat(filepath.Join(maker.mount, "many")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the machine that made it still sees it: %v", err)
	}
	for _, m := range c.machines {
		if peak := m.resident("VmHWM"); peak > 160<<20 {
			t.Errorf("%s had a peak of %d MiB resident, 160 are allowed", m.name, peak>>20)
		}
	}
}

// each does something count times, as four programs do.
func (c *colony) each(count int, do func(i int) error) {
	const programs = 4
	var group sync.WaitGroup
	for p := range programs {
		group.Go(func() {
			for i := p; i < count; i += programs {
				if err := do(i); err != nil {
					c.t.Errorf("entry %d: %v", i, err)
					return
				}
			}
		})
	}
	group.Wait()
}

// entries reads a directory in the kernel's small pieces and counts how often each name comes.
func entries(t *testing.T, path string) map[string]int {
	t.Helper()
	d, err := os.Open(path)
	check(t, err)
	defer d.Close()
	seen := map[string]int{}
	for {
		names, err := d.Readdirnames(1000)
		for _, n := range names {
			seen[n]++
		}
		if errors.Is(err, io.EOF) {
			return seen
		}
		check(t, err)
	}
}
