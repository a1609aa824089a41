package posix

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"

	"golang.org/x/sys/unix"
)

// Users of the cases. Nobody else needs to know them.
const (
	alice = 65501
	bob   = 65502
	carol = 65503
	staff = 65510
	guild = 65511
)

// kinds of directory entries.
type kind string

const (
	file    kind = "file"
	dir     kind = "directory"
	fifo    kind = "fifo"
	socket  kind = "socket"
	block   kind = "block device"
	char    kind = "character device"
	symlink kind = "symlink"
)

// everyKind lists what can be made: devices only by root.
func everyKind() []kind {
	all := []kind{file, dir, fifo, socket, symlink}
	if os.Geteuid() == 0 {
		all = append(all, block, char)
	}
	return all
}

func (k kind) mode() uint32 {
	return map[kind]uint32{
		file: unix.S_IFREG, dir: unix.S_IFDIR, fifo: unix.S_IFIFO, socket: unix.S_IFSOCK, block: unix.S_IFBLK,
		char: unix.S_IFCHR, symlink: unix.S_IFLNK,
	}[k]
}

// create makes one of a kind.
func create(k kind, path string, mode uint32) error {
	switch k {
	case file:
		fd, err := unix.Open(path, unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY, mode)
		if err != nil {
			return err
		}
		return unix.Close(fd)
	case dir:
		return unix.Mkdir(path, mode)
	case symlink:
		return unix.Symlink("nowhere", path)
	}
	return unix.Mknod(path, k.mode()|mode, int(unix.Mkdev(1, 7)))
}

// remove takes one away.
func remove(k kind, path string) error {
	if k == dir {
		return unix.Rmdir(path)
	}
	return unix.Unlink(path)
}

// make makes one of a kind in the case's directory and gives its path.
func (c *check) make(k kind, name string, mode uint32) string {
	c.Helper()
	p := c.at(name)
	c.ok(create(k, p, mode), "make ", k, " ", name)
	if k != symlink {
		c.ok(unix.Chmod(p, mode), "chmod ", name)
	}
	return p
}

// write makes a file with content.
func (c *check) write(name, content string, mode uint32) string {
	c.Helper()
	p := c.at(name)
	c.ok(os.WriteFile(p, []byte(content), 0o600), "write ", name)
	c.ok(unix.Chmod(p, mode), "chmod ", name)
	return p
}

// read is a file's content.
func (c *check) read(path string) string {
	c.Helper()
	raw, err := os.ReadFile(path)
	c.ok(err, "read ", path)
	return string(raw)
}

// give changes the owner.
func (c *check) give(path string, uid, gid int) {
	c.Helper()
	c.ok(unix.Lchown(path, uid, gid), "chown ", path)
}

func (c *check) lstat(path string) unix.Stat_t {
	c.Helper()
	var st unix.Stat_t
	c.ok(unix.Lstat(path, &st), "lstat ", path)
	return st
}

func (c *check) fstat(fd int) unix.Stat_t {
	c.Helper()
	var st unix.Stat_t
	c.ok(unix.Fstat(fd, &st), "fstat")
	return st
}

func (c *check) missing(path string) {
	c.Helper()
	var st unix.Stat_t
	c.want(unix.ENOENT, unix.Lstat(path, &st), "lstat ", path)
}

// open gives a descriptor that is closed at the end of the case.
func (c *check) open(path string, flags int, mode uint32) int {
	c.Helper()
	fd, err := unix.Open(path, flags|unix.O_CLOEXEC, mode)
	c.ok(err, "open ", path)
	c.Cleanup(func() { _ = unix.Close(fd) }) // cases may have closed it
	return fd
}

// try opens and closes.
func try(path string, flags int) error {
	fd, err := unix.Open(path, flags|unix.O_CLOEXEC|unix.O_NONBLOCK, 0o644)
	if err != nil {
		return err
	}
	return unix.Close(fd)
}

// as runs fn with another user's identity.
func (c *check) as(uid, gid int, groups []int, fn func()) {
	c.Helper()
	c.thread(func() {
		setGroups(groups)
		mustRaw(unix.SYS_SETRESGID, uintptr(gid), uintptr(gid), uintptr(gid))
		mustRaw(unix.SYS_SETRESUID, uintptr(uid), uintptr(uid), uintptr(uid))
		fn()
	})
}

// withUmask runs fn under a umask.
func (c *check) withUmask(mask int, fn func()) {
	c.Helper()
	c.thread(func() {
		c.ok(unix.Unshare(unix.CLONE_FS), "unshare")
		unix.Umask(mask)
		fn()
	})
}

// elsewhere runs fn with a file table of its own: what it locks belongs to somebody else. It must
// use package unix only.
func (c *check) elsewhere(fn func()) {
	c.Helper()
	c.thread(func() {
		c.ok(unix.Unshare(unix.CLONE_FILES), "unshare")
		fn()
	})
}

// thread runs fn on a thread that ends with it, so that nothing else inherits what it changes.
func (c *check) thread(fn func()) {
	c.Helper()
	done := make(chan struct{})
	var run func()
	run = func() {
		runtime.LockOSThread() // never unlocked: the runtime ends the thread
		if unix.Gettid() == unix.Getpid() {
			// It can not end the main one, which would keep the changed state, a second file table among it, for ever.
			go run() // on another one, since this one is taken
			<-done
			runtime.UnlockOSThread()
			return
		}
		defer close(done)
		fn()
	}
	go run()
	<-done
	if c.Failed() {
		c.T.FailNow()
	}
	if c.Skipped() {
		c.T.SkipNow()
	}
}

// later waits until the file system's clock has passed the times of path, and gives its attributes.
func (c *check) later(path string) unix.Stat_t {
	c.Helper()
	st := c.lstat(path)
	latest := st.Ctim
	if after(st.Mtim, latest) {
		latest = st.Mtim
	}
	probe := filepath.Join(filepath.Dir(c.dir), "clock-probe") // not where somebody looks at times
	for {
		c.ok(os.WriteFile(probe, []byte("x"), 0o600), "clock probe")
		now := c.lstat(probe)
		c.ok(unix.Unlink(probe), "clock probe")
		if after(now.Ctim, latest) {
			return st
		}
	}
}

func after(a, b unix.Timespec) bool { return a.Sec > b.Sec || a.Sec == b.Sec && a.Nsec > b.Nsec }

// touched checks which times a call changed.
func (c *check) touched(path string, before unix.Stat_t, mtime, ctime bool, what string) {
	c.Helper()
	now := c.lstat(path)
	equal(c, after(now.Mtim, before.Mtim), mtime, what, ": mtime of ", path, " changed")
	equal(c, after(now.Ctim, before.Ctim), ctime, what, ": ctime of ", path, " changed")
}

// program finds an executable or leaves the case out.
func (c *check) program(name string) string {
	c.Helper()
	p, err := exec.LookPath(name)
	if err != nil {
		c.T.Skipf("no %s here", name)
	}
	return p
}
