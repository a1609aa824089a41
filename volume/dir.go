package volume

import (
	"context"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/meta"
)

// Dir is an open directory. Safe for concurrent use; calls take turns.
type Dir struct {
	v   *Volume
	ino honeyant.Ino
}

// OpenDir opens a directory for reading. No request is made.
func (v *Volume) OpenDir(ctx context.Context, ino honeyant.Ino) (*Dir, error) {
	return &Dir{v: v, ino: ino}, nil
}

// Ino is the directory's inode number.
func (d *Dir) Ino() honeyant.Ino { return d.ino }

// Read calls emit for the entries after the one with the cookie (0: from the start) until emit
// returns false, which says that the entry did not fit and is to come again. With plus entries
// carry attributes. "." and ".." are not among them. Cookie 0 starts afresh (rewinddir). An entry
// that is there during the whole listing is seen exactly once.
func (d *Dir) Read(ctx context.Context, cookie uint64, plus bool, emit func(meta.DirEntry) bool) error {
	return honeyant.E("volume.ReadDir", honeyant.Unsupported, "", nil)
}

// Close forgets what was read ahead. Harmless twice.
func (d *Dir) Close() {}
