package meta

import (
	"fmt"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/rpc/wire"
)

// Make creates a name and its inode: file, directory, symlink, fifo, socket or device.
// The umask counts only if the parent has no default ACL (acl(5)). A setgid parent hands down
// its group, and to directories the bit itself.
type Make struct {
	Volume    honeyant.VolumeID
	Parent    honeyant.Ino
	Name      string
	Mode      uint32 // type and permission bits before the umask
	Umask     uint32
	UID       uint32
	GID       uint32
	Rdev      uint32 // of devices
	Target    string // of a symlink
	Exclusive bool   // an existing name is Exist; otherwise an existing regular file is answered, with Existed
	Open      bool   // also register an open, as Open does
}

// Code implements Op.
func (*Make) Code() Code { return CodeMake }

func (*Make) newReply() *EntryReply { return new(EntryReply) }

// Fields implements Op.
func (o *Make) Fields(c *wire.Codec) {
	wire.Uint(c, &o.Volume)
	wire.Uint(c, &o.Parent)
	c.String(&o.Name, honeyant.MaxName+1)
	wire.Uint(c, &o.Mode)
	wire.Uint(c, &o.Umask)
	wire.Uint(c, &o.UID)
	wire.Uint(c, &o.GID)
	wire.Uint(c, &o.Rdev)
	c.String(&o.Target, honeyant.MaxSymlink+1)
	c.Bool(&o.Exclusive)
	c.Bool(&o.Open)
}

func (o *Make) eval(tx *Tx) (Reply, error) {
	const op = "meta.Make"
	if err := o.check(op); err != nil {
		return nil, err
	}
	dir, err := tx.liveDirectory(op, o.Volume, o.Parent)
	if err != nil {
		return nil, err
	}
	if _, ok := tx.entry(o.Volume, o.Parent, o.Name); ok {
		return o.existing(op, tx)
	}
	isDir := o.Mode&honeyant.ModeType == honeyant.ModeDir
	if isDir && dir.Attr.Nlink >= MaxLinks {
		return nil, honeyant.E(op, honeyant.TooManyLinks, o.Name, nil)
	}
	i := o.inode(tx, dir)
	if err := o.inheritACL(op, tx, dir, i); err != nil {
		return nil, err
	}
	tx.putInode(o.Volume, i)
	tx.putEntry(o.Volume, o.Parent, o.Name, &i.Attr)
	if isDir {
		dir.Attr.Nlink++
	}
	tx.dirChanged(dir)
	tx.putInode(o.Volume, dir)
	tx.usage(o.Volume, func(u *StatFSReply) { u.Inodes++ })
	if o.Open {
		tx.opened(o.Volume, i.Attr.Ino)
	}
	return &EntryReply{Attr: i.Attr, Dir: dir.Attr}, nil
}

// check refuses bad names, types and targets.
func (o *Make) check(op string) error {
	if err := checkName(op, o.Name); err != nil {
		return err
	}
	switch o.Mode & honeyant.ModeType {
	case honeyant.ModeFile, honeyant.ModeDir, honeyant.ModeFifo, honeyant.ModeSocket, honeyant.ModeChar, honeyant.ModeBlock:
	case honeyant.ModeSymlink:
		if o.Target == "" {
			return honeyant.E(op, honeyant.NotExist, o.Name, fmt.Errorf("empty target"))
		}
		if len(o.Target) > honeyant.MaxSymlink {
			return honeyant.E(op, honeyant.NameTooLong, o.Name, fmt.Errorf("target of %d bytes", len(o.Target)))
		}
	default:
		return honeyant.E(op, honeyant.Invalid, o.Name, fmt.Errorf("mode %o", o.Mode))
	}
	return nil
}

// existing answers a name that is there already.
func (o *Make) existing(op string, tx *Tx) (Reply, error) {
	if o.Exclusive || o.Mode&honeyant.ModeType != honeyant.ModeFile {
		return nil, honeyant.E(op, honeyant.Exist, o.Name, nil)
	}
	i, err := tx.child(op, o.Volume, o.Parent, o.Name)
	switch {
	case err != nil:
		return nil, err
	case i.Attr.IsDir():
		return nil, honeyant.E(op, honeyant.IsDir, o.Name, nil)
	case !i.Attr.IsFile():
		return nil, honeyant.E(op, honeyant.Exist, o.Name, nil)
	}
	if o.Open {
		tx.opened(o.Volume, i.Attr.Ino)
	}
	return &EntryReply{Attr: i.Attr, Existed: true}, nil
}

// inode is the new inode, before ACLs.
func (o *Make) inode(tx *Tx, dir *Inode) *Inode {
	ino := tx.NewIno
	if ino == 0 {
		ino = honeyant.Ino(tx.next(counterInode))
	}
	i := &Inode{
		Attr: honeyant.Attr{
			Ino: ino, Mode: o.Mode & (honeyant.ModeType | 0o7777), Nlink: 1, UID: o.UID, GID: o.GID,
			Atime: tx.Now, Mtime: tx.Now, Ctime: tx.Now, Version: 1,
		},
		PolicyAt: dir.PolicyAt,
	}
	if dir.Attr.Mode&honeyant.ModeSetgid != 0 {
		i.Attr.GID = dir.Attr.GID
	}
	switch o.Mode & honeyant.ModeType {
	case honeyant.ModeFile:
		i.Data = DataID(ino) // later ones come from the same counter
	case honeyant.ModeDir:
		i.Attr.Nlink, i.Parent, i.Name = 2, o.Parent, o.Name
		i.Attr.Mode |= dir.Attr.Mode & honeyant.ModeSetgid
	case honeyant.ModeSymlink:
		i.Target, i.Attr.Size = o.Target, uint64(len(o.Target))
		i.Attr.Mode = honeyant.ModeSymlink | 0o777
	case honeyant.ModeChar, honeyant.ModeBlock:
		i.Attr.Rdev = o.Rdev
	}
	return i
}

// EntryReply is an inode found or made under a name.
type EntryReply struct {
	Attr    honeyant.Attr
	Existed bool          // Make: the name was there already
	Dir     honeyant.Attr // of the directory after the change; Ino 0: nothing was changed
}

// Fields implements Reply.
func (r *EntryReply) Fields(c *wire.Codec) {
	wire.Attr(c, &r.Attr)
	c.Bool(&r.Existed)
	optionalAttr(c, &r.Dir)
}

// optionalAttr is an attribute that is often not there: Ino 0.
func optionalAttr(c *wire.Codec, a *honeyant.Attr) {
	there := a.Ino != 0
	if c.Bool(&there); there {
		wire.Attr(c, a)
	}
}
