package disk

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sort"

	"golang.org/x/sys/unix"

	"github.com/honeyant/honeyant"
)

// Dir is a directory of a real file system.
type Dir struct{ path string }

// OpenDir roots a Dir at path, which is made (mode 0700, with parents) if it is missing and then synced into its parent.
func OpenDir(path string) (*Dir, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, wrap("disk.OpenDir", path, err)
	}
	if _, err := os.Stat(abs); errors.Is(err, fs.ErrNotExist) {
		if err := makeDirs(abs); err != nil {
			return nil, wrap("disk.OpenDir", abs, err)
		}
	}
	st, err := os.Stat(abs)
	if err != nil {
		return nil, wrap("disk.OpenDir", abs, err)
	}
	if !st.IsDir() {
		return nil, honeyant.E("disk.OpenDir", honeyant.NotDir, abs, nil)
	}
	return &Dir{path: abs}, nil
}

// makeDirs is MkdirAll that syncs each parent it changes.
func makeDirs(path string) error {
	parent := filepath.Dir(path)
	if _, err := os.Stat(parent); errors.Is(err, fs.ErrNotExist) && parent != path {
		if err := makeDirs(parent); err != nil {
			return err
		}
	}
	if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(parent)
}

// Path is the absolute path of the directory.
func (d *Dir) Path() string { return d.path }

// Create implements FS.
func (d *Dir) Create(name string) (File, error) {
	return d.open("disk.Create", name, os.O_RDWR|os.O_CREATE|os.O_EXCL)
}

// Open implements FS.
func (d *Dir) Open(name string) (File, error) { return d.open("disk.Open", name, os.O_RDWR) }

func (d *Dir) open(op, name string, flags int) (File, error) {
	if err := checkName(op, name); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(d.path, name), flags|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, wrap(op, name, err)
	}
	return &osFile{f: f, fd: int(f.Fd()), name: name}, nil
}

// Rename implements FS.
func (d *Dir) Rename(from, to string) error {
	if err := errors.Join(checkName("disk.Rename", from), checkName("disk.Rename", to)); err != nil {
		return err
	}
	return wrap("disk.Rename", from, os.Rename(filepath.Join(d.path, from), filepath.Join(d.path, to)))
}

// Remove implements FS.
func (d *Dir) Remove(name string) error {
	if err := checkName("disk.Remove", name); err != nil {
		return err
	}
	return wrap("disk.Remove", name, unix.Unlink(filepath.Join(d.path, name)))
}

// List implements FS.
func (d *Dir) List() ([]string, error) {
	f, err := os.Open(d.path)
	if err != nil {
		return nil, wrap("disk.List", d.path, err)
	}
	names, err := f.Readdirnames(-1)
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, wrap("disk.List", d.path, err)
	}
	sort.Strings(names)
	return names, nil
}

// Sub implements FS.
func (d *Dir) Sub(name string) (FS, error) {
	if err := checkName("disk.Sub", name); err != nil {
		return nil, err
	}
	path := filepath.Join(d.path, name)
	if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, wrap("disk.Sub", name, err)
	}
	return &Dir{path: path}, nil
}

// SyncDir implements FS.
func (d *Dir) SyncDir() error { return wrap("disk.SyncDir", d.path, syncDir(d.path)) }

func syncDir(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// Space implements FS. Free is what an unprivileged process may still take.
func (d *Dir) Space() (Space, error) {
	var st unix.Statfs_t
	if err := retry(func() error { return unix.Statfs(d.path, &st) }); err != nil {
		return Space{}, wrap("disk.Space", d.path, err)
	}
	return Space{Total: int64(st.Blocks) * st.Bsize, Free: int64(st.Bavail) * st.Bsize}, nil
}

// Lock implements FS with flock(2): it ends with the process whatever happens to it.
func (d *Dir) Lock(name string) (io.Closer, error) {
	if err := checkName("disk.Lock", name); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(d.path, name), os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, wrap("disk.Lock", name, err)
	}
	err = retry(func() error { return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) })
	if err != nil {
		_ = f.Close() // nothing was written
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, honeyant.E("disk.Lock", honeyant.Conflict, filepath.Join(d.path, name), errors.New("another process uses this directory"))
		}
		return nil, wrap("disk.Lock", name, err)
	}
	return f, nil
}

// osFile keeps the descriptor so that no call takes the poller's path.
type osFile struct {
	f    *os.File
	fd   int
	name string
}

// ReadAt implements io.ReaderAt.
func (f *osFile) ReadAt(p []byte, off int64) (int, error) {
	n, err := f.f.ReadAt(p, off)
	if err != nil && err != io.EOF {
		err = wrap("disk.Read", f.name, err)
	}
	return n, err
}

// largeWrite is how many bytes are worth a request of their own to the disk.
const largeWrite = 128 << 10

// WriteAt implements io.WriterAt. A large write begins its way to the disk at once, so that a Sync finds most of it done: that is no
// Sync, and what goes wrong is told by the next one.
func (f *osFile) WriteAt(p []byte, off int64) (int, error) {
	n, err := f.f.WriteAt(p, off)
	if n >= largeWrite && err == nil {
		_ = unix.SyncFileRange(f.fd, off, int64(n), unix.SYNC_FILE_RANGE_WRITE) // see above
	}
	return n, wrap("disk.Write", f.name, err)
}

// Sync implements File. EINTR is no verdict on the data, so repeating then is not the retry that [K2] forbids.
func (f *osFile) Sync() error {
	return wrap("disk.Sync", f.name, retry(func() error { return unix.Fdatasync(f.fd) }))
}

// Reserve implements File.
func (f *osFile) Reserve(off, n int64) error {
	return wrap("disk.Reserve", f.name, retry(func() error {
		return unix.Fallocate(f.fd, unix.FALLOC_FL_KEEP_SIZE, off, n)
	}))
}

// Punch implements File.
func (f *osFile) Punch(off, n int64) error {
	return wrap("disk.Punch", f.name, retry(func() error {
		return unix.Fallocate(f.fd, unix.FALLOC_FL_KEEP_SIZE|unix.FALLOC_FL_PUNCH_HOLE, off, n)
	}))
}

// DropCache implements File.
func (f *osFile) DropCache(off, n int64) error {
	return wrap("disk.DropCache", f.name, unix.Fadvise(f.fd, off, n, unix.FADV_DONTNEED))
}

// Expect implements File.
func (f *osFile) Expect(off, n int64) error {
	return wrap("disk.Expect", f.name, unix.Fadvise(f.fd, off, n, unix.FADV_WILLNEED))
}

// Size implements File.
func (f *osFile) Size() (int64, error) {
	st, err := f.f.Stat()
	if err != nil {
		return 0, wrap("disk.Size", f.name, err)
	}
	return st.Size(), nil
}

// Truncate implements File. Growing a file does not free what is reserved beyond its end; setting
// the size that it already has does.
func (f *osFile) Truncate(size int64) error {
	now, err := f.Size()
	if err == nil && now < size {
		err = f.f.Truncate(size)
	}
	if err == nil {
		err = f.f.Truncate(size)
	}
	return wrap("disk.Truncate", f.name, err)
}

// Close implements File.
func (f *osFile) Close() error { return wrap("disk.Close", f.name, f.f.Close()) }

// retry repeats a call that a signal interrupted before it did anything.
func retry(call func() error) error {
	for {
		if err := call(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// wrap gives err its kind; nil stays nil.
func wrap(op, object string, err error) error {
	if err == nil {
		return nil
	}
	return honeyant.E(op, kindOf(err), object, err)
}

func kindOf(err error) honeyant.Kind {
	var errno unix.Errno
	if !errors.As(err, &errno) {
		return honeyant.KindOf(err)
	}
	switch errno {
	case unix.ENOENT:
		return honeyant.NotExist
	case unix.EEXIST:
		return honeyant.Exist
	case unix.ENOSPC, unix.EDQUOT:
		return honeyant.NoSpace
	case unix.EOPNOTSUPP, unix.ENOSYS:
		return honeyant.Unsupported
	case unix.EACCES, unix.EPERM:
		return honeyant.Permission
	case unix.EFBIG:
		return honeyant.TooLarge
	}
	return honeyant.Other
}
