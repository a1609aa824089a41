package fuse

import (
	"syscall"
	"time"

	gofuse "github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/meta"
	"github.com/honeyant/honeyant/volume"
)

const (
	enametoolong = gofuse.Status(syscall.ENAMETOOLONG)
)

// tooLong spares the leader what it would refuse.
func tooLong(name string) bool { return len(name) > honeyant.MaxName }

// Lookup finds a name.
func (fs *FS) Lookup(cancel <-chan struct{}, h *gofuse.InHeader, name string, out *gofuse.EntryOut) gofuse.Status {
	c := fs.begin(cancel, h)
	defer c.done()
	if tooLong(name) {
		return enametoolong
	}
	c.looks()
	parent := honeyant.Ino(h.NodeId)
	since := fs.kept.begin()
	a, err := fs.volume.Lookup(c.ctx, parent, name)
	if err != nil {
		if d := keptNothing(err, func() time.Duration { return fs.keepName(parent, name, 0, since) }); d > 0 {
			out.NodeId = 0
			out.SetEntryTimeout(d)
			return gofuse.OK
		}
		return status(c.told(err))
	}
	fs.kept.searched(parent)
	fs.entry(&a, out)
	out.SetEntryTimeout(fs.keepName(parent, name, a.Ino, since))
	out.SetAttrTimeout(fs.keepAttr(&a, asker{since, h.Pid}))
	return gofuse.OK
}

// keepName tells how long the kernel may take it for certain that a name stands for ino, 0: for nothing.
func (fs *FS) keepName(parent honeyant.Ino, name string, ino honeyant.Ino, since uint64) time.Duration {
	return fs.kept.name(parent, since, func() time.Duration { return fs.volume.NameLease(parent, name, ino) })
}

// keepAttr is keepName for attributes.
func (fs *FS) keepAttr(a *honeyant.Attr, from asker) time.Duration {
	return fs.kept.attr(a.Ino, from, func() time.Duration { return fs.volume.AttrLease(a) })
}

// keepNew is keepAttr for an inode that the thread has just made. Its making has dropped what was told before, itself included; but what
// comes after it either finds other attributes, or is dropped from now on.
func (fs *FS) keepNew(a *honeyant.Attr, thread uint32) time.Duration {
	return fs.keepAttr(a, asker{fs.kept.begin(), thread})
}

// keptNothing tells how long the kernel may take it for certain that there is no such name.
func keptNothing(err error, keep func() time.Duration) time.Duration {
	if honeyant.KindOf(err) != honeyant.NotExist {
		return 0
	}
	return keep()
}

// Mknod makes a file, fifo, socket or device.
func (fs *FS) Mknod(cancel <-chan struct{}, in *gofuse.MknodIn, name string, out *gofuse.EntryOut) gofuse.Status {
	return fs.make(cancel, &in.InHeader, volume.NewNode{Name: name, Mode: in.Mode, Umask: in.Umask, Rdev: in.Rdev}, out)
}

// Mkdir makes a directory.
func (fs *FS) Mkdir(cancel <-chan struct{}, in *gofuse.MkdirIn, name string, out *gofuse.EntryOut) gofuse.Status {
	mode := in.Mode&^honeyant.ModeType | honeyant.ModeDir
	return fs.make(cancel, &in.InHeader, volume.NewNode{Name: name, Mode: mode, Umask: in.Umask}, out)
}

// Symlink makes a symbolic link.
func (fs *FS) Symlink(cancel <-chan struct{}, h *gofuse.InHeader, target, name string, out *gofuse.EntryOut) gofuse.Status {
	if len(target) > honeyant.MaxSymlink {
		return enametoolong
	}
	return fs.make(cancel, h, volume.NewNode{Name: name, Mode: honeyant.ModeSymlink | 0o777, Target: target}, out)
}

func (fs *FS) make(cancel <-chan struct{}, h *gofuse.InHeader, n volume.NewNode, out *gofuse.EntryOut) gofuse.Status {
	c := fs.begin(cancel, h)
	defer c.done()
	if tooLong(n.Name) {
		return enametoolong
	}
	n.Parent, n.UID, n.GID = honeyant.Ino(h.NodeId), h.Uid, h.Gid
	since := fs.kept.begin()
	a, err := fs.volume.Make(c.ctx, n)
	if err != nil {
		return status(err)
	}
	fs.entry(&a, out)
	out.SetEntryTimeout(fs.keepName(n.Parent, n.Name, a.Ino, since))
	out.SetAttrTimeout(fs.keepNew(&a, h.Pid))
	return gofuse.OK
}

// Link gives a file one more name.
func (fs *FS) Link(cancel <-chan struct{}, in *gofuse.LinkIn, name string, out *gofuse.EntryOut) gofuse.Status {
	c := fs.begin(cancel, &in.InHeader)
	defer c.done()
	if tooLong(name) {
		return enametoolong
	}
	a, err := fs.volume.Link(c.ctx, honeyant.Ino(in.Oldnodeid), honeyant.Ino(in.NodeId), name)
	if err != nil {
		return status(err)
	}
	fs.entry(&a, out)
	return gofuse.OK
}

// Unlink removes a name.
func (fs *FS) Unlink(cancel <-chan struct{}, h *gofuse.InHeader, name string) gofuse.Status {
	c := fs.begin(cancel, h)
	defer c.done()
	if tooLong(name) {
		return enametoolong
	}
	return status(fs.volume.Unlink(c.ctx, honeyant.Ino(h.NodeId), name))
}

// Rmdir removes an empty directory.
func (fs *FS) Rmdir(cancel <-chan struct{}, h *gofuse.InHeader, name string) gofuse.Status {
	c := fs.begin(cancel, h)
	defer c.done()
	if tooLong(name) {
		return enametoolong
	}
	return status(fs.volume.Rmdir(c.ctx, honeyant.Ino(h.NodeId), name))
}

// Rename moves a name; RENAME_NOREPLACE and RENAME_EXCHANGE are known.
func (fs *FS) Rename(cancel <-chan struct{}, in *gofuse.RenameIn, oldName, newName string) gofuse.Status {
	c := fs.begin(cancel, &in.InHeader)
	defer c.done()
	if tooLong(oldName) || tooLong(newName) {
		return enametoolong
	}
	if in.Flags&^(unix.RENAME_NOREPLACE|unix.RENAME_EXCHANGE) != 0 {
		return gofuse.EINVAL
	}
	return status(fs.volume.Rename(c.ctx, &meta.Rename{
		OldParent: honeyant.Ino(in.NodeId), OldName: oldName,
		NewParent: honeyant.Ino(in.Newdir), NewName: newName,
		NoReplace: in.Flags&unix.RENAME_NOREPLACE != 0,
		Exchange:  in.Flags&unix.RENAME_EXCHANGE != 0,
	}))
}

// Readlink tells where a symbolic link points.
func (fs *FS) Readlink(cancel <-chan struct{}, h *gofuse.InHeader) ([]byte, gofuse.Status) {
	c := fs.begin(cancel, h)
	defer c.done()
	target, err := fs.volume.ReadLink(c.ctx, honeyant.Ino(h.NodeId))
	return []byte(target), status(err)
}
