package fuse_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/honeyant/honeyant/frontend/fuse"
)

// facts is what a stat tells, or its error.
func facts(path string) string {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return err.Error()
	}
	return fmt.Sprintf("ino %d mode %o nlink %d size %d uid %d mtime %d.%09d ctime %d.%09d", st.Ino, st.Mode, st.Nlink, st.Size, st.Uid,
		st.Mtim.Sec, st.Mtim.Nsec, st.Ctim.Sec, st.Ctim.Nsec)
}

// acl is a value of system.posix_acl_access: an extra user with some permissions.
func acl(user uint32, perm byte) []byte {
	b := []byte{2, 0, 0, 0}
	for _, e := range []struct {
		tag, perm byte
		id        uint32
	}{{1, 6, ^uint32(0)}, {2, perm, user}, {4, 4, ^uint32(0)}, {0x10, 7, ^uint32(0)}, {0x20, 4, ^uint32(0)}} {
		b = append(b, e.tag, 0, e.perm, 0, byte(e.id), byte(e.id>>8), byte(e.id>>16), byte(e.id>>24))
	}
	return b
}

func getxattr(path, name string) string {
	buf := make([]byte, 256)
	n, err := unix.Lgetxattr(path, name, buf)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%x", buf[:n])
}

// change does something random below dir, which others see at another path.
func change(r *rand.Rand, dir string) (what string, err error) {
	name := func() string {
		return filepath.Join([]string{"d1", "d2", "d1/sub"}[r.IntN(3)], fmt.Sprint("f", r.IntN(3)))
	}
	a, b := name(), name()
	pa, pb := filepath.Join(dir, a), filepath.Join(dir, b)
	switch r.IntN(12) {
	case 0:
		what, err = "create "+a, os.WriteFile(pa, make([]byte, r.IntN(9000)), 0o644)
	case 1:
		what, err = "unlink "+a, unix.Unlink(pa)
	case 2:
		what, err = "rename "+a+" "+b, unix.Rename(pa, pb)
	case 3:
		what, err = "chmod "+a, unix.Chmod(pa, uint32(0o600+r.IntN(64)))
	case 4:
		what, err = "truncate "+a, unix.Truncate(pa, int64(r.IntN(10000)))
	case 5:
		what, err = "link "+a+" "+b, unix.Link(pa, pb)
	case 6:
		what, err = "mkdir "+a, unix.Mkdir(pa, 0o755)
	case 7:
		what, err = "rmdir "+a, unix.Rmdir(pa)
	case 8:
		what, err = "symlink "+a, unix.Symlink(b, pa)
	case 9:
		what, err = "setxattr "+a, unix.Lsetxattr(pa, "user.x", []byte(fmt.Sprint(r.Uint32())), 0)
	case 10:
		what, err = "setfacl "+a, unix.Lsetxattr(pa, "system.posix_acl_access", acl(1000+r.Uint32N(5), byte(r.IntN(8))), 0)
	case 11:
		what, err = "exchange "+a+" "+b, unix.Renameat2(unix.AT_FDCWD, pa, unix.AT_FDCWD, pb, unix.RENAME_EXCHANGE)
	}
	if r.IntN(2) == 0 { // as cp -a does: the time of the last change tells nothing
		long := []unix.Timespec{{Sec: 1e9}, {Sec: 1e9}}
		for _, p := range []string{filepath.Dir(pa), filepath.Dir(pb)} {
			if e := unix.UtimesNanoAt(unix.AT_FDCWD, p, long, 0); e != nil && e != unix.ENOENT {
				err = errors.Join(err, e)
			}
		}
		what += " and times set back"
	}
	return what, err
}

var seen = []string{"d1", "d2", "d1/sub", "d1/f0", "d1/f1", "d1/f2", "d2/f0", "d2/f1", "d2/f2", "d1/sub/f0", "d1/sub/f1", "d1/sub/f2"}

func view(dir string) (all []string) {
	for _, p := range seen {
		full := filepath.Join(dir, p)
		line := p + ": " + facts(full) + " acl " + getxattr(full, "system.posix_acl_access") + " x " + getxattr(full, "user.x")
		if target, err := os.Readlink(full); err == nil {
			line += " -> " + target
		}
		if entries, err := os.ReadDir(full); err == nil {
			line += fmt.Sprint(" lists ", entries)
		}
		all = append(all, line)
	}
	return all
}

// TestKeptIsNeverStale changes through one mount and looks through all, with warm kernel caches.
func TestKeptIsNeverStale(t *testing.T) {
	for _, mode := range []struct {
		name string
		env  []string
	}{
		{"two nodes", []string{keepEnv + "=1", calmEnv + "=-1ns"}},
		{"two nodes, calm", []string{keepEnv + "=1"}},
		{"one node", []string{keepEnv + "=1", oneEnv + "=1", calmEnv + "=-1ns"}},
	} {
		t.Run(mode.name, func(t *testing.T) {
			d := serve(t, 2, mode.env...)
			for _, dir := range []string{"d1", "d2", "d1/sub"} {
				if err := os.Mkdir(filepath.Join(d.paths[0], dir), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			seed := uint64(time.Now().UnixNano())
			t.Logf("seed %d", seed)
			r := rand.New(rand.NewPCG(seed, 1))
			stale, changes := 0, 0
			end := time.Now().Add(keptTime())
			for time.Now().Before(end) && stale < 10 {
				for range r.IntN(3) { // warm
					view(d.paths[0])
					view(d.paths[1])
				}
				if r.IntN(20) == 0 && strings.HasSuffix(mode.name, "calm") {
					pause := time.Now().Add(600 * time.Millisecond)
					for time.Now().Before(pause) {
						view(d.paths[0])
						view(d.paths[1])
					}
				}
				at := r.IntN(2)
				what, err := change(r, d.paths[at])
				if err == nil {
					changes++
				}
				other, own := view(d.paths[1-at]), view(d.paths[at])
				if again := view(d.paths[1-at]); !slices.Equal(other, own) || !slices.Equal(other, again) {
					stale++
					for i := range other {
						if other[i] != own[i] || other[i] != again[i] {
							t.Errorf("after %s (%v) at mount %d:\nown   %s\nother %s\nagain %s", what, err, at+1, own[i], other[i], again[i])
						}
					}
				}
			}
			t.Logf("%d changes, %d stale, %s", changes, stale, d.ask("kept"))
		})
	}
}

func keptTime() time.Duration {
	if d, err := time.ParseDuration(os.Getenv("HONEYANT_FUSE_KEEP_TIME")); err == nil {
		return d
	}
	return 5 * time.Second
}

// TestKeptRequests counts what the kernel asks for on a warm tree.
func TestKeptRequests(t *testing.T) {
	for _, mode := range []struct {
		name string
		env  []string
	}{{"kernel", []string{keepEnv + "=1"}}, {"daemon", []string{keepEnv + "=1", noKernelEnv + "=1"}}} {
		t.Run(mode.name, func(t *testing.T) {
			d := serve(t, 1, mode.env...)
			prepare(t, d.paths[0])
			calm()
			for _, s := range steps(d.paths[0]) {
				if s.run == nil {
					continue
				}
				if s.name == "stat" || strings.HasPrefix(s.name, "open") || strings.HasPrefix(s.name, "list") || strings.HasPrefix(s.name, "stat of") {
					_ = s.run() // warm
				}
				all := d.requests(func() {
					if err := s.run(); err != nil {
						t.Fatalf("%s: %v", s.name, err)
					}
				})
				total, text := settled(all)
				t.Logf("%-32s %3d: %s", s.name, total, text)
			}
			start, n := time.Now(), 0
			for ; time.Since(start) < time.Second; n++ {
				facts(filepath.Join(d.paths[0], "a/b/small"))
			}
			t.Logf("stat: %v each, %s", time.Since(start)/time.Duration(n), d.ask("kept"))
		})
	}
}

// calm waits until what was just made is kept.
func calm() { <-time.After(700 * time.Millisecond) }

// TestKeptSurvivesCrossingRenames moves names between two directories on two mounts, in both directions, while both look.
func TestKeptSurvivesCrossingRenames(t *testing.T) {
	d := serve(t, 2, keepEnv+"=1", calmEnv+"=-1ns")
	for _, dir := range []string{"x", "y"} {
		if err := os.Mkdir(filepath.Join(d.paths[0], dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	within(t, 60*time.Second, "crossing renames", func() {
		var work sync.WaitGroup
		end := time.Now().Add(keptTime())
		for i, p := range d.paths {
			for j := range 2 {
				work.Go(func() {
					from, to := filepath.Join(p, "x"), filepath.Join(p, "y")
					if (i+j)%2 == 1 {
						from, to = to, from
					}
					name := fmt.Sprintf("n%d%d", i, j)
					if err := os.WriteFile(filepath.Join(from, name), nil, 0o644); err != nil {
						t.Error(err)
					}
					for time.Now().Before(end) {
						if err := unix.Rename(filepath.Join(from, name), filepath.Join(to, name)); err != nil {
							t.Error(err)
							return
						}
						if got := facts(filepath.Join(from, name)); got != unix.ENOENT.Error() {
							t.Errorf("after a rename the old name is there: %s", got)
							return
						}
						from, to = to, from
					}
				})
			}
			work.Go(func() {
				for time.Now().Before(end) {
					for _, n := range []string{"x/n00", "y/n00", "x/n11", "y/n11"} {
						facts(filepath.Join(p, n))
					}
				}
			})
		}
		work.Wait()
	})
	t.Log(d.ask("kept"))
}

// TestKeptBelowOtherMounts changes what the kernel keeps of directories below which others have mounted something: when names
// are expired the kernel would take that off.
func TestKeptBelowOtherMounts(t *testing.T) {
	for _, mode := range []struct {
		name string
		env  []string
	}{{"kernel", []string{keepEnv + "=1"}}, {"daemon", []string{keepEnv + "=1", noKernelEnv + "=1"}}} {
		t.Run(mode.name, func(t *testing.T) {
			d := serve(t, 2, mode.env...)
			dir := filepath.Join(d.paths[1], "a/b")
			if err := os.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := unix.Mount("tmpfs", dir, "tmpfs", 0, ""); err != nil {
				t.Fatal(err)
			}
			defer func() { _ = unix.Unmount(dir, unix.MNT_DETACH) }() // may be gone
			calm()
			facts(filepath.Join(d.paths[1], "none"))
			if err := os.WriteFile(filepath.Join(d.paths[0], "news"), nil, 0o644); err != nil {
				t.Fatal(err)
			}
			facts(filepath.Join(d.paths[1], "a"))
			there := mounted(t, dir)
			t.Logf("there: %v, %s", there, d.ask("kept"))
			if !there {
				t.Error("what was mounted below is gone")
			}
		})
	}
}

// TestKeptEndsWithTheLease cuts a node off: what it keeps is not used any more when a change elsewhere is done.
func TestKeptEndsWithTheLease(t *testing.T) {
	d := serve(t, 2, keepEnv+"=1", calmEnv+"=-1ns")
	a, b := d.paths[0], d.paths[1]
	for round := range 3 {
		name := fmt.Sprint("f", round)
		if err := os.WriteFile(filepath.Join(a, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
		old := facts(filepath.Join(b, name))
		for end := time.Now().Add(10 * time.Second); ; {
			if n, _ := settled(d.requests(func() { old = facts(filepath.Join(b, name)) })); n == 0 {
				break // the kernel keeps it
			} else if time.Now().After(end) {
				t.Fatal("the kernel keeps nothing")
			}
		}
		stop := make(chan struct{})
		var warm sync.WaitGroup
		warm.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					facts(filepath.Join(b, name))
				}
			}
		})
		d.ask("away")
		start := time.Now()
		if err := unix.Chmod(filepath.Join(a, name), 0o600); err != nil {
			t.Fatal(err)
		}
		took := time.Since(start)
		got := facts(filepath.Join(b, name))
		t.Logf("chmod took %v; then, after %v: %s", took, time.Since(start)-took, got)
		if got == old {
			t.Errorf("a node that is cut off still tells %s", got)
		}
		d.ask("back")
		close(stop)
		warm.Wait()
		for end := time.Now().Add(20 * time.Second); facts(filepath.Join(b, name)) != facts(filepath.Join(a, name)); {
			if time.Now().After(end) {
				t.Fatal("it does not come back")
			}
		}
	}
	t.Log(d.ask("kept"))
}

// TestKeptUnmount unmounts one mount while the other one recalls from it.
func TestKeptUnmount(t *testing.T) {
	d := serve(t, 2, keepEnv+"=1", calmEnv+"=-1ns")
	stop := make(chan struct{})
	var work sync.WaitGroup
	work.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			start := time.Now()
			if err := os.WriteFile(filepath.Join(d.paths[0], "f"), []byte("x"), 0o644); err != nil {
				t.Error(err)
				return
			}
			if took := time.Since(start); took > 5*time.Second {
				t.Errorf("a change took %v", took)
			}
			facts(filepath.Join(d.paths[1], "f"))
			facts(filepath.Join(d.paths[1], "none"))
		}
	})
	<-time.After(time.Second)
	within(t, 10*time.Second, "unmount", func() {
		if err := fuse.Unmount(t.Context(), d.paths[1]); err != nil {
			t.Error(err)
		}
	})
	<-time.After(time.Second)
	close(stop)
	within(t, 10*time.Second, "the other one", work.Wait)
}

// TestKeptUnderWay changes through one mount while others walk through the second one, so that answers are on their way when
// they are taken back; what the first has done is seen by the next call on the second.
func TestKeptUnderWay(t *testing.T) {
	d := serve(t, 2, keepEnv+"=1", calmEnv+"=-1ns")
	a, b := d.paths[0], d.paths[1]
	for _, dir := range []string{"d1", "d2", "d1/sub"} {
		if err := os.Mkdir(filepath.Join(a, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 2))
	stop := make(chan struct{})
	var walkers sync.WaitGroup
	for range 4 {
		walkers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					view(b)
				}
			}
		})
	}
	rounds, stale := 0, 0
	for end := time.Now().Add(keptTime()); time.Now().Before(end) && stale < 5; rounds++ {
		what, _ := change(r, a) // what fails changes nothing
		for range 3 {
			p := seen[r.IntN(len(seen))]
			other, own := facts(filepath.Join(b, p)), facts(filepath.Join(a, p))
			if other != own {
				stale++
				t.Errorf("after %s: %s\nown   %s\nother %s\nagain %s", what, p, own, other, facts(filepath.Join(b, p)))
			}
		}
	}
	close(stop)
	walkers.Wait()
	t.Logf("%d rounds, %d stale, %s", rounds, stale, d.ask("kept"))
}
