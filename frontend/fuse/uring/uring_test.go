package uring_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// parallel runs n calls at once, all on the threads of one CPU, and returns what they said.
func parallel(t testing.TB, cpu, n int, call func(i int) error) (wait func() []error) {
	t.Helper()
	all := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			runtime.LockOSThread() // the thread ends with the goroutine
			onCPU(t, cpu, func() { all[i] = call(i) })
		})
	}
	return func() []error { wg.Wait(); return all }
}

func stat(path string) error { var st unix.Stat_t; return unix.Stat(path, &st) }

func firstError(all []error) error { return errors.Join(all...) }

// TestBlockedRequestsHinderNobody: as many requests of one CPU block as have room but one, in one burst, and another one is
// answered (U1).
func TestBlockedRequestsHinderNobody(t *testing.T) {
	g := newGate()
	path, layout, server := mount(t, g)
	n := layout.Depth - 1
	wait := parallel(t, 0, n, func(i int) error { return stat(at(path, "wait%d", i)) })
	g.until(t, "all are blocked", func() bool { return g.waiting == n })
	if err := firstError(parallel(t, 0, 1, func(int) error { return stat(at(path, "free")) })()); err != nil {
		t.Error(err)
	}
	g.change(func() { g.open = true })
	if err := firstError(wait()); err != nil {
		t.Error(err)
	}
	if got := server.Threads(); got > 2*layout.Depth {
		t.Errorf("%d threads for at most %d requests", got, 2*layout.Depth)
	}
}

// TestWorkIsDoneOnTheSpot: an answer that takes long because the CPU has so much to do waits for nobody, and goes on being given by
// the thread that leads: handing it over would only add to the work.
func TestWorkIsDoneOnTheSpot(t *testing.T) {
	g := newGate()
	path, _, _ := mount(t, g)
	const n = 200
	if err := firstError(parallel(t, 0, 1, func(int) error {
		for i := range n {
			if err := stat(at(path, "work%d", i)); err != nil {
				return err
			}
		}
		return nil
	})()); err != nil {
		t.Error(err)
	}
	most := 0
	g.change(func() {
		for _, times := range g.workers {
			most = max(most, times)
		}
	})
	if most < n*3/4 {
		t.Errorf("of %d answers at most %d by one thread: %v", n, most, g.workers)
	}
}

// TestMoreRequestsThanRoom: what finds no room waits and is answered later.
func TestMoreRequestsThanRoom(t *testing.T) {
	g := newGate()
	path, layout, server := mount(t, g)
	n := 3 * layout.Depth
	wait := parallel(t, 0, n, func(i int) error { return stat(at(path, "wait%d", i)) })
	g.until(t, "the queue is full", func() bool { return g.waiting == layout.Depth })
	g.change(func() { g.open = true })
	if err := firstError(wait()); err != nil {
		t.Error(err)
	}
	if got := server.Threads(); got > 2*layout.Depth {
		t.Errorf("%d threads, want at most %d", got, 2*layout.Depth)
	}
}

// TestUnlockGetsThrough: more programs of one CPU wait for a lock than there is room. Some are refused, the others get it
// one after the other (U3).
func TestUnlockGetsThrough(t *testing.T) {
	g := newGate()
	path, layout, _ := mount(t, g)
	n := 2 * layout.Depth
	g.change(func() { g.locked = true })
	lock := unix.Flock_t{Type: unix.F_WRLCK, Len: 1}
	unlock := unix.Flock_t{Type: unix.F_UNLCK, Len: 1}
	wait := parallel(t, 0, n, func(int) error {
		fd, err := unix.Open(at(path, "f"), unix.O_RDWR, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		if err := unix.FcntlFlock(uintptr(fd), unix.F_OFD_SETLKW, &lock); err != nil {
			return err
		}
		return unix.FcntlFlock(uintptr(fd), unix.F_OFD_SETLK, &unlock)
	})
	most := layout.Depth * 3 / 4
	g.until(t, "many wait", func() bool { return g.waiting == most })
	g.change(func() { g.locked = false })
	got := 0
	for _, err := range wait() {
		switch {
		case err == nil:
			got++
		case err != unix.ENOLCK:
			t.Error(err)
		}
	}
	if got < most {
		t.Errorf("%d got the lock, want at least %d", got, most)
	}
}

// TestInterrupt: a signal to the program reaches the request.
func TestInterrupt(t *testing.T) {
	g := newGate()
	path, _, _ := mount(t, g)
	cmd := exec.Command("stat", at(path, "wait"))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	g.until(t, "the program waits", func() bool { return g.waiting == 1 })
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	g.until(t, "the request hears of the signal", func() bool { return g.interrupted == 1 && g.waiting == 0 })
	if err := cmd.Wait(); err == nil {
		t.Error("the program goes on")
	}
}

// TestAbort: an aborted connection ends the calls under way, and the server (U4).
func TestAbort(t *testing.T) {
	g := newGate()
	path, _, _ := mount(t, g)
	wait := parallel(t, 1%runtime.NumCPU(), 8, func(i int) error { return stat(at(path, "wait%d", i)) })
	g.until(t, "all are blocked", func() bool { return g.waiting == 8 })
	if err := unix.Unmount(path, unix.MNT_FORCE|unix.MNT_DETACH); err != nil {
		t.Fatal(err)
	}
	for _, err := range wait() {
		if err != unix.ECONNABORTED && err != unix.ENOTCONN {
			t.Errorf("a call under way: %v", err)
		}
	}
}

// TestData: contents and names arrive as they left, also where request and answer share memory (U5).
func TestData(t *testing.T) {
	g := newGate()
	path, layout, _ := mount(t, g)
	for _, size := range []int{1, 4095, 4096, 4097, layout.Payload, 3*layout.Payload + 5} {
		fd, err := unix.Open(at(path, "f"), unix.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		const offset = 12345
		want := make([]byte, size)
		for i := range want {
			want[i] = pattern(offset + int64(i))
		}
		if n, err := unix.Pwrite(fd, want, offset); n != size || err != nil {
			t.Errorf("write of %d: %d, %v", size, n, err)
		}
		got := make([]byte, size)
		if n, err := unix.Pread(fd, got, offset); n != size || err != nil || !bytes.Equal(got, want) {
			t.Errorf("read of %d: %d, %v, or other bytes", size, n, err)
		}
		if err := unix.Close(fd); err != nil {
			t.Error(err)
		}
	}
	buf := make([]byte, 256)
	name := "user.a-name-that-is-its-own-value"
	if n, err := unix.Getxattr(at(path, "f"), name, buf); err != nil || string(buf[:n]) != name {
		t.Errorf("getxattr: %q, %v", buf[:max(n, 0)], err)
	}
}
