package fuse

import (
	"time"

	gofuse "github.com/hanwen/go-fuse/v2/fuse"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/meta"
	"github.com/honeyant/honeyant/volume"
)

// dir is an open directory.
type dir struct {
	open *volume.Dir
	kept bool // the kernel may keep what it is told
}

// Offsets of a listing: "." ends at 1, ".." at 2, an entry at its cookie.
const (
	afterDot    = 1
	afterDotDot = 2
)

// OpenDir opens a directory for listing.
func (fs *FS) OpenDir(cancel <-chan struct{}, in *gofuse.OpenIn, out *gofuse.OpenOut) gofuse.Status {
	c := fs.begin(cancel, &in.InHeader)
	defer c.done()
	d, err := fs.volume.OpenDir(c.ctx, honeyant.Ino(in.NodeId))
	if err != nil {
		return status(err)
	}
	kept := fs.kept.list(d.Ino(), func() time.Duration { return fs.volume.InodeLease(d.Ino()) })
	if kept { // else it drops what it has
		out.OpenFlags = gofuse.FOPEN_CACHE_DIR | gofuse.FOPEN_KEEP_CACHE
	}
	out.Fh = fs.dirs.add(&dir{d, kept})
	return gofuse.OK
}

// ReleaseDir ends an open directory.
func (fs *FS) ReleaseDir(in *gofuse.ReleaseIn) {
	fs.count(in.Opcode)
	if d, ok := fs.dirs.take(in.Fh); ok {
		d.open.Close()
	}
}

// FsyncDir is fsync(2) of a directory.
func (fs *FS) FsyncDir(cancel <-chan struct{}, in *gofuse.FsyncIn) gofuse.Status {
	c := fs.begin(cancel, &in.InHeader)
	defer c.done()
	d, ok := fs.dirs.get(in.Fh)
	if !ok {
		return gofuse.EBADF
	}
	return status(d.open.Sync(c.ctx))
}

// ReadDir lists names.
func (fs *FS) ReadDir(cancel <-chan struct{}, in *gofuse.ReadIn, out *gofuse.DirEntryList) gofuse.Status {
	return fs.list(cancel, in, false, func(e *meta.DirEntry, off uint64) bool {
		return out.AddDirEntry(gofuse.DirEntry{Name: e.Name, Mode: e.Type, Ino: uint64(e.Ino), Off: off})
	})
}

// ReadDirPlus lists names and attributes.
func (fs *FS) ReadDirPlus(cancel <-chan struct{}, in *gofuse.ReadIn, out *gofuse.DirEntryList) gofuse.Status {
	return fs.list(cancel, in, true, func(e *meta.DirEntry, off uint64) bool {
		entry := out.AddDirLookupEntry(gofuse.DirEntry{Name: e.Name, Mode: e.Type, Ino: uint64(e.Ino), Off: off})
		if entry == nil {
			return false
		}
		if e.Attr.Ino != 0 { // "." and ".." stay without: the kernel takes node ID 0 for "look it up yourself"
			fs.entry(&e.Attr, entry)
		}
		return true
	})
}

// list gives the entries after in.Offset to add, until it is full.
func (fs *FS) list(cancel <-chan struct{}, in *gofuse.ReadIn, plus bool, add func(*meta.DirEntry, uint64) bool) gofuse.Status {
	c := fs.begin(cancel, &in.InHeader)
	defer c.done()
	d, ok := fs.dirs.get(in.Fh)
	if !ok {
		return gofuse.EBADF
	}
	cookie := in.Offset
	if cookie < afterDot && !add(&meta.DirEntry{Name: ".", Type: honeyant.ModeDir, Ino: d.open.Ino()}, afterDot) {
		return gofuse.OK
	}
	if cookie < afterDotDot {
		// The parent's number would cost a request for something nobody reads.
		if !add(&meta.DirEntry{Name: "..", Type: honeyant.ModeDir, Ino: gofuse.FUSE_UNKNOWN_INO}, afterDotDot) {
			return gofuse.OK
		}
	}
	if cookie <= afterDotDot {
		cookie = 0
	}
	err := d.open.Read(c.ctx, cookie, plus, func(e meta.DirEntry) bool { return add(&e, e.Cookie) })
	if d.kept {
		fs.kept.relist(d.open.Ino(), func() time.Duration { return fs.volume.InodeLease(d.open.Ino()) })
	}
	return status(err)
}
