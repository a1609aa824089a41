package fuse_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/frontend/fuse"
	"github.com/honeyant/honeyant/volume/volumetest"
)

func mounted(t *testing.T, path string) bool {
	t.Helper()
	raw, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Contains(string(raw), " "+path+" ")
}

// within fails if fn takes longer.
func within(t *testing.T, limit time.Duration, what string, fn func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		fn()
	}()
	select {
	case <-done:
	case <-time.After(limit):
		t.Fatalf("%s: not within %v", what, limit)
	}
}

func TestDeadMountIsTakenAway(t *testing.T) {
	d := serve(t, 1)
	d.kill()
	// Over io_uring the kernel goes on taking rings apart after the process is gone.
	within(t, 10*time.Second, "the end of the connection", func() {
		_, err := os.Stat(d.paths[0])
		for ; errors.Is(err, unix.ECONNABORTED) || errors.Is(err, unix.ECANCELED); _, err = os.Stat(d.paths[0]) {
		}
		if !errors.Is(err, unix.ENOTCONN) {
			t.Errorf("stat of a dead mount: %v, want ENOTCONN", err)
		}
	})
	d.start()
	if err := os.WriteFile(filepath.Join(d.paths[0], "f"), []byte("alive"), 0o644); err != nil {
		t.Fatal(err)
	}
	d.kill()
	if err := fuse.Unmount(context.Background(), d.paths[0]); err != nil {
		t.Fatalf("unmount of a dead mount: %v", err)
	}
	if mounted(t, d.paths[0]) {
		t.Error("still mounted")
	}
	if err := fuse.Unmount(context.Background(), d.paths[0]); honeyant.KindOf(err) != honeyant.NotExist {
		t.Errorf("second unmount: %v, want NotExist", err)
	}
}

// TestKilledDaemonLetsGo: a call under way ends when the daemon is killed.
func TestKilledDaemonLetsGo(t *testing.T) {
	d := serve(t, 1)
	if err := os.WriteFile(filepath.Join(d.paths[0], "f"), []byte("content"), 0o644); err != nil {
		t.Fatal(err)
	}
	d.ask("cut") // no quorum: the call waits
	waits := make(chan error)
	go func() { waits <- os.Mkdir(filepath.Join(d.paths[0], "d"), 0o755) }()
	within(t, 10*time.Second, "the request", func() {
		for d.ask("inuse") == "0 0 0" {
		}
	})
	d.kill()
	within(t, 10*time.Second, "the call under way", func() {
		if err := <-waits; err == nil {
			t.Error("it succeeds")
		}
	})
}

func TestUnmountWhileFilesAreOpen(t *testing.T) {
	d := serve(t, 1)
	p := filepath.Join(d.paths[0], "f")
	if err := os.WriteFile(p, []byte("content"), 0o644); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Open(p, unix.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	within(t, 10*time.Second, "unmount", func() {
		if err := fuse.Unmount(context.Background(), d.paths[0]); err != nil {
			t.Error(err)
		}
	})
	if mounted(t, d.paths[0]) {
		t.Error("still mounted")
	}
	buf := make([]byte, 16)
	if n, err := unix.Pread(fd, buf, 0); err != nil || string(buf[:n]) != "content" {
		t.Errorf("read after a lazy unmount: %q, %v", buf[:max(n, 0)], err)
	}
}

// stopped waits until every thread of a process stands still.
func stopped(t *testing.T, pid int) {
	for running := true; running; {
		running = false
		tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
		if err != nil || len(tasks) == 0 {
			t.Errorf("threads of %d: %v", pid, err)
			return
		}
		for _, task := range tasks {
			raw, err := os.ReadFile(task)
			_, state, _ := strings.Cut(string(raw), ") ")
			running = running || err == nil && !strings.HasPrefix(state, "T")
		}
	}
}

func TestUnmountOfAHungDaemon(t *testing.T) {
	d := serve(t, 1)
	fd, err := unix.Open(filepath.Join(d.paths[0], "f"), unix.O_CREAT|unix.O_RDWR, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := d.cmd.Process.Signal(unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	within(t, 10*time.Second, "stopping the daemon", func() { stopped(t, d.cmd.Process.Pid) })
	hung := make(chan error, 1)
	go func() {
		var st unix.Stat_t
		hung <- unix.Fstat(fd, &st)
	}()
	ctx := t.Context()
	within(t, 30*time.Second, "unmount", func() {
		if err := fuse.Unmount(ctx, d.paths[0]); err != nil {
			t.Error(err)
		}
	})
	if mounted(t, d.paths[0]) {
		t.Error("still mounted")
	}
	proceed := func() { _ = d.cmd.Process.Signal(unix.SIGCONT) } // so that it can end
	if transport() == fuse.TransportURing {
		proceed() // until then a request is with the kernel's half of the stopped thread, out of reach of an abort
	}
	within(t, 10*time.Second, "the call that hung", func() {
		if err := <-hung; err == nil {
			t.Error("the call that hung succeeds")
		}
	})
	proceed()
}

func TestMountRefuses(t *testing.T) {
	needFuse(t)
	cluster := volumetest.NewCluster(t, 1, 1<<30)
	fs := fuse.New(cluster.Open(t, nil), fuse.Options{})
	full := t.TempDir()
	if err := os.WriteFile(filepath.Join(full, "precious"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	d := serve(t, 1)
	for _, c := range []struct {
		name, path string
		kind       honeyant.Kind
		says       string
	}{
		{"a directory that holds something", full, honeyant.NotEmpty, "precious"},
		{"what is mounted", d.paths[0], honeyant.Exist, "umount"},
		{"nothing", filepath.Join(full, "none"), honeyant.NotExist, ""},
		{"a file", filepath.Join(full, "precious"), honeyant.NotDir, ""},
		{"the root", "/", honeyant.Invalid, "root"},
	} {
		_, err := fuse.NewMount(t.Context(), fs, c.path, fuse.MountOptions{Transport: transport()})
		if honeyant.KindOf(err) != c.kind || !strings.Contains(fmt.Sprint(err), c.says) {
			t.Errorf("mount over %s: %v, want %v with %q", c.name, err, c.kind, c.says)
		}
	}
}

func TestMountInThisProcess(t *testing.T) {
	needFuse(t)
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	t.Run("run", mountInThisProcess) // so that the volume is closed when goroutines are counted
}

func mountInThisProcess(t *testing.T) {
	cluster := volumetest.NewCluster(t, 1, 1<<30)
	fs := fuse.New(cluster.Open(t, nil), fuse.Options{})
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "hidden"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	m, err := fuse.NewMount(t.Context(), fs, dir, fuse.MountOptions{Transport: transport(), Force: true, ReadAheadKB: 2048})
	if err != nil {
		t.Fatal(err)
	}
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(fmt.Sprintf("/sys/class/bdi/%d:%d/read_ahead_kb", unix.Major(st.Dev), unix.Minor(st.Dev)))
	if err == nil && strings.TrimSpace(string(raw)) != "2048" {
		t.Errorf("read-ahead is %s KiB, want 2048", bytes.TrimSpace(raw))
	}
	fd, err := unix.Open(filepath.Join(dir, "f"), unix.O_CREAT|unix.O_RDWR, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	if files, _, _ := fs.InUse(); files != 1 {
		t.Errorf("%d files in use, want 1", files)
	}
	if _, err := unix.Write(fd, []byte("kept")); err != nil {
		t.Fatal(err)
	}
	within(t, 20*time.Second, "close with an open file", func() {
		for range 2 {
			if err := m.Close(); err != nil {
				t.Error(err)
			}
		}
	})
	if mounted(t, dir) {
		t.Error("still mounted")
	}
	if _, err := unix.Pread(fd, make([]byte, 4), 0); err == nil {
		t.Error("a read after the end succeeds")
	}
	_ = unix.Close(fd) // its file system is gone
	if files, dirs, requests := fs.InUse(); files+dirs+requests != 0 {
		t.Errorf("%d files, %d directories, %d requests are left", files, dirs, requests)
	}
	// What was written is there for others.
	v := cluster.Open(t, nil)
	a, err := v.Lookup(t.Context(), honeyant.RootIno, "f")
	if err != nil || a.Size != 4 {
		t.Errorf("the file has %d bytes, %v; want 4", a.Size, err)
	}
}

// A daemon that starts while there is no quorum mounts all the same.
func TestMountWithoutQuorum(t *testing.T) {
	needFuse(t)
	cluster := volumetest.NewCluster(t, 1, 1<<30)
	fs := fuse.New(cluster.Open(t, nil), fuse.Options{Deadline: 5 * time.Second})
	cluster.CutQuorum(true)
	within(t, 15*time.Second, "mount and unmount", func() {
		m, err := fuse.NewMount(t.Context(), fs, t.TempDir(), fuse.MountOptions{Transport: transport()})
		if err != nil {
			t.Error(err)
			return
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	cluster.CutQuorum(false)
}

func TestUnreachableCluster(t *testing.T) {
	d := serve(t, 1)
	p := filepath.Join(d.paths[0], "f")
	if err := os.WriteFile(p, []byte("before"), 0o644); err != nil {
		t.Fatal(err)
	}
	d.ask("cut")
	within(t, 5*time.Second, "mounting over it", func() {
		_, err := fuse.NewMount(t.Context(), fuse.New(nil, fuse.Options{}), d.paths[0], fuse.MountOptions{Transport: transport()})
		if honeyant.KindOf(err) != honeyant.Exist || strings.Contains(err.Error(), "not answer") {
			t.Errorf("mounting over a live mount without a quorum: %v", err)
		}
	})
	within(t, 10*time.Second, "stat", func() {
		if _, err := os.Stat(p); !errors.Is(err, unix.EIO) {
			t.Errorf("stat without a quorum: %v, want EIO", err)
		}
	})
	// A program that is killed meanwhile does not wait for the deadline.
	cmd := exec.Command("stat", p)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(300*time.Millisecond, func() { _ = cmd.Process.Kill() }) // may have ended
	within(t, 4*time.Second, "end of a killed program", func() { _ = cmd.Wait() })
	d.ask("heal")
	within(t, 10*time.Second, "read", func() {
		raw, err := os.ReadFile(p)
		if err != nil || string(raw) != "before" {
			t.Errorf("read after the quorum is back: %q, %v", raw, err)
		}
	})
}

// TestTwoMounts checks what two nodes promise each other.
func TestTwoMounts(t *testing.T) {
	d := serve(t, 2)
	a, b := d.paths[0], d.paths[1]
	t.Run("close to open", func(t *testing.T) {
		for i := range 100 {
			text := fmt.Sprintf("version %d %s", i, strings.Repeat("x", i*100))
			if err := os.WriteFile(a+"/f", []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			raw, err := os.ReadFile(b + "/f")
			if err != nil || string(raw) != text {
				t.Fatalf("round %d: %d bytes, %v; want %d", i, len(raw), err, len(text))
			}
			a, b = b, a
		}
	})
	t.Run("an open file sees what another node synced", func(t *testing.T) {
		fd, err := unix.Open(b+"/g", unix.O_CREAT|unix.O_RDWR, 0o644)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		buf := make([]byte, 100)
		for i := range 100 {
			text := fmt.Sprintf("%03d", i)
			w, err := unix.Open(a+"/g", unix.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := unix.Pwrite(w, []byte(text), 0); err != nil {
				t.Fatal(err)
			}
			if err := unix.Fsync(w); err != nil {
				t.Fatal(err)
			}
			n, err := unix.Pread(fd, buf, 0)
			if err != nil || string(buf[:n]) != text {
				t.Fatalf("round %d: %q, %v", i, buf[:max(n, 0)], err)
			}
			if err := unix.Close(w); err != nil {
				t.Fatal(err)
			}
		}
	})
	t.Run("names", func(t *testing.T) {
		for i := range 50 {
			one, two := fmt.Sprintf("/n%d", i), fmt.Sprintf("/m%d", i)
			if err := unix.Mkdir(a+one, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := unix.Mkdir(b+one, 0o755); err != unix.EEXIST {
				t.Fatalf("mkdir of what another node made: %v", err)
			}
			if err := unix.Rename(b+one, b+two); err != nil {
				t.Fatal(err)
			}
			if _, err := os.Stat(a + one); !os.IsNotExist(err) {
				t.Fatalf("the old name at the other node: %v", err)
			}
			if err := unix.Rmdir(a + two); err != nil {
				t.Fatal(err)
			}
			if _, err := os.Stat(b + two); !os.IsNotExist(err) {
				t.Fatalf("a removed name at the other node: %v", err)
			}
		}
	})
	t.Run("exclusive create has one winner", func(t *testing.T) {
		for i := range 50 {
			won := make(chan string, 2)
			var both sync.WaitGroup
			for _, dir := range []string{a, b} {
				both.Go(func() {
					fd, err := unix.Open(fmt.Sprintf("%s/lock%d", dir, i), unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY, 0o644)
					if err == nil {
						won <- dir
						_ = unix.Close(fd) // nothing was written
					} else if err != unix.EEXIST {
						t.Error(err)
					}
				})
			}
			both.Wait()
			if len(won) != 1 {
				t.Fatalf("round %d has %d winners", i, len(won))
			}
		}
	})
	t.Run("appends do not overwrite each other", func(t *testing.T) {
		const each = 100
		var both sync.WaitGroup
		for w, dir := range []string{a, b, a, b} {
			both.Go(func() {
				fd, err := unix.Open(dir+"/log", unix.O_CREAT|unix.O_WRONLY|unix.O_APPEND, 0o644)
				if err != nil {
					t.Error(err)
					return
				}
				defer unix.Close(fd)
				for i := range each {
					if _, err := unix.Write(fd, fmt.Appendf(nil, "writer %d line %03d\n", w, i)); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		both.Wait()
		raw, err := os.ReadFile(b + "/log")
		if err != nil {
			t.Fatal(err)
		}
		seen := map[string]int{}
		for line := range strings.Lines(string(raw)) {
			seen[line]++
		}
		for w := range 4 {
			for i := range each {
				if n := seen[fmt.Sprintf("writer %d line %03d\n", w, i)]; n != 1 {
					t.Fatalf("line %d of writer %d is there %d times", i, w, n)
				}
			}
		}
	})
	t.Run("locks", func(t *testing.T) {
		fa, err := unix.Open(a+"/lk", unix.O_CREAT|unix.O_RDWR, 0o644)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fa)
		fb, err := unix.Open(b+"/lk", unix.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fb)
		if err := unix.Flock(fa, unix.LOCK_EX); err != nil {
			t.Fatal(err)
		}
		if err := unix.Flock(fb, unix.LOCK_EX|unix.LOCK_NB); err != unix.EWOULDBLOCK {
			t.Errorf("flock held by another node: %v", err)
		}
		granted := make(chan error, 1)
		go func() { granted <- unix.Flock(fb, unix.LOCK_EX) }()
		// Written under the lock, it is there for who gets the lock next (rule 11).
		if _, err := unix.Pwrite(fa, []byte("guarded"), 0); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		if err := unix.Flock(fa, unix.LOCK_UN); err != nil {
			t.Fatal(err)
		}
		within(t, 10*time.Second, "flock at the other node", func() {
			if err := <-granted; err != nil {
				t.Error(err)
			}
		})
		t.Logf("handed over in %v", time.Since(start).Round(100*time.Microsecond))
		buf := make([]byte, 16)
		if n, err := unix.Pread(fb, buf, 0); err != nil || string(buf[:n]) != "guarded" {
			t.Errorf("read under the lock: %q, %v", buf[:max(n, 0)], err)
		}
	})
	t.Run("a counter under fcntl locks", func(t *testing.T) {
		if err := os.WriteFile(a+"/counter", []byte("00000"), 0o644); err != nil {
			t.Fatal(err)
		}
		count := func(dir string) error { return increment(dir+"/counter", 50) }
		var both sync.WaitGroup
		for _, dir := range []string{a, b} {
			both.Go(func() {
				if err := count(dir); err != nil {
					t.Error(err)
				}
			})
		}
		both.Wait()
		raw, err := os.ReadFile(a + "/counter")
		if err != nil || string(raw) != "00100" {
			t.Errorf("counter is %q, %v; want 00100", raw, err)
		}
	})
	t.Run("unlinked at one node, open at the other", func(t *testing.T) {
		if err := os.WriteFile(a+"/u", []byte("still here"), 0o644); err != nil {
			t.Fatal(err)
		}
		fd, err := unix.Open(b+"/u", unix.O_RDONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		if err := unix.Unlink(a + "/u"); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 32)
		if n, err := unix.Pread(fd, buf, 0); err != nil || string(buf[:n]) != "still here" {
			t.Errorf("read: %q, %v", buf[:max(n, 0)], err)
		}
	})
}

// increment adds one to the number in a file, n times, each under a lock.
func increment(path string, n int) error {
	fd, err := unix.Open(path, unix.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	for range n {
		lock := unix.Flock_t{Type: unix.F_WRLCK}
		if err := unix.FcntlFlock(uintptr(fd), unix.F_SETLKW, &lock); err != nil {
			return err
		}
		buf := make([]byte, 5)
		if _, err := unix.Pread(fd, buf, 0); err != nil {
			return err
		}
		var v int
		if _, err := fmt.Sscanf(string(buf), "%d", &v); err != nil {
			return fmt.Errorf("counter is %q: %w", buf, err)
		}
		if _, err := unix.Pwrite(fd, fmt.Appendf(nil, "%05d", v+1), 0); err != nil {
			return err
		}
		lock.Type = unix.F_UNLCK
		if err := unix.FcntlFlock(uintptr(fd), unix.F_SETLK, &lock); err != nil {
			return err
		}
	}
	return nil
}

// O_APPEND can be set and taken away while a file is open: each write goes where the flag of that moment says.
func TestAppendFlagChangesWhileOpen(t *testing.T) {
	name := filepath.Join(serve(t, 1).paths[0], "f")
	set := func(f *os.File, flags int) {
		t.Helper()
		if _, err := unix.FcntlInt(f.Fd(), unix.F_SETFL, flags); err != nil {
			t.Fatal(err)
		}
	}
	write := func(f *os.File, text string, off int64) {
		t.Helper()
		if n, err := unix.Pwrite(int(f.Fd()), []byte(text), off); err != nil || n != len(text) {
			t.Fatal(n, err)
		}
	}
	a, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	write(a, "0123456789", 0)
	set(a, 0)
	write(a, "ab", 2)
	b, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	set(b, unix.O_APPEND)
	write(b, "end", 0)
	got, err := os.ReadFile(name)
	if err != nil || string(got) != "01ab456789end" {
		t.Fatalf("%q, %v", got, err)
	}
}

// TestCloseWithACopyElsewhere ends a mount that lives on in the mount namespace of another process.
func TestCloseWithACopyElsewhere(t *testing.T) {
	d := serve(t, 1)
	other := exec.Command("sleep", "60")
	other.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = other.Process.Kill() // it may have ended
		_ = other.Wait()         // killed: not a success
	}()
	d.stop() // fails the test if the daemon says so
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/mountinfo", other.Process.Pid))
	if err != nil || !strings.Contains(string(raw), d.paths[0]) {
		t.Errorf("the other namespace has no copy of the mount (%v): nothing was tested", err)
	}
}
