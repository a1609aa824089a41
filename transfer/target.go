package transfer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/honeyant/honeyant"
)

// target is where a copy writes. Safe for concurrent use for different paths. Notes are
// what could not be kept.
type target interface {
	// list is as a source's, without what copies under way have lying there.
	list(ctx context.Context, dir, after string) (entries []Entry, next string, err error)
	// mkdir makes a directory that only its owner may enter, or finds one there.
	mkdir(ctx context.Context, path string) (existed bool, err error)
	// put makes or replaces a file of one part: synced, and read back if verify.
	put(ctx context.Context, path string, e *Entry, p part) (notes []string, err error)
	// create begins a file of many parts, or goes on with one.
	create(ctx context.Context, path string, e *Entry) (writer, error)
	// special makes or replaces a symbolic link, fifo, socket or device. Not synced.
	special(ctx context.Context, path string, e *Entry) (notes []string, err error)
	// link makes path another name of the file first. Not synced.
	link(ctx context.Context, path, first string) error
	// seal gives a file or directory that is there the metadata of e, unless e is nil, and
	// syncs it: names in a directory are on stable storage only then.
	seal(ctx context.Context, path string, e *Entry) (notes []string, err error)
	// mark makes, and unmark removes, a small file.
	mark(ctx context.Context, path, text string) error
	unmark(ctx context.Context, path string) error
	close() error
}

// writer is a target file on its way. Safe for concurrent use but for finish and abandon.
type writer interface {
	// claimed is the parts that an earlier run has left; verify tells whether they are sound.
	claimed() []int64
	// write stores part i. Not synced.
	write(ctx context.Context, i int64, p part) error
	// verify syncs, reads the parts from..to-1 of those written or claimed from the disk,
	// and lists those that do not have their checksum; they have to be written again.
	verify(ctx context.Context, from, to int64) (bad []int64, err error)
	// finish gives the file its metadata and its name. Synced, but for the name.
	finish(ctx context.Context, e *Entry) (notes []string, err error)
	// abandon ends it; what was written is kept for the next run.
	abandon(ctx context.Context) error
}

// ourNames begin all files that a copy under way has in the target.
const ourNames = ".honeyant-cp-"

func ours(name string) bool { return strings.HasPrefix(name, ourNames) }

// content tells the names that besideOf and listOf make from marks and probes.
func content(name string) bool {
	digits := strings.TrimSuffix(strings.TrimPrefix(name, ourNames), ".parts")
	return len(digits) == 16 && strings.Trim(digits, "0123456789abcdef") == ""
}

// besideOf names the file in which the content of name is built; the same in each run.
func besideOf(name string) string { return fmt.Sprintf("%s%016x", ourNames, sumOf([]byte(name))) }

// markOf names the file beside a directory that is the copy of another, as long as the
// copy is not complete: without it the same command would mean another thing the second
// time, because then the directory exists.
func markOf(name string) string { return besideOf(name) + ".tree" }

// listOf names the list of parts of what is built in beside.
func listOf(beside string) string { return beside + ".parts" }

// localTarget is a tree of this machine.
type localTarget struct {
	tree   *tree
	verify bool
	log    *slog.Logger
	// did hears of each change after it was made; tests kill the process in it.
	did func(change, path string)

	mu    sync.Mutex // guards stale
	stale map[string][]string
}

func newLocalTarget(t *tree, verify bool, log *slog.Logger) *localTarget {
	return &localTarget{tree: t, verify: verify, log: log, did: func(string, string) {}, stale: map[string][]string{}}
}

func (t *localTarget) close() error { return t.tree.close() }

func (t *localTarget) list(ctx context.Context, dir, after string) ([]Entry, string, error) {
	if err := ctx.Err(); err != nil {
		return nil, "", err
	}
	all, next, err := t.tree.list(dir, after, false)
	kept := all[:0]
	for _, e := range all {
		if !ours(e.Name) {
			kept = append(kept, e)
			continue
		}
		if !content(e.Name) {
			continue
		}
		t.mu.Lock()
		t.stale[dir] = append(t.stale[dir], e.Name)
		t.mu.Unlock()
	}
	return kept, next, err
}

func (t *localTarget) mkdir(ctx context.Context, path string) (existed bool, err error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	if path == "" {
		return true, nil // the root is open
	}
	dir, name, err := t.tree.parent(path)
	if err != nil {
		return false, err
	}
	defer dir.Close()
	var st unix.Stat_t
	err = unix.Fstatat(int(dir.Fd()), name, &st, unix.AT_SYMLINK_NOFOLLOW)
	switch {
	case err == nil && st.Mode&unix.S_IFMT != unix.S_IFDIR:
		return false, honeyant.E("make", honeyant.NotDir, t.tree.full(path), errors.New("a directory can not replace what is there"))
	case err == nil:
		return true, nil
	case !errors.Is(err, unix.ENOENT):
		return false, fault("stat", t.tree.full(path), err)
	}
	if err := unix.Mkdirat(int(dir.Fd()), name, 0o700); err != nil {
		return false, fault("make", t.tree.full(path), err)
	}
	t.did("mkdir", path)
	return false, nil
}

// beside opens the file in which the content of name is built, and locks it against
// another copy to the same name. What is there and not ours is removed first.
func (t *localTarget) beside(dir *os.File, name, path string) (*os.File, error) {
	for range 3 {
		fd, err := retryInterrupted(func() (int, error) {
			return unix.Openat(int(dir.Fd()), name, unix.O_RDWR|unix.O_CREAT|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0o600)
		})
		if err != nil {
			return nil, fault("create", path, err)
		}
		f := os.NewFile(uintptr(fd), path)
		if err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB); errors.Is(err, unix.EWOULDBLOCK) {
			f.Close()
			return nil, honeyant.E("create", honeyant.Conflict, path, errors.New("another copy writes it just now"))
		}
		var st, at unix.Stat_t
		if err := unix.Fstat(fd, &st); err != nil {
			f.Close()
			return nil, fault("stat", path, err)
		}
		err = unix.Fstatat(int(dir.Fd()), name, &at, unix.AT_SYMLINK_NOFOLLOW)
		if err == nil && at.Ino == st.Ino && st.Mode&unix.S_IFMT == unix.S_IFREG && st.Nlink == 1 && int(st.Uid) == os.Geteuid() {
			return f, nil
		}
		f.Close() // somebody else's, or renamed while we waited: make a new one
		if err == nil {
			if err := unix.Unlinkat(int(dir.Fd()), name, 0); err != nil && !errors.Is(err, unix.ENOENT) {
				return nil, fault("remove", path, err)
			}
		}
	}
	return nil, honeyant.E("create", honeyant.Conflict, path, errors.New("somebody keeps replacing the file in which it is built"))
}

func retryInterrupted(call func() (int, error)) (int, error) {
	for {
		n, err := call()
		if !errors.Is(err, unix.EINTR) {
			return n, err
		}
	}
}

func (t *localTarget) put(ctx context.Context, path string, e *Entry, p part) ([]string, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	full := t.tree.full(path)
	if sumOf(p.data) != p.sum {
		return nil, honeyant.E("write", honeyant.Corrupt, full, errors.New("the content changed on its way"))
	}
	dir, name, err := t.tree.parent(path)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	beside := besideOf(name)
	f, err := t.beside(dir, beside, full)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	t.did("create", path)
	notes, err := t.fill(f, full, e, p)
	if err == nil {
		t.did("synced", path)
		err = fault0("rename", full, unix.Renameat(int(dir.Fd()), beside, int(dir.Fd()), name))
	}
	if err != nil {
		_ = unix.Unlinkat(int(dir.Fd()), beside, 0) // nothing half-written remains
		return notes, err
	}
	t.did("rename", path)
	return notes, nil
}

func fault0(what, path string, err error) error {
	if err == nil {
		return nil
	}
	return fault(what, path, err)
}

// fill writes a file of one part, syncs it and reads it back.
func (t *localTarget) fill(f *os.File, full string, e *Entry, p part) ([]string, error) {
	if err := f.Truncate(0); err != nil {
		return nil, fault("truncate", full, err)
	}
	if err := writeData(f, 0, p.data, e.sparse()); err != nil {
		return nil, fault("write", full, err)
	}
	if err := f.Truncate(int64(len(p.data))); err != nil {
		return nil, fault("truncate", full, err)
	}
	t.did("write", full)
	notes, err := byFile(f).apply(e)
	if err != nil {
		return notes, fault("set metadata of", full, err)
	}
	if err := f.Sync(); err != nil {
		return notes, fault("sync", full, err)
	}
	if t.verify && !sound(f, 0, len(p.data), p.sum) {
		return notes, honeyant.E("verify", honeyant.Corrupt, full, errors.New("what is on the disk is not what was written"))
	}
	return notes, nil
}

// sound reads a range from the disk, not from the page cache where that can be told apart,
// and compares its checksum.
func sound(f *os.File, off int64, n int, sum uint64) bool {
	_ = unix.Fadvise(int(f.Fd()), off, int64(n), unix.FADV_DONTNEED) // a wish
	b, err := readPart(f, off, make([]byte, n))
	return err == nil && len(b) == n && sumOf(b) == sum
}

// block is the unit in which zeros of a sparse file are left out.
const block = 4096

// writeData writes b at off. Of a sparse file blocks of zeros are left out: the file is
// new there, and reads as zeros.
func writeData(f *os.File, off int64, b []byte, sparse bool) error {
	if !sparse {
		_, err := f.WriteAt(b, off)
		return err
	}
	for at := 0; at < len(b); {
		end := at
		for end < len(b) && !zero(b[end:min(end+block, len(b))]) {
			end = min(end+block, len(b))
		}
		if end > at {
			if _, err := f.WriteAt(b[at:end], off+int64(at)); err != nil {
				return err
			}
		}
		at = end + block
	}
	return nil
}

func (t *localTarget) special(ctx context.Context, path string, e *Entry) ([]string, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	full := t.tree.full(path)
	dir, name, err := t.tree.parent(path)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	beside := besideOf(name)
	if err := unix.Unlinkat(int(dir.Fd()), beside, 0); err != nil && !errors.Is(err, unix.ENOENT) {
		return nil, fault("remove", full, err)
	}
	modes := map[Kind]uint32{Fifo: unix.S_IFIFO, Socket: unix.S_IFSOCK, CharDevice: unix.S_IFCHR, BlockDevice: unix.S_IFBLK}
	switch mode, ok := modes[e.Kind]; {
	case e.Kind == Symlink:
		err = unix.Symlinkat(e.Target, int(dir.Fd()), beside)
	case ok:
		err = unix.Mknodat(int(dir.Fd()), beside, mode|0o600, int(e.Rdev))
		if errors.Is(err, unix.EPERM) && (e.Kind == CharDevice || e.Kind == BlockDevice) {
			return nil, honeyant.E("make", honeyant.NotPermitted, full, errors.New("only root may make device files"))
		}
	default:
		err = unix.EINVAL
	}
	if err != nil {
		return nil, fault("make", full, err)
	}
	notes, err := byName(dir, beside).apply(e)
	if err == nil {
		err = unix.Renameat(int(dir.Fd()), beside, int(dir.Fd()), name)
	}
	if err != nil {
		_ = unix.Unlinkat(int(dir.Fd()), beside, 0)
		return notes, fault("make", full, err)
	}
	t.did("rename", path)
	return notes, nil
}

func (t *localTarget) link(ctx context.Context, path, first string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	full := t.tree.full(path)
	from, fromName, err := t.tree.parent(first)
	if err != nil {
		return err
	}
	defer from.Close()
	dir, name, err := t.tree.parent(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	var a, b unix.Stat_t
	if err := unix.Fstatat(int(from.Fd()), fromName, &a, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return fault("link to", t.tree.full(first), err)
	}
	if unix.Fstatat(int(dir.Fd()), name, &b, unix.AT_SYMLINK_NOFOLLOW) == nil && a.Dev == b.Dev && a.Ino == b.Ino {
		return nil // a rename between two names of one file would do nothing
	}
	beside := besideOf(name)
	if err := unix.Unlinkat(int(dir.Fd()), beside, 0); err != nil && !errors.Is(err, unix.ENOENT) {
		return fault("remove", full, err)
	}
	err = unix.Linkat(int(from.Fd()), fromName, int(dir.Fd()), beside, 0)
	if err == nil {
		err = unix.Renameat(int(dir.Fd()), beside, int(dir.Fd()), name)
	}
	if err != nil {
		_ = unix.Unlinkat(int(dir.Fd()), beside, 0)
		return fault("link", full, err)
	}
	t.did("rename", path)
	return nil
}

func (t *localTarget) seal(ctx context.Context, path string, e *Entry) ([]string, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	full := t.tree.full(path)
	if e != nil && e.Kind != Dir && e.Kind != File {
		return t.sealSpecial(path, e)
	}
	f, err := t.tree.open(path, unix.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	t.sweep(f, path)
	var notes []string
	if e != nil {
		if notes, err = byFile(f).apply(e); err != nil {
			return notes, fault("set metadata of", full, err)
		}
	}
	if err := f.Sync(); err != nil && !errors.Is(err, unix.EINVAL) {
		return notes, fault("sync", full, err)
	}
	t.did("seal", path)
	return notes, nil
}

func (t *localTarget) sealSpecial(path string, e *Entry) ([]string, error) {
	dir, name, err := t.tree.parent(path)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	notes, err := byName(dir, name).apply(e)
	return notes, fault0("set metadata of", t.tree.full(path), err)
}

// sweep removes what earlier runs that were killed have left in a directory, unless a
// copy that runs now holds it.
func (t *localTarget) sweep(dir *os.File, path string) {
	t.mu.Lock()
	names := t.stale[path]
	delete(t.stale, path)
	t.mu.Unlock()
	for _, name := range names {
		fd, err := unix.Openat(int(dir.Fd()), strings.TrimSuffix(name, ".parts"), unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		if err == nil {
			err = unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB)
			unix.Close(fd)
			if err != nil {
				continue
			}
		}
		if err := unix.Unlinkat(int(dir.Fd()), name, 0); err != nil && !errors.Is(err, unix.ENOENT) {
			t.log.Warn("can not remove what an earlier copy left", "name", name, "dir", t.tree.full(path), "err", err)
		}
	}
}

func (t *localTarget) mark(ctx context.Context, path, text string) error {
	f, err := t.tree.open(path, unix.O_WRONLY|unix.O_CREAT|unix.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.WriteString(text); err != nil {
		return fault("write", t.tree.full(path), err)
	}
	return nil
}

func (t *localTarget) unmark(ctx context.Context, path string) error {
	dir, name, err := t.tree.parent(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	err = unix.Unlinkat(int(dir.Fd()), name, 0)
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	return fault0("remove", t.tree.full(path), err)
}
