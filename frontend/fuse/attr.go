package fuse

import (
	gofuse "github.com/hanwen/go-fuse/v2/fuse"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/meta"
)

// GetAttr is stat(2).
func (fs *FS) GetAttr(cancel <-chan struct{}, in *gofuse.GetAttrIn, out *gofuse.AttrOut) gofuse.Status {
	since := fs.kept.begin()
	c := fs.begin(cancel, &in.InHeader)
	defer c.done()
	c.looks()
	a, err := fs.volume.GetAttr(c.ctx, honeyant.Ino(in.NodeId))
	if err != nil {
		return status(c.told(err))
	}
	fs.fill(&a, &out.Attr)
	out.SetTimeout(fs.keepAttr(&a, asker{since, in.Pid}))
	return gofuse.OK
}

// attrMasks translates FATTR_ bits. FATTR_CTIME needs nothing: each change stamps ctime.
var attrMasks = [...]struct {
	valid uint32
	mask  meta.AttrMask
}{
	{gofuse.FATTR_MODE, meta.SetMode},
	{gofuse.FATTR_UID, meta.SetUID},
	{gofuse.FATTR_GID, meta.SetGID},
	{gofuse.FATTR_SIZE, meta.SetSize},
	{gofuse.FATTR_ATIME, meta.SetAtime},
	{gofuse.FATTR_MTIME, meta.SetMtime},
	{gofuse.FATTR_ATIME_NOW, meta.SetAtimeNow},
	{gofuse.FATTR_MTIME_NOW, meta.SetMtimeNow},
	{gofuse.FATTR_KILL_SUIDGID, meta.KillPriv},
}

// SetAttr is chmod, chown, truncate and utimensat.
func (fs *FS) SetAttr(cancel <-chan struct{}, in *gofuse.SetAttrIn, out *gofuse.AttrOut) gofuse.Status {
	c := fs.begin(cancel, &in.InHeader)
	defer c.done()
	if ino := honeyant.Ino(in.NodeId); in.Valid&gofuse.FATTR_SIZE != 0 {
		fs.kept.writes(ino)
		defer fs.kept.wrote(ino)
	}
	a, err := fs.volume.SetAttr(c.ctx, setAttrOp(&in.SetAttrInCommon))
	if err != nil {
		return status(err)
	}
	fs.fill(&a, &out.Attr)
	out.SetTimeout(0) // F8
	return gofuse.OK
}

func setAttrOp(in *gofuse.SetAttrInCommon) *meta.SetAttr {
	op := &meta.SetAttr{
		Ino:   honeyant.Ino(in.NodeId),
		Mode:  in.Mode &^ honeyant.ModeType,
		UID:   in.Uid,
		GID:   in.Gid,
		Size:  in.Size,
		Atime: honeyant.Time{Sec: int64(in.Atime), Nsec: in.Atimensec},
		Mtime: honeyant.Time{Sec: int64(in.Mtime), Nsec: in.Mtimensec},
	}
	for _, m := range attrMasks {
		if in.Valid&m.valid != 0 {
			op.Valid |= m.mask
		}
	}
	// With the Now bits the kernel sends the plain ones too; only one of each pair counts.
	if op.Valid&meta.SetAtimeNow != 0 {
		op.Valid &^= meta.SetAtime
	}
	if op.Valid&meta.SetMtimeNow != 0 {
		op.Valid &^= meta.SetMtime
	}
	// chown(2) takes setuid and setgid away whoever calls it; with HANDLE_KILLPRIV_V2 the kernel
	// leaves that to the file system.
	if op.Valid&(meta.SetUID|meta.SetGID) != 0 {
		op.Valid |= meta.KillPriv
	}
	return op
}

// StatFs is statfs(2).
func (fs *FS) StatFs(cancel <-chan struct{}, h *gofuse.InHeader, out *gofuse.StatfsOut) gofuse.Status {
	c := fs.begin(cancel, h)
	defer c.done()
	s, err := fs.volume.StatFS(c.ctx)
	if err != nil {
		return status(err)
	}
	size := uint64(max(s.BlockSize, 512))
	*out = gofuse.StatfsOut{
		Blocks:  s.TotalBytes / size,
		Bfree:   s.FreeBytes / size,
		Bavail:  s.AvailBytes / size,
		Files:   s.Files + s.FreeFiles,
		Ffree:   s.FreeFiles,
		Bsize:   uint32(size),
		Frsize:  uint32(size),
		NameLen: s.MaxName,
	}
	return gofuse.OK
}
