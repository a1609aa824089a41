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
	if kept {
		out.OpenFlags = gofuse.FOPEN_CACHE_DIR
		if !fs.kept.stale(d.Ino()) { // else it drops what it has
			out.OpenFlags |= gofuse.FOPEN_KEEP_CACHE
		}
	}
	out.Fh = fs.dirs.add(&dir{d, kept})
	return gofuse.OK
}

// ReleaseDir ends an open directory.
func (fs *FS) ReleaseDir(in *gofuse.ReleaseIn) {
	fs.count(in.Opcode)
	if d, ok := fs.dirs.take(in.Fh); ok {
		fs.kept.arrived(listing{d.open.Ino(), in.Fh})
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
	_, status := fs.list(cancel, in, func(e gofuse.DirEntry) bool { return out.AddDirEntry(e) })
	return status
}

// ReadDirPlus lists names, and with them what is remembered of what they stand for, so that the kernel need not look it up.
func (fs *FS) ReadDirPlus(cancel <-chan struct{}, in *gofuse.ReadIn, out *gofuse.DirEntryList) gofuse.Status {
	var all []listed
	rich := fs.kept.namesOn.Load()
	d, status := fs.list(cancel, in, func(e gofuse.DirEntry) bool {
		entry := out.AddDirLookupEntry(e) // node ID 0: "look it up yourself"
		if entry != nil && e.Off > afterDotDot && rich {
			all = append(all, listed{e.Name, honeyant.Ino(e.Ino), entry})
		}
		return entry != nil
	})
	if status == gofuse.OK && len(all) > 0 {
		fs.enrich(d.open.Ino(), in, all)
	}
	return status
}

// listed is an entry in an answer.
type listed struct {
	name string
	ino  honeyant.Ino
	out  *gofuse.EntryOut
}

// enrich adds what is remembered, and good for a while, to an answer.
func (fs *FS) enrich(dir honeyant.Ino, in *gofuse.ReadIn, all []listed) {
	since := fs.kept.begin()
	names := fs.kept.entries(listing{dir, in.Fh}, since, func() time.Duration { return fs.volume.InodeLease(dir) })
	if names == 0 {
		return
	}
	fs.kept.brought(dir, names)
	for _, e := range all {
		a, left := fs.volume.EntryLease(dir, e.name, e.ino)
		left = fs.kept.attr(e.ino, asker{since, in.Pid}, func() time.Duration { return left })
		if left > 0 {
			fs.entry(&a, e.out)
			e.out.SetEntryTimeout(min(left, names))
			e.out.SetAttrTimeout(left)
		}
	}
}

// list gives the entries after in.Offset to add, until it is full.
func (fs *FS) list(cancel <-chan struct{}, in *gofuse.ReadIn, add func(gofuse.DirEntry) bool) (*dir, gofuse.Status) {
	c := fs.begin(cancel, &in.InHeader)
	defer c.done()
	d, ok := fs.dirs.get(in.Fh)
	if !ok {
		return nil, gofuse.EBADF
	}
	fs.kept.arrived(listing{d.open.Ino(), in.Fh})
	cookie := in.Offset
	if cookie < afterDot && !add(gofuse.DirEntry{Name: ".", Mode: honeyant.ModeDir, Ino: uint64(d.open.Ino()), Off: afterDot}) {
		return d, gofuse.OK
	}
	if cookie < afterDotDot {
		// The parent's number would cost a request for something nobody reads.
		if !add(gofuse.DirEntry{Name: "..", Mode: honeyant.ModeDir, Ino: gofuse.FUSE_UNKNOWN_INO, Off: afterDotDot}) {
			return d, gofuse.OK
		}
	}
	if cookie <= afterDotDot {
		cookie = 0
	}
	err := d.open.Read(c.ctx, cookie, false, func(e meta.DirEntry) bool {
		return add(gofuse.DirEntry{Name: e.Name, Mode: e.Type, Ino: uint64(e.Ino), Off: e.Cookie})
	})
	if d.kept {
		fs.kept.relist(d.open.Ino(), func() time.Duration { return fs.volume.InodeLease(d.open.Ino()) })
	}
	return d, status(err)
}
