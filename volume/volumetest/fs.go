package volumetest

import "github.com/honeyant/honeyant"

// FS is a way into a volume by paths, as far as the suite needs one. Paths are relative to the
// root, divided by "/". Errors are of the honeyant Kinds.
type FS interface {
	// Open opens a regular file with the bits of open(2) (os.O_RDWR, os.O_CREATE ...).
	Open(path string, flag int) (File, error)
	Mkdir(path string) error
	Remove(path string) error // unlink or rmdir
	Rename(from, to string) error
	Link(from, to string) error
	Symlink(target, path string) error
	ReadLink(path string) (string, error)
	Stat(path string) (honeyant.Attr, error) // of the name itself: lstat
	ReadDir(path string) ([]string, error)   // names in the order of the listing
	Chmod(path string, mode uint32) error
}

// File is an open file of an FS.
type File interface {
	// ReadAt returns less than len(p) only at the end, without an error.
	ReadAt(p []byte, off int64) (int, error)
	WriteAt(p []byte, off int64) (int, error) // with O_APPEND off does not matter
	Truncate(size int64) error
	Size() (int64, error) // fstat
	Sync() error
	Close() error
}
