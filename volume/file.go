package volume

import (
	"context"

	"github.com/honeyant/honeyant"
)

// File is an open file description. Safe for concurrent use.
type File struct {
	v  *Volume
	in *inode
	f  OpenFlags
}

// Open opens a regular file: what was closed or fsynced anywhere before is seen from now on. The
// File must be released, whatever happens.
func (v *Volume) Open(ctx context.Context, ino honeyant.Ino, f OpenFlags) (*File, error) {
	return nil, honeyant.E("volume.Open", honeyant.Unsupported, "", nil)
}

// Create makes a regular file and opens it, in one atomic step. If the name exists it is Exist
// when exclusive, otherwise the existing file is opened.
func (v *Volume) Create(ctx context.Context, n NewNode, f OpenFlags, exclusive bool) (honeyant.Attr, *File, error) {
	return honeyant.Attr{}, nil, honeyant.E("volume.Create", honeyant.Unsupported, "", nil)
}

// Ino is the inode number.
func (f *File) Ino() honeyant.Ino { return f.in.ino }

// Flags are those it was opened with.
func (f *File) Flags() OpenFlags { return f.f }

// ReadAt reads up to len(p) bytes at off; fewer only at the end of the file, where it returns 0
// and no error (not io.EOF).
func (f *File) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	return 0, honeyant.E("volume.Read", honeyant.Unsupported, "", nil)
}

// WriteAt writes p at off, or at the end in append mode. It returns when the bytes are in the
// volume's buffer (committed with Sync or Append). p is not kept. If an earlier write of this file
// was lost, that error is returned, once per File.
func (f *File) WriteAt(ctx context.Context, p []byte, off int64, w WriteFlags) (int, error) {
	return 0, honeyant.E("volume.Write", honeyant.Unsupported, "", nil)
}

// Flush is close(2) of one descriptor: it commits what the file has dirty, reports a lost write
// if this File has not told yet, and gives back lockOwner's POSIX locks (0: none). Free of
// requests if there is nothing to do.
func (f *File) Flush(ctx context.Context, lockOwner uint64) error {
	return honeyant.E("volume.Flush", honeyant.Unsupported, "", nil)
}

// Fsync commits what the file has dirty: on return data and attributes are on stable storage.
// dataOnly (fdatasync) is the same at present.
func (f *File) Fsync(ctx context.Context, dataOnly bool) error {
	return honeyant.E("volume.Fsync", honeyant.Unsupported, "", nil)
}

// Release ends the File, after its last Flush. flockOwner's flock locks (0: none) are given back.
// What is still dirty is committed first; errors are returned, but the File is gone all the same.
func (f *File) Release(ctx context.Context, flockOwner uint64) error {
	return honeyant.E("volume.Release", honeyant.Unsupported, "", nil)
}
