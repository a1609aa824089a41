package fuse

import (
	"math"
	"syscall"
	"time"

	gofuse "github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/meta"
	"github.com/honeyant/honeyant/volume"
)

// openFlags translates open(2)'s.
func openFlags(flags uint32) volume.OpenFlags {
	access := flags & syscall.O_ACCMODE
	return volume.OpenFlags{
		Read:     access != syscall.O_WRONLY,
		Write:    access != syscall.O_RDONLY,
		Append:   flags&syscall.O_APPEND != 0 && access != syscall.O_RDONLY,
		Sync:     flags&(syscall.O_SYNC|syscall.O_DSYNC) != 0,
		Direct:   flags&syscall.O_DIRECT != 0,
		Truncate: flags&syscall.O_TRUNC != 0,
	}
}

// openOut hands a file to the kernel. An append file bypasses the page cache, because the
// kernel's idea of the end may be old (F4). Pages are kept if the file is as it was at the last open.
func (fs *FS) openOut(f *volume.File, out *gofuse.OpenOut) *handle {
	h := &handle{File: f, direct: fs.direct(f.Flags())}
	if f.Flags().Read {
		fs.readers.begin(f.Ino())
	}
	if f.Flags().Write {
		fs.kept.writes(f.Ino())
	} else {
		fs.kept.bar(f.Ino())
	}
	out.Fh = fs.files.add(h)
	if h.direct {
		out.OpenFlags |= gofuse.FOPEN_DIRECT_IO
	}
	if !f.Flags().Append && !f.Made() && fs.pages.keep(fs.volume, f) { // of one that was just made there are none
		out.OpenFlags |= gofuse.FOPEN_KEEP_CACHE
	}
	return h
}

// file is an open file of which a request speaks.
func (fs *FS) file(fh uint64) (h *handle, ok bool) {
	if h, ok = fs.files.get(fh); ok {
		fs.pages.used(h.File)
	}
	return h, ok
}

// Open opens a regular file.
func (fs *FS) Open(cancel <-chan struct{}, in *gofuse.OpenIn, out *gofuse.OpenOut) gofuse.Status {
	c := fs.begin(cancel, &in.InHeader)
	defer c.done()
	ino := honeyant.Ino(in.NodeId)
	f, err := fs.volume.Open(c.ctx, ino, openFlags(in.Flags))
	if err != nil {
		return status(err)
	}
	if in.Flags&syscall.O_TRUNC != 0 && in.Mode&gofuse.OPEN_KILL_SUIDGID != 0 {
		if err := fs.killPriv(c, ino); err != nil {
			_ = f.Release(c.ctx, 0) // nothing was written; the open's own error counts
			return status(err)
		}
	}
	commits := f.Flags().Write || f.Flags().Truncate
	if h := fs.openOut(f, out); !commits && !f.Locked() && !fs.lockable.has(ino) {
		h.eager = true
		out.OpenFlags |= gofuse.FOPEN_NOFLUSH
	}
	return gofuse.OK
}

// killPriv clears setuid and setgid if the file has them.
func (fs *FS) killPriv(c *call, ino honeyant.Ino) error {
	a, err := fs.volume.GetAttr(c.ctx, ino)
	if err != nil || a.Mode&(honeyant.ModeSetuid|honeyant.ModeSetgid) == 0 {
		return err
	}
	_, err = fs.volume.SetAttr(c.ctx, &meta.SetAttr{Ino: ino, Valid: meta.KillPriv})
	return err
}

// Create makes a regular file and opens it.
func (fs *FS) Create(cancel <-chan struct{}, in *gofuse.CreateIn, name string, out *gofuse.CreateOut) gofuse.Status {
	c := fs.begin(cancel, &in.InHeader)
	defer c.done()
	if tooLong(name) {
		return enametoolong
	}
	n := volume.NewNode{
		Parent: honeyant.Ino(in.NodeId), Name: name,
		Mode:  in.Mode&^honeyant.ModeType | honeyant.ModeFile,
		Umask: in.Umask, UID: in.Uid, GID: in.Gid,
	}
	since := fs.kept.begin()
	exclusive := in.Flags&syscall.O_EXCL != 0
	a, f, err := fs.volume.Create(c.ctx, n, openFlags(in.Flags), exclusive)
	if err != nil {
		return status(err)
	}
	fs.entry(&a, &out.EntryOut)
	out.SetEntryTimeout(fs.keepName(n.Parent, name, a.Ino, since))
	if f.Made() {
		out.SetAttrTimeout(fs.keepNew(&a, in.Pid))
	}
	if h := fs.openOut(f, &out.OpenOut); exclusive && !f.Flags().Read && f.WithoutFlush() {
		h.eager = true
		out.OpenFlags |= gofuse.FOPEN_NOFLUSH
	}
	return gofuse.OK
}

// Read reads.
func (fs *FS) Read(cancel <-chan struct{}, in *gofuse.ReadIn, buf []byte) (gofuse.ReadResult, gofuse.Status) {
	c := fs.begin(cancel, &in.InHeader)
	defer c.done()
	f, ok := fs.file(in.Fh)
	if !ok {
		return nil, gofuse.EBADF
	}
	n, err := fs.read(c, f.File, buf[:min(len(buf), int(in.Size))], int64(in.Offset))
	if err != nil {
		return nil, status(err)
	}
	return gofuse.ReadResultData(buf[:n]), gofuse.OK
}

// read reads, and puts what comes along with a small read into the kernel's pages.
func (fs *FS) read(c *call, f *volume.File, p []byte, off int64) (n int, err error) {
	if len(p) > storedReads || f.Flags().Append || f.Flags().Direct {
		return f.ReadAt(c.ctx, p, off)
	}
	since, ino := fs.kept.begin(), f.Ino()
	if !fs.kept.mayStore(ino, func() time.Duration { return fs.volume.InodeLease(ino) }) {
		return f.ReadAt(c.ctx, p, off)
	}
	wide := fs.kept.buffer()
	if wide == nil {
		return f.ReadAt(c.ctx, p, off)
	}
	n, at, more, err := f.ReadAround(c.ctx, p, off, wide)
	if err != nil || more == 0 {
		fs.kept.free <- wide
		return n, err
	}
	go func() { // never here: the kernel waits for answers that this thread may have to give
		fs.kept.store(ino, since, at, wide[:more], off, off+int64(len(p)))
		fs.kept.free <- wide
	}()
	return n, nil
}

// Write writes into the volume's buffer, or through it if the file says so.
func (fs *FS) Write(cancel <-chan struct{}, in *gofuse.WriteIn, data []byte) (uint32, gofuse.Status) {
	c := fs.begin(cancel, &in.InHeader)
	defer c.done()
	f, ok := fs.file(in.Fh)
	if !ok {
		return 0, gofuse.EBADF
	}
	end := in.Flags&syscall.O_APPEND != 0 // as it is now: fcntl(2) may have changed it
	kill, cached := in.WriteFlags&gofuse.WRITE_KILL_SUIDGID != 0, in.WriteFlags&gofuse.WRITE_CACHE != 0
	privileged := kill && f.direct && f.Mode()&(honeyant.ModeSetuid|honeyant.ModeSetgid) != 0
	n, err := f.WriteAt(c.ctx, data, int64(in.Offset), volume.WriteFlags{Append: end, At: !end, KillPriv: kill, Cached: cached})
	if f.direct && !cached {
		fs.wrotePast(f, in, end, privileged)
	}
	if n > 0 {
		return uint32(n), gofuse.OK
	}
	return 0, status(err)
}

// Flush is close(2) of one descriptor.
func (fs *FS) Flush(cancel <-chan struct{}, in *gofuse.FlushIn) gofuse.Status {
	c := fs.begin(cancel, &in.InHeader)
	defer c.done()
	f, ok := fs.file(in.Fh)
	if !ok {
		return gofuse.EBADF
	}
	return status(f.Flush(c.ctx, in.LockOwner))
}

// Fsync is fsync(2) and fdatasync(2).
func (fs *FS) Fsync(cancel <-chan struct{}, in *gofuse.FsyncIn) gofuse.Status {
	c := fs.begin(cancel, &in.InHeader)
	defer c.done()
	f, ok := fs.file(in.Fh)
	if !ok {
		return gofuse.EBADF
	}
	return status(f.Fsync(c.ctx, in.FsyncFlags&1 != 0))
}

// releaseFlock is FUSE_RELEASE_FLOCK_UNLOCK.
const releaseFlock = 1 << 1

// Release ends an open file; nobody waits for it.
func (fs *FS) Release(cancel <-chan struct{}, in *gofuse.ReleaseIn) {
	c := fs.begin(cancel, &in.InHeader)
	defer c.done()
	f, ok := fs.files.take(in.Fh)
	if !ok {
		return
	}
	fs.pages.used(f.File)
	if f.Flags().Read {
		defer fs.readers.end(f.Ino())
	}
	if f.Flags().Write {
		defer fs.kept.wrote(f.Ino())
	}
	fs.giveBackLocks(c, f)
	var owner uint64
	if in.ReleaseFlags&releaseFlock != 0 {
		owner = in.LockOwner
	}
	if err := f.Release(c.ctx, owner); err != nil {
		fs.options.Log.Warn("fuse: release", "inode", in.NodeId, "error", err)
	}
}

// Fallocate is fallocate(2).
func (fs *FS) Fallocate(cancel <-chan struct{}, in *gofuse.FallocateIn) gofuse.Status {
	c := fs.begin(cancel, &in.InHeader)
	defer c.done()
	f, ok := fs.file(in.Fh)
	if !ok {
		return gofuse.EBADF
	}
	if in.Offset > math.MaxInt64 || in.Length > math.MaxInt64-in.Offset {
		return gofuse.Status(syscall.EFBIG)
	}
	return status(f.Allocate(c.ctx, in.Mode, int64(in.Offset), int64(in.Length)))
}

// Lseek is lseek(2) with SEEK_DATA and SEEK_HOLE.
func (fs *FS) Lseek(cancel <-chan struct{}, in *gofuse.LseekIn, out *gofuse.LseekOut) gofuse.Status {
	c := fs.begin(cancel, &in.InHeader)
	defer c.done()
	f, ok := fs.file(in.Fh)
	if !ok {
		return gofuse.EBADF
	}
	if in.Whence != unix.SEEK_DATA && in.Whence != unix.SEEK_HOLE {
		return gofuse.EINVAL
	}
	if in.Offset > math.MaxInt64 {
		return gofuse.Status(syscall.ENXIO)
	}
	off, err := f.Seek(c.ctx, int64(in.Offset), in.Whence == unix.SEEK_HOLE)
	if err != nil {
		return status(err)
	}
	out.Offset = uint64(off)
	return gofuse.OK
}

// CopyFileRange shares extents; what it can not do the kernel copies through the page cache.
func (fs *FS) CopyFileRange(cancel <-chan struct{}, in *gofuse.CopyFileRangeIn) (uint32, gofuse.Status) {
	c := fs.begin(cancel, &in.InHeader)
	defer c.done()
	src, ok1 := fs.file(in.FhIn)
	dst, ok2 := fs.file(in.FhOut)
	if !ok1 || !ok2 {
		return 0, gofuse.EBADF
	}
	if in.OffIn > math.MaxInt64 || in.OffOut > math.MaxInt64 {
		return 0, gofuse.EINVAL
	}
	length := min(in.Len, 1<<30) // the answer has 32 bits
	n, err := src.CopyRange(c.ctx, int64(in.OffIn), dst.File, int64(in.OffOut), int64(length))
	if n > 0 {
		return uint32(n), gofuse.OK
	}
	return 0, status(err)
}
