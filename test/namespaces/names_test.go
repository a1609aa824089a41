package namespaces_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestSeenAtOnce: what one machine did, the others see with their next call.
func TestSeenAtOnce(t *testing.T) {
	c := newColony(t, plan{smoke: true})
	c.sub("names", func(t *testing.T) { seeNames(t, c) })
	c.sub("exclusive", func(t *testing.T) { raceExclusive(t, c) })
	c.sub("flock", func(t *testing.T) { lockAcross(t, c, flock) })
	c.sub("fcntl", func(t *testing.T) { lockAcross(t, c, fcntl) })
	c.sub("status", func(t *testing.T) {
		c.healthy(c.machines[1], 30*time.Second)
		r := c.machines[2].ok("status")
		if !bytes.Contains([]byte(r.out), []byte("The colony is ok.")) {
			t.Errorf("status in words says: %s", r.out)
		}
	})
	c.sub("lock of a killed node", func(t *testing.T) { lockOfDead(t, c) })
}

// seeNames goes round the machines: each does something, the others look at once.
func seeNames(t *testing.T, c *colony) {
	for round := range 6 {
		a, others := c.machines[round%3], []*machine{c.machines[(round+1)%3], c.machines[(round+2)%3]}
		dir := fmt.Sprintf("dir%d", round)
		check(t, os.Mkdir(filepath.Join(a.mount, dir), 0o755))
		for _, size := range []int{0, 100, 5000, 300_000} {
			name := filepath.Join(dir, fmt.Sprint(size))
			data := pattern(uint64(size+round), size)
			check(t, os.WriteFile(filepath.Join(a.mount, name), data, 0o644))
			for _, b := range others {
				got, err := os.ReadFile(filepath.Join(b.mount, name))
				if err != nil || !bytes.Equal(got, data) {
					t.Fatalf("%s wrote %d bytes of %s, %s reads %d, %v", a.name, size, name, b.name, len(got), err)
				}
			}
			moved := name + ".moved"
			check(t, os.Rename(filepath.Join(others[0].mount, name), filepath.Join(others[0].mount, moved)))
			if _, err := os.Stat(filepath.Join(a.mount, name)); !errors.Is(err, os.ErrNotExist) {
				t.Fatalf("%s still sees %s, which %s has renamed: %v", a.name, name, others[0].name, err)
			}
			if st, err := os.Stat(filepath.Join(a.mount, moved)); err != nil || st.Size() != int64(size) {
				t.Fatalf("%s does not see %s: %v", a.name, moved, err)
			}
			check(t, os.Remove(filepath.Join(others[1].mount, moved)))
			if _, err := os.Stat(filepath.Join(a.mount, moved)); !errors.Is(err, os.ErrNotExist) {
				t.Fatalf("%s still sees %s, which %s has removed: %v", a.name, moved, others[1].name, err)
			}
		}
		check(t, os.Remove(filepath.Join(others[1].mount, dir)))
		if _, err := os.ReadDir(filepath.Join(a.mount, dir)); !errors.Is(err, os.ErrNotExist) {
			t.Fatalf("%s still lists %s: %v", a.name, dir, err)
		}
	}
}

// raceExclusive lets three machines make the same names: each name has one winner.
func raceExclusive(t *testing.T, c *colony) {
	const names = 40
	var mu sync.Mutex
	winners := map[string][]string{}
	var group sync.WaitGroup
	for _, m := range c.machines {
		group.Go(func() {
			for i := range names {
				name := fmt.Sprintf("race%d", i)
				f, err := os.OpenFile(filepath.Join(m.mount, name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
				if err == nil {
					_, err = f.WriteString(m.name)
					err = errors.Join(err, f.Close())
					mu.Lock()
					winners[name] = append(winners[name], m.name)
					mu.Unlock()
				} else if errors.Is(err, os.ErrExist) {
					err = nil
				}
				if err != nil {
					t.Errorf("%s: %s: %v", m.name, name, err)
				}
			}
		})
	}
	group.Wait()
	for i := range names {
		name := fmt.Sprintf("race%d", i)
		if len(winners[name]) != 1 {
			t.Errorf("%s was made by %q", name, winners[name])
			continue
		}
		for _, m := range c.machines {
			if got, err := os.ReadFile(filepath.Join(m.mount, name)); err != nil || string(got) != winners[name][0] {
				t.Errorf("%s made %s, %s reads %q, %v", winners[name][0], name, m.name, got, err)
			}
		}
	}
}

// locker takes or gives back the lock of a file without waiting; EAGAIN if another has it.
type locker func(f *os.File, lock bool) error

func flock(f *os.File, lock bool) error {
	if lock {
		return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	}
	return unix.Flock(int(f.Fd()), unix.LOCK_UN)
}

func fcntl(f *os.File, lock bool) error {
	l := unix.Flock_t{Type: unix.F_UNLCK, Start: 10, Len: 10}
	if lock {
		l.Type = unix.F_WRLCK
	}
	return unix.FcntlFlock(f.Fd(), unix.F_SETLK, &l)
}

// openOn opens the file of that name on each machine; the test closes them.
func openOn(t *testing.T, name string, machines ...*machine) []*os.File {
	t.Helper()
	var files []*os.File
	for _, m := range machines {
		f, err := os.OpenFile(filepath.Join(m.mount, name), os.O_CREATE|os.O_RDWR, 0o644)
		check(t, err)
		t.Cleanup(func() { f.Close() })
		files = append(files, f)
	}
	return files
}

// lockAcross counts under a lock on all machines at once: no count may get lost.
func lockAcross(t *testing.T, c *colony, take locker) {
	files := openOn(t, "counter-"+filepath.Base(t.Name()), c.machines...)
	check(t, take(files[0], true))
	for _, f := range files[1:] {
		if err := take(f, true); !errors.Is(err, unix.EAGAIN) {
			t.Fatalf("a second machine got the lock: %v", err)
		}
	}
	check(t, take(files[0], false))
	const rounds = 15
	var group sync.WaitGroup
	for i, f := range files {
		group.Go(func() {
			for done := 0; done < rounds; {
				err := take(f, true)
				if errors.Is(err, unix.EAGAIN) {
					continue
				}
				if err == nil {
					err = errors.Join(increment(f), take(f, false))
				}
				if err != nil {
					t.Errorf("%s: %v", c.machines[i].name, err)
					return
				}
				done++
			}
		})
	}
	group.Wait()
	var b [1]byte
	if _, err := files[1].ReadAt(b[:], 0); err != nil || int(b[0]) != rounds*len(files) {
		t.Errorf("%d increments under the lock make %d, %v", rounds*len(files), b[0], err)
	}
}

func increment(f *os.File) error {
	var b [1]byte
	f.ReadAt(b[:], 0) // empty at first
	b[0]++
	_, err := f.WriteAt(b[:], 0)
	return err
}

// lockOfDead kills the machine that holds a lock: another one gets it within its session's life.
func lockOfDead(t *testing.T, c *colony) {
	holder := c.other(c.leader(c.machines[0]))
	waiter := c.other(holder)
	files := openOn(t, "held", holder, waiter)
	check(t, flock(files[0], true))
	holder.kill()
	took := c.until(40*time.Second, "the lock of a dead machine", func() bool {
		err := flock(files[1], true)
		if err != nil && !errors.Is(err, unix.EAGAIN) && !errors.Is(err, syscall.EIO) {
			t.Fatal(err)
		}
		return err == nil
	})
	t.Logf("the lock of a killed machine was free after %s", took.Round(100*time.Millisecond))
	holder.start()
	if _, err := os.Stat(filepath.Join(holder.mount, "held")); err != nil {
		t.Errorf("the mount did not come back with its daemon: %v", err)
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
