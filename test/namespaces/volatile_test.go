package namespaces_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	gofs "github.com/hanwen/go-fuse/v2/fs"
	gofuse "github.com/hanwen/go-fuse/v2/fuse"
)

// blockBytes is what a power cut keeps or loses as a whole.
const blockBytes = 4096

// volatile is a disk with a write cache: what was not flushed is lost, in any part, when the
// power is cut. It is the one file of a FUSE file system under a loop device, because this
// needs no device mapper. It can be slow, too.
type volatile struct {
	gofs.Inode
	image *os.File

	mu    sync.Mutex // guards the fields below; held during I/O: one request at a time, as a disk
	cache map[int64][]byte
	off   bool          // no power: every request fails
	slow  time.Duration // each write and flush takes so much longer
	size  int64
}

// volatile mounts the machine's disk on a volatile one, and returns it.
func (m *machine) volatile() (*volatile, error) {
	if err := m.format(); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(m.image, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	v := &volatile{image: f, cache: map[int64][]byte{}, size: int64(m.c.plan.diskMiB) << 20}
	at := filepath.Join(m.c.dir, m.name+"-block")
	if err := os.MkdirAll(at, 0o755); err != nil {
		return nil, err
	}
	root := &gofs.Inode{}
	server, err := gofs.Mount(at, root, &gofs.Options{
		OnAdd: func(ctx context.Context) {
			root.AddChild("disk", root.NewPersistentInode(ctx, v, gofs.StableAttr{Mode: syscall.S_IFREG}), true)
		},
		MountOptions: gofuse.MountOptions{MaxWrite: 256 << 10, DirectMount: true, FsName: "honeyant-test-disk"},
	})
	if err != nil {
		return nil, err
	}
	m.c.closers = append(m.c.closers, func() {
		exec.Command("umount", "-l", at).Run()
		gone := make(chan struct{})
		go func() { server.Wait(); close(gone) }()
		select {
		case <-gone:
		case <-time.After(10 * time.Second):
			m.c.t.Errorf("the disk of %s is still in use", m.name)
		}
		f.Close()
	})
	return v, attach(filepath.Join(at, "disk"), m.disk)
}

// Getattr implements gofs.NodeGetattrer.
func (v *volatile) Getattr(_ context.Context, _ gofs.FileHandle, out *gofuse.AttrOut) syscall.Errno {
	out.Mode, out.Size, out.Nlink = syscall.S_IFREG|0o600, uint64(v.size), 1
	return 0
}

// Open implements gofs.NodeOpener.
func (v *volatile) Open(context.Context, uint32) (gofs.FileHandle, uint32, syscall.Errno) {
	return nil, gofuse.FOPEN_DIRECT_IO, 0
}

// Read implements gofs.NodeReader.
func (v *volatile) Read(_ context.Context, _ gofs.FileHandle, dest []byte, off int64) (gofuse.ReadResult, syscall.Errno) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.off {
		return nil, syscall.EIO
	}
	if off >= v.size {
		return gofuse.ReadResultData(nil), 0
	}
	dest = dest[:min(int64(len(dest)), v.size-off)]
	if _, err := v.image.ReadAt(dest, off); err != nil {
		return nil, syscall.EIO
	}
	for at := off / blockBytes * blockBytes; at < off+int64(len(dest)); at += blockBytes {
		if block, ok := v.cache[at]; ok {
			from := max(at, off)
			copy(dest[from-off:], block[from-at:])
		}
	}
	return gofuse.ReadResultData(dest), 0
}

// Write implements gofs.NodeWriter.
func (v *volatile) Write(_ context.Context, _ gofs.FileHandle, data []byte, off int64) (uint32, syscall.Errno) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.wait()
	if v.off {
		return 0, syscall.EIO
	}
	for rest := data; len(rest) > 0; {
		at := off / blockBytes * blockBytes
		block, ok := v.cache[at]
		if !ok {
			block = make([]byte, blockBytes)
			if _, err := v.image.ReadAt(block, at); err != nil {
				return 0, syscall.EIO
			}
			v.cache[at] = block
		}
		n := copy(block[off-at:], rest)
		rest, off = rest[n:], off+int64(n)
	}
	return uint32(len(data)), 0
}

// Fsync implements gofs.NodeFsyncer: it is the flush of the disk's cache.
func (v *volatile) Fsync(context.Context, gofs.FileHandle, uint32) syscall.Errno {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.wait()
	if v.off {
		return syscall.EIO
	}
	return v.flush(func() bool { return true })
}

// flush writes the blocks of the cache that keep chooses; the others stay in it.
func (v *volatile) flush(keep func() bool) syscall.Errno {
	for at, block := range v.cache {
		if !keep() {
			continue
		}
		if _, err := v.image.WriteAt(block, at); err != nil {
			return syscall.EIO
		}
		delete(v.cache, at)
	}
	return 0
}

// wait is the slowness; v.mu is held.
func (v *volatile) wait() {
	if v.slow > 0 {
		<-time.After(v.slow)
	}
}

// drag makes every write and flush slower.
func (v *volatile) drag(by time.Duration) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.slow = by
}

// cut takes the power away: half of what was not flushed is lost, which half is chance. It
// returns how many blocks were.
func (v *volatile) cut(chance *rand.Rand) (lost int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.off = true
	v.flush(func() bool { return chance.IntN(2) == 0 })
	lost = len(v.cache)
	clear(v.cache)
	return lost
}

// power gives it back.
func (v *volatile) power() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.off = false
}

// black is a machine after its power is gone: the processes are dead, the kernel knows nothing
// of the disk any more.
func (m *machine) black() {
	m.c.t.Helper()
	if m.running() {
		m.kill()
	}
	at := filepath.Join(m.c.dir, m.name+"-block", "disk")
	out, err := exec.Command("losetup", "-l", "-n", "-O", "NAME,BACK-FILE").Output()
	m.c.must(err)
	m.c.must(command("umount", m.disk))
	for line := range strings.Lines(string(out)) {
		if f := strings.Fields(line); len(f) > 1 && f[1] == at {
			exec.Command("losetup", "-d", f[0]).Run() // the kernel may have done so itself
		}
	}
}

// relight mounts the disk of a black machine again, which replays its journal, and starts the daemon.
func (m *machine) relight(v *volatile) {
	m.c.t.Helper()
	v.power()
	if err := attach(filepath.Join(m.c.dir, m.name+"-block", "disk"), m.disk); err != nil {
		m.c.t.Fatal(fmt.Errorf("the local file system did not survive the power cut: %w", err))
	}
	m.launch()
}

// back waits until the mount of a restarted machine answers.
func (m *machine) back() time.Duration {
	m.c.t.Helper()
	return m.c.until(60*time.Second, "the mount of "+m.name+" to come back", func() bool {
		_, err := os.ReadDir(m.mount)
		return err == nil && mounted(m.mount)
	})
}
