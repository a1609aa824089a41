// Package disk is the file operations that a chunk store needs, as an interface small
// enough to have a real implementation (Dir) and one in memory (Memory) that can lose
// what was not synced, fail by rule and be full.
//
// Names are single path elements inside the directory at which an FS is rooted; there is
// no way to name anything outside it. Errors are *honeyant.Error with these kinds: NotExist,
// Exist, NoSpace (also quota), Conflict (a lock that is held), Unsupported, Invalid (a bad
// name), and Other for I/O errors, whose errno errors.Is finds.
//
// Invariants:
//
//	K1  Nothing is on stable storage before the Sync (data, size) or SyncDir (names) that
//	    follows it returned nil.
//	K2  A Sync that failed says nothing about the next one: the data it was for may be
//	    lost although a later Sync succeeds. Memory behaves so too [9].
//	K3  Two processes, or two FS values, never hold the same lock.
package disk

import (
	"io"
	"strings"

	"github.com/honeyant/honeyant"
)

// SectorSize is the unit, in bytes, in which Memory loses data in a crash and holes are punched.
const SectorSize = 4096

// FS is one directory of files. Safe for concurrent use.
type FS interface {
	// Create makes a file that must not exist and opens it. The name is not synced.
	Create(name string) (File, error)
	// Open opens an existing file for reading and writing.
	Open(name string) (File, error)
	// Rename moves a file over whatever has the new name. Not synced.
	Rename(from, to string) error
	// Remove unlinks a file; those who have it open keep it. Not synced.
	Remove(name string) error
	// List gives the names of all files and directories in it, sorted.
	List() ([]string, error)
	// Sub is the directory name inside this one, made if it is missing (not synced).
	Sub(name string) (FS, error)
	// SyncDir returns when all names made, moved and removed before are on stable storage.
	SyncDir() error
	// Lock takes the exclusive lock on the named file, made if it is missing. Kind
	// Conflict at once if somebody else holds it. Close of the result gives it back.
	Lock(name string) (io.Closer, error)
	// Space tells how large the file system is and what is free on it for us, in bytes.
	Space() (Space, error)
}

// Space is the room of a file system in bytes.
type Space struct{ Total, Free int64 }

// File is an open file. Safe for concurrent use, except Close.
type File interface {
	io.ReaderAt
	io.WriterAt
	// Sync returns when all bytes written before and the size are on stable storage
	// (fdatasync). It is never to be retried after an error [9].
	Sync() error
	// Reserve allocates blocks for [off, off+n) without changing the size. Kinds NoSpace,
	// Unsupported.
	Reserve(off, n int64) error
	// Punch frees the blocks of [off, off+n), which then read as zeros. Kind Unsupported.
	Punch(off, n int64) error
	// DropCache asks that [off, off+n) (n 0: to the end) leave the page cache, so that the
	// next read comes from the disk. Only what is synced leaves. A hint.
	DropCache(off, n int64) error
	// Expect tells that [off, off+n) will be read soon, so that the disk can begin. A hint.
	Expect(off, n int64) error
	// Size is the size in bytes.
	Size() (int64, error)
	// Truncate sets the size and frees all blocks beyond it.
	Truncate(size int64) error
	Close() error
}

func checkName(op, name string) error {
	if name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\x00") {
		return honeyant.E(op, honeyant.Invalid, name, nil)
	}
	return nil
}
