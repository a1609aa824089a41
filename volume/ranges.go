package volume

import (
	"context"

	"github.com/honeyant/honeyant"
)

// Allocate is fallocate(2) with its mode bits (Falloc...). Space is not set aside. Collapse and
// insert are Unsupported.
func (f *File) Allocate(ctx context.Context, mode uint32, off, length int64) error {
	return honeyant.E("volume.Allocate", honeyant.Unsupported, "", nil)
}

// Seek finds the next data (or hole) at or after off, as lseek(2) with SEEK_DATA (SEEK_HOLE).
// NoDevice at or past the end.
func (f *File) Seek(ctx context.Context, off int64, hole bool) (int64, error) {
	return 0, honeyant.E("volume.Seek", honeyant.Unsupported, "", nil)
}

// CopyRange copies by sharing extents (copy_file_range) and tells how many bytes, which may be
// fewer than length: at the end of f, or because one step was long enough.
func (f *File) CopyRange(ctx context.Context, off int64, dst *File, dstOff, length int64) (int64, error) {
	return 0, honeyant.E("volume.CopyRange", honeyant.Unsupported, "", nil)
}
