package bench

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/honeyant/honeyant"
)

// workspacePrefix begins the name of every directory that a run makes.
const workspacePrefix = ".honeyant-bench-"

// minFile is the smallest test file that says something about a disk.
const minFile = 8 << 20

// Workspace is the one directory in which a run writes. It holds a locked file while its
// run lives, so that the next run knows the left-overs of a killed one. Close removes it.
type Workspace struct {
	path string
	lock *os.File
}

// OpenWorkspace removes what killed runs left in dir and makes a new workspace there.
// Errors: NotExist, Permission, NoSpace.
func OpenWorkspace(dir string) (*Workspace, error) {
	const op = "bench.OpenWorkspace"
	dir, err := filepath.Abs(dir) // commands are run within the workspace
	if err != nil {
		return nil, honeyant.E(op, honeyant.KindOfSystem(err), dir, err)
	}
	if err := Sweep(dir); err != nil {
		return nil, err
	}
	path, err := os.MkdirTemp(dir, workspacePrefix)
	if err != nil {
		return nil, honeyant.E(op, honeyant.KindOfSystem(err), dir, err)
	}
	w := &Workspace{path: path}
	w.lock, err = os.OpenFile(filepath.Join(path, "lock"), os.O_CREATE|os.O_RDWR|syscall.O_CLOEXEC, 0o600)
	if err == nil {
		err = unix.Flock(int(w.lock.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOLCK) {
			err = nil // a file system without locks: what a killed run leaves has to be removed by hand
		}
	}
	if err != nil {
		return nil, errors.Join(honeyant.E(op, honeyant.KindOfSystem(err), path, err), w.Close())
	}
	return w, nil
}

// Sweep removes the workspaces in dir whose runs are dead.
func Sweep(dir string) error {
	left, err := filepath.Glob(filepath.Join(globQuote(dir), workspacePrefix+"*"))
	if err != nil {
		return honeyant.E("bench.Sweep", honeyant.Invalid, dir, err)
	}
	for _, path := range left {
		lock, err := os.OpenFile(filepath.Join(path, "lock"), os.O_RDWR|syscall.O_CLOEXEC, 0)
		if err == nil {
			alive := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB)
			lock.Close()
			if alive != nil {
				continue
			}
		} else if info, err := os.Lstat(path); err != nil || !info.IsDir() || age(info) < grace {
			continue // just being made, or removed
		}
		if err := os.RemoveAll(path); err != nil {
			return honeyant.E("bench.Sweep", honeyant.KindOfSystem(err), path, fmt.Errorf("a killed run left this and it can not be removed: %w", err))
		}
	}
	return nil
}

// Path is the directory.
func (w *Workspace) Path() string { return w.path }

// Close removes the workspace with all that is in it. Twice is harmless.
func (w *Workspace) Close() error {
	err := os.RemoveAll(w.path)
	if w.lock != nil {
		w.lock.Close()
	}
	if err != nil {
		return honeyant.E("bench.Close", honeyant.KindOfSystem(err), w.path, err)
	}
	return nil
}

// file makes a file without a name, so that even a killed run leaves none. On file systems
// that can not do that it has a name in the workspace.
func (w *Workspace) file(flags int) (*os.File, error) {
	f, err := os.OpenFile(w.path, unix.O_TMPFILE|os.O_RDWR|flags, 0o600)
	if err == nil {
		return f, nil
	}
	f, err = os.OpenFile(filepath.Join(w.path, "data"), os.O_CREATE|os.O_TRUNC|os.O_RDWR|flags, 0o600)
	if err != nil {
		return nil, honeyant.E("bench.File", honeyant.KindOfSystem(err), w.path, err)
	}
	return f, nil
}

// fitFile is the size of the test file: what is wanted, at most a quarter of the free
// space, in whole MiB.
func fitFile(wanted, free int64) (int64, error) {
	size := min(wanted, free/4) >> 20 << 20
	if size < minFile {
		return 0, honeyant.E("bench.Plan", honeyant.NoSpace, "", fmt.Errorf("only %d MiB are free; at least %d are needed, because a run takes no more than a quarter", free>>20, 4*minFile>>20))
	}
	return size, nil
}

// grace is how old a workspace without a lock file must be to count as left over.
const grace = time.Minute

func age(info os.FileInfo) time.Duration { return time.Since(info.ModTime()) }

// globQuote makes a path match itself in filepath.Glob.
func globQuote(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}
