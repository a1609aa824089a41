package uring_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	gofuse "github.com/hanwen/go-fuse/v2/fuse"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/honeyant/honeyant/frontend/fuse/uring"
)

// gate is a file system whose root has a file of any name. LOOKUP of a name that begins with "wait" takes until the gate is
// opened, the request is interrupted, or the connection is gone; of one that begins with "work" it takes a CPU for workTime.
type gate struct {
	gofuse.RawFileSystem

	gone chan struct{}

	mu          sync.Mutex
	cond        *sync.Cond
	open        bool
	waiting     int
	interrupted int
	locked      bool
	unmounted   bool
	workers     map[int]int // LOOKUPs of "work" by the thread that answered
}

const workTime = 300 * time.Microsecond

func newGate() *gate {
	g := &gate{RawFileSystem: gofuse.NewDefaultRawFileSystem(), gone: make(chan struct{}), workers: map[int]int{}}
	g.cond = sync.NewCond(&g.mu)
	return g
}

// change changes what others wait for.
func (g *gate) change(fn func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	fn()
	g.cond.Broadcast()
}

// until waits for a condition, but no longer than a hung test should.
func (g *gate) until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	late := false
	timer := time.AfterFunc(20*time.Second, func() { g.change(func() { late = true }) })
	defer timer.Stop()
	g.mu.Lock()
	defer g.mu.Unlock()
	for !ok() {
		if late {
			t.Errorf("in vain: %s (%d waiting)", what, g.waiting)
			return
		}
		g.cond.Wait()
	}
}

// pass waits for the gate: OK, or EINTR.
func (g *gate) pass(cancel <-chan struct{}) gofuse.Status {
	ended := make(chan struct{})
	over := make(chan struct{})
	signalled := false
	go func() {
		defer close(over)
		select {
		case <-cancel:
			g.change(func() { signalled = true; g.interrupted++ })
		case <-g.gone:
			g.change(func() { signalled = true })
		case <-ended:
		}
	}()
	g.mu.Lock()
	g.waiting++
	g.cond.Broadcast()
	for !g.open && !signalled {
		g.cond.Wait()
	}
	g.waiting--
	g.cond.Broadcast()
	status := gofuse.OK
	if !g.open {
		status = gofuse.EINTR
	}
	g.mu.Unlock()
	close(ended)
	<-over
	return status
}

func (g *gate) Lookup(cancel <-chan struct{}, h *gofuse.InHeader, name string, out *gofuse.EntryOut) gofuse.Status {
	if strings.HasPrefix(name, "wait") {
		if status := g.pass(cancel); status != gofuse.OK {
			return status
		}
	}
	if strings.HasPrefix(name, "work") {
		for began := time.Now(); time.Since(began) < workTime; {
		}
		g.change(func() { g.workers[unix.Gettid()]++ })
	}
	out.NodeId, out.Attr = 2, gofuse.Attr{Ino: 2, Mode: syscall.S_IFREG | 0o666, Nlink: 1, Size: 1 << 30}
	return gofuse.OK
}

func (g *gate) GetAttr(_ <-chan struct{}, in *gofuse.GetAttrIn, out *gofuse.AttrOut) gofuse.Status {
	out.Attr = gofuse.Attr{Ino: in.NodeId, Mode: syscall.S_IFREG | 0o666, Nlink: 1, Size: 1 << 30}
	if in.NodeId == 1 {
		out.Attr.Mode, out.Attr.Size = syscall.S_IFDIR|0o777, 0
	}
	return gofuse.OK
}

func (g *gate) GetXAttr(_ <-chan struct{}, _ *gofuse.InHeader, name string, dest []byte) (uint32, gofuse.Status) {
	if strings.HasPrefix(name, "security.") {
		return 0, gofuse.ENODATA
	}
	if len(dest) < len(name) {
		return uint32(len(name)), gofuse.ERANGE
	}
	clear(dest)
	return uint32(copy(dest, name)), gofuse.OK // says the name once more: the answer must not overwrite it
}

func (g *gate) Open(<-chan struct{}, *gofuse.OpenIn, *gofuse.OpenOut) gofuse.Status { return gofuse.OK }

func (g *gate) Read(_ <-chan struct{}, in *gofuse.ReadIn, buf []byte) (gofuse.ReadResult, gofuse.Status) {
	for i := range buf {
		buf[i] = pattern(int64(in.Offset) + int64(i))
	}
	return gofuse.ReadResultData(buf), gofuse.OK
}

func pattern(offset int64) byte { return byte(offset ^ offset>>8 ^ offset>>16) }

func (g *gate) Write(_ <-chan struct{}, in *gofuse.WriteIn, data []byte) (uint32, gofuse.Status) {
	for i, b := range data {
		if b != pattern(int64(in.Offset)+int64(i)) {
			return 0, gofuse.EIO
		}
	}
	return uint32(len(data)), gofuse.OK
}

// SetLkw waits for the one lock there is.
func (g *gate) SetLkw(<-chan struct{}, *gofuse.LkIn) gofuse.Status {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.waiting++
	g.cond.Broadcast()
	for g.locked && !g.open {
		g.cond.Wait()
	}
	g.waiting--
	g.locked = true
	return gofuse.OK
}

func (g *gate) SetLk(_ <-chan struct{}, in *gofuse.LkIn) gofuse.Status {
	if in.Lk.Typ == syscall.F_UNLCK {
		g.change(func() { g.locked = false })
	}
	return gofuse.OK
}

func (g *gate) OnUnmount() { g.change(func() { g.unmounted = true }) }

// mount serves g; the mount is taken away, and nothing may be left, when the test ends.
func mount(t *testing.T, g *gate) (path string, layout uring.Layout, server *uring.Server) {
	t.Helper()
	if testing.Short() {
		t.Skip("mounts are left out of short runs: make fuse runs them")
	}
	if os.Geteuid() != 0 {
		t.Skip("needs root to mount")
	}
	if s := uring.Look(); !s.Kernel || s.Rings != nil {
		t.Skipf("needs FUSE over io_uring: %+v", s)
	}
	if err := uring.SwitchOn(); err != nil {
		t.Fatal(err)
	}
	path = t.TempDir()
	layout, err := uring.Fit(8 << 20)
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	data := fmt.Sprintf("fd=%d,rootmode=40000,user_id=0,group_id=0,max_read=%d", fd, layout.Payload)
	if err := unix.Mount("gate", path, "fuse.gate", 0, data); err != nil {
		t.Fatal(err)
	}
	var lines bytes.Buffer
	server, err = uring.New(uring.Options{
		FD: fd, FS: g, Layout: layout, Gone: func() { close(g.gone) },
		Protocol: &gofuse.MountOptions{MaxWrite: layout.Payload, EnableLocks: true, MaxBackground: 16},
		Log:      slog.New(slog.NewTextHandler(&lines, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); server.Serve() }()
	t.Cleanup(func() {
		_ = unix.Unmount(path, unix.MNT_FORCE|unix.MNT_DETACH) // the test may have done it
		select {
		case <-done:
		case <-time.After(20 * time.Second):
			t.Fatal("Serve goes on after the end of the connection")
		}
		g.until(t, "OnUnmount", func() bool { return g.unmounted })
		if lines.Len() > 0 {
			t.Errorf("logged: %s", lines.String())
		}
		goleak.VerifyNone(t)
	})
	return path, layout, server
}

// onCPU runs fn on a thread of its own that stays on one CPU.
func onCPU(t testing.TB, cpu int, fn func()) {
	var set unix.CPUSet
	set.Set(cpu)
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		t.Error(err)
	}
	fn()
}

func at(path string, format string, args ...any) string {
	return filepath.Join(path, fmt.Sprintf(format, args...))
}
