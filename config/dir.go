package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/honeyant/honeyant"
)

// Layout is the path of a node's directory, and knows where things are in it.
type Layout string

// ConfigFile is the configuration.
func (l Layout) ConfigFile() string { return l.at(FileName) }

// Identity is the directory of keys and certificates (doc/format/identity.md).
func (l Layout) Identity() string { return l.at("identity") }

// MapFile is the last cluster map.
func (l Layout) MapFile() string { return l.at("map") }

// Meta is the directory of the metadata.
func (l Layout) Meta() string { return l.at("meta") }

// Raft is the directory of the raft log and snapshots.
func (l Layout) Raft() string { return l.at("raft") }

// Socket is where the daemon takes commands.
func (l Layout) Socket() string { return l.at("socket") }

// LockFile is locked while a daemon runs, and holds its process ID.
func (l Layout) LockFile() string { return l.at("lock") }

func (l Layout) at(name string) string { return filepath.Join(string(l), name) }

// Dir is a node's directory, locked for this process until Close.
type Dir struct {
	Layout
	lock  *os.File
	once  sync.Once
	fault error
}

// OpenDir locks the directory at path, which is made (mode 0700) if it is missing. The lock
// ends with the process at the latest. Errors: Conflict if another process has it, which the
// text names; Unsupported if it lies inside a FUSE mount; Permission; NotDir.
func OpenDir(path string) (*Dir, error) {
	const op = "config.OpenDir"
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, honeyant.E(op, honeyant.Invalid, path, err)
	}
	if err := RefuseFUSE(abs); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(abs, 0o700); err != nil {
		if errors.Is(err, unix.ENOTDIR) {
			return nil, honeyant.E(op, honeyant.NotDir, abs, err)
		}
		return nil, honeyant.E(op, kindOf(err), abs, err)
	}
	if err := SyncDir(filepath.Dir(abs)); err != nil {
		return nil, honeyant.E(op, kindOf(err), abs, err)
	}
	d := &Dir{Layout: Layout(abs)}
	if d.lock, err = os.OpenFile(d.LockFile(), os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return nil, honeyant.E(op, kindOf(err), d.LockFile(), err)
	}
	if err := takeLock(d.lock); err != nil {
		return nil, errors.Join(honeyant.E(op, honeyant.Other, abs, err), d.lock.Close())
	}
	return d, nil
}

// takeLock locks f and writes this process's ID into it.
func takeLock(f *os.File) error {
	err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return honeyant.E("config.Lock", honeyant.Conflict, "", fmt.Errorf("another honeyant uses this directory already%s", holder(f)))
	}
	if err != nil {
		return honeyant.E("config.Lock", honeyant.Internal, f.Name(), err)
	}
	// The ID only serves the other one's error message: it needs no sync.
	pid := []byte(strconv.Itoa(os.Getpid()) + "\n")
	_, err = f.WriteAt(pid, 0)
	if err = errors.Join(err, f.Truncate(int64(len(pid)))); err != nil {
		return honeyant.E("config.Lock", kindOf(err), f.Name(), err)
	}
	return nil
}

// holder names the process that wrote its ID into a lock file.
func holder(f *os.File) string {
	var b [32]byte
	n, _ := f.ReadAt(b[:], 0) // an empty file names nobody
	pid, err := strconv.Atoi(strings.TrimSpace(string(b[:n])))
	if err != nil {
		return ""
	}
	return fmt.Sprintf(": process %d", pid)
}

// Close gives the directory free. Twice is harmless.
func (d *Dir) Close() error {
	d.once.Do(func() { d.fault = d.lock.Close() })
	return d.fault
}

// fuseMagic is the type that statfs(2) tells of FUSE file systems.
const fuseMagic = 0x65735546

// RefuseFUSE returns an error of Kind Unsupported if path, or where it would be made, lies
// inside a FUSE mount: a daemon that keeps its data in its own mount deadlocks (rule 21).
func RefuseFUSE(path string) error {
	const op = "config.RefuseFUSE"
	for p := filepath.Clean(path); ; p = filepath.Dir(p) {
		var st unix.Statfs_t
		err := unix.Statfs(p, &st)
		if errors.Is(err, unix.ENOENT) && p != filepath.Dir(p) {
			continue
		}
		if err != nil {
			return honeyant.E(op, kindOf(err), p, err)
		}
		if int64(st.Type) == fuseMagic {
			return honeyant.E(op, honeyant.Unsupported, path, errors.New("it lies inside a FUSE mount, which could be our own; choose a directory on a local disk"))
		}
		return nil
	}
}
