package fuse

import (
	"strings"

	gofuse "github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/meta"
)

// aclXattrs begin the names of ACLs.
const aclXattrs = "system.posix_acl_"

// GetXAttr tells an extended attribute.
func (fs *FS) GetXAttr(cancel <-chan struct{}, h *gofuse.InHeader, name string, dest []byte) (uint32, gofuse.Status) {
	if name == aliveXattr {
		return 0, gofuse.ENODATA
	}
	c := fs.begin(cancel, h)
	defer c.done()
	if strings.HasPrefix(name, aclXattrs) {
		fs.kept.asked(honeyant.Ino(h.NodeId))
	}
	value, err := fs.volume.GetXattr(c.ctx, honeyant.Ino(h.NodeId), name)
	if err != nil {
		return 0, status(err)
	}
	if len(dest) < len(value) {
		return uint32(len(value)), gofuse.ERANGE // go-fuse makes OK of it when only the size was asked for
	}
	return uint32(copy(dest, value)), gofuse.OK
}

// ListXAttr lists names, each ended by a zero byte. trusted.* is for root's eyes.
func (fs *FS) ListXAttr(cancel <-chan struct{}, h *gofuse.InHeader, dest []byte) (uint32, gofuse.Status) {
	c := fs.begin(cancel, h)
	defer c.done()
	names, err := fs.volume.ListXattr(c.ctx, honeyant.Ino(h.NodeId))
	if err != nil {
		return 0, status(err)
	}
	var list strings.Builder
	for _, name := range names {
		if h.Uid == 0 || !strings.HasPrefix(name, "trusted.") {
			list.WriteString(name)
			list.WriteByte(0)
		}
	}
	if len(dest) < list.Len() {
		return uint32(list.Len()), gofuse.ERANGE
	}
	return uint32(copy(dest, list.String())), gofuse.OK
}

// SetXAttr sets an extended attribute or an ACL.
func (fs *FS) SetXAttr(cancel <-chan struct{}, in *gofuse.SetXAttrIn, name string, value []byte) gofuse.Status {
	c := fs.begin(cancel, &in.InHeader)
	defer c.done()
	return status(fs.volume.SetXattr(c.ctx, &meta.SetXattr{
		Ino: honeyant.Ino(in.NodeId), Name: name, Value: append([]byte(nil), value...),
		Create:   in.Flags&unix.XATTR_CREATE != 0,
		Replace:  in.Flags&unix.XATTR_REPLACE != 0,
		KillSgid: in.SetXAttrFlags&gofuse.SETXATTR_ACL_KILL_SGID != 0,
	}))
}

// RemoveXAttr removes an extended attribute.
func (fs *FS) RemoveXAttr(cancel <-chan struct{}, h *gofuse.InHeader, name string) gofuse.Status {
	c := fs.begin(cancel, h)
	defer c.done()
	return status(fs.volume.RemoveXattr(c.ctx, honeyant.Ino(h.NodeId), name))
}
