package meta

import (
	"fmt"

	"github.com/honeyant/honeyant"
)

// MaxLinks bounds the link count of an inode, so also the subdirectories of a directory.
const MaxLinks = 65000

// inode loads an inode by number. A number that names none was one once: Stale.
func (t *Tx) inode(op string, v honeyant.VolumeID, ino honeyant.Ino) (*Inode, error) {
	i := t.slot()
	if !t.loadInode(v, ino, i) {
		return nil, honeyant.E(op, honeyant.Stale, inoString(ino), t.err)
	}
	return i, nil
}

// directory is inode for what must be a directory.
func (t *Tx) directory(op string, v honeyant.VolumeID, ino honeyant.Ino) (*Inode, error) {
	i, err := t.inode(op, v, ino)
	if err == nil && !i.Attr.IsDir() {
		return nil, honeyant.E(op, honeyant.NotDir, inoString(ino), nil)
	}
	return i, err
}

// liveDirectory is directory for what is about to get a name: a removed one takes none.
func (t *Tx) liveDirectory(op string, v honeyant.VolumeID, ino honeyant.Ino) (*Inode, error) {
	i, err := t.directory(op, v, ino)
	if err == nil && i.Attr.Nlink == 0 {
		return nil, honeyant.E(op, honeyant.NotExist, inoString(ino), fmt.Errorf("the directory was removed"))
	}
	return i, err
}

// file is inode for what must be a regular file.
func (t *Tx) file(op string, v honeyant.VolumeID, ino honeyant.Ino) (*Inode, error) {
	i, err := t.inode(op, v, ino)
	switch {
	case err != nil:
		return nil, err
	case i.Attr.IsDir():
		return nil, honeyant.E(op, honeyant.IsDir, inoString(ino), nil)
	case !i.Attr.IsFile():
		return nil, honeyant.E(op, honeyant.Invalid, inoString(ino), fmt.Errorf("not a regular file"))
	}
	return i, nil
}

// putInode stores an inode.
func (t *Tx) putInode(v honeyant.VolumeID, i *Inode) {
	t.store(inoKey(tabInode, v, i.Attr.Ino), i.fields)
	if t.Inodes != nil {
		t.inodes = append(t.inodes, *i)
	}
}

// changed notes a change of attributes: ctime and version.
func (t *Tx) changed(i *Inode) {
	i.Attr.Ctime = t.Now
	i.Attr.Version++
}

// written notes a change of content. The modification time always moves forward, so that a
// client that compares it can not miss the change. [16]
func (t *Tx) written(i *Inode) {
	if next := i.Attr.Mtime.AfterBy1(); t.Now.Before(next) {
		i.Attr.Mtime = next
	} else {
		i.Attr.Mtime = t.Now
	}
	t.changed(i)
}

// writtenAt is written for what was written at a moment that may be past: what a program saw of the times before the
// commit stays true.
func (t *Tx) writtenAt(i *Inode, at honeyant.Time) {
	if next := i.Attr.Mtime.AfterBy1(); at.Before(next) {
		at = next
	}
	i.Attr.Mtime = at
	if i.Attr.Ctime.Before(at) {
		i.Attr.Ctime = at
	}
	i.Attr.Version++
}

// dirChanged notes that a directory's entries changed (M8).
func (t *Tx) dirChanged(i *Inode) {
	i.Attr.Mtime = t.Now
	t.changed(i)
}

// unlinked takes one name off an inode (all, if it is a directory). Without any name left it is
// deleted at once if that is little and nobody has it open, else it is an orphan until Reap. [22]
func (t *Tx) unlinked(v honeyant.VolumeID, i *Inode) {
	t.changed(i)
	if i.Attr.Nlink--; i.Attr.IsDir() {
		i.Attr.Nlink = 0
	}
	if i.Attr.Nlink == 0 && t.deletable(v, i) {
		t.deleteInode(v, i)
		return
	}
	if i.Attr.Nlink == 0 {
		t.put(inoKey(tabOrphan, v, i.Attr.Ino), nil)
		t.counts(v, func(c *CountsReply) { c.Orphans++ })
	}
	t.putInode(v, i)
}

// deletable tells whether nothing but the inode and its data is there, and nobody has it open.
func (t *Tx) deletable(v honeyant.VolumeID, i *Inode) bool {
	if i.Marks != 0 || i.PolicyAt == i.Attr.Ino || t.isOpen(v, i.Attr.Ino) {
		return false
	}
	_, locked := t.get(inoKey(tabLocks, v, i.Attr.Ino))
	return !locked
}

// deleteInode deletes an inode with its data; many extents are queued. What else there may be
// about it is gone already.
func (t *Tx) deleteInode(v honeyant.VolumeID, i *Inode) {
	if i.Attr.IsFile() {
		m := t.fileMap(v, i)
		err := m.cut("meta.deleteInode", 0, ^uint64(0), swapAbove)
		switch {
		case honeyant.KindOf(err) == honeyant.OutOfRange && err != nil:
			t.queueData(v, i)
		default:
			t.fail(err)
			t.fail(m.close())
			t.unfloor(v, i)
		}
	}
	t.del(inoKey(tabInode, v, i.Attr.Ino))
	t.usage(v, func(u *StatFSReply) { u.Inodes-- })
}

// killPriv drops what a change by somebody else must not leave behind: setuid, setgid of a
// group-executable file, and file capabilities.
func (t *Tx) killPriv(v honeyant.VolumeID, i *Inode) {
	if i.Attr.IsDir() {
		return
	}
	i.Attr.Mode &^= honeyant.ModeSetuid
	if i.Attr.Mode&0o010 != 0 {
		i.Attr.Mode &^= honeyant.ModeSetgid
	}
	if i.Marks&markCaps != 0 {
		t.removeXattr(v, i, xattrCaps)
	}
}

// opened registers an open of the asking session, when the operation is accepted.
func (t *Tx) opened(v honeyant.VolumeID, ino honeyant.Ino) {
	t.opens = append(t.opens, OpenFile{v, ino})
}

// accept registers what the operation has opened.
func (t *Tx) accept() {
	for _, f := range t.opens {
		if t.Opens != nil {
			t.Opens.Add(t.Session, f.Volume, f.Ino)
		}
	}
}

func (t *Tx) isOpen(v honeyant.VolumeID, ino honeyant.Ino) bool {
	return t.Opens != nil && t.Opens.IsOpen(v, ino)
}

func inoString(ino honeyant.Ino) string { return fmt.Sprintf("inode %d", ino) }
