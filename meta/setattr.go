package meta

import (
	"fmt"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/rpc/wire"
)

// SetAttr changes the attributes that Valid names. A smaller size cuts: bytes past it read as
// zero if the file grows again (rule 24). Conflict: an earlier large cut is still being freed, try again.
type SetAttr struct {
	Volume honeyant.VolumeID
	Ino    honeyant.Ino
	Valid  AttrMask
	Mode   uint32 // permission bits
	UID    uint32
	GID    uint32
	Size   uint64 // bytes
	Atime  honeyant.Time
	Mtime  honeyant.Time
}

// Code implements Op.
func (*SetAttr) Code() Code { return CodeSetAttr }

func (*SetAttr) newReply() *AttrReply { return new(AttrReply) }

// Fields implements Op.
func (o *SetAttr) Fields(c *wire.Codec) {
	wire.Uint(c, &o.Volume)
	wire.Uint(c, &o.Ino)
	wire.Uint(c, &o.Valid)
	wire.Uint(c, &o.Mode)
	wire.Uint(c, &o.UID)
	wire.Uint(c, &o.GID)
	wire.Uint(c, &o.Size)
	wire.Time(c, &o.Atime)
	wire.Time(c, &o.Mtime)
}

func (o *SetAttr) eval(tx *Tx) (Reply, error) {
	const op = "meta.SetAttr"
	i, err := tx.inode(op, o.Volume, o.Ino)
	if err != nil {
		return nil, err
	}
	if o.Valid == 0 {
		return &AttrReply{Attr: i.Attr}, nil
	}
	if err := o.check(op, i); err != nil {
		return nil, err
	}
	if o.Valid&SetSize != 0 {
		if err := tx.setSize(op, o.Volume, i, o.Size); err != nil {
			return nil, err
		}
		tx.written(i)
	} else {
		tx.changed(i)
	}
	if o.Valid&(SetUID|SetGID|KillPriv) != 0 {
		tx.killPriv(o.Volume, i)
	}
	if o.Valid&SetUID != 0 {
		i.Attr.UID = o.UID
	}
	if o.Valid&SetGID != 0 {
		i.Attr.GID = o.GID
	}
	if o.Valid&SetMode != 0 {
		i.Attr.Mode = i.Attr.Mode&honeyant.ModeType | o.Mode&0o7777
		if err := tx.chmodACL(op, o.Volume, i); err != nil {
			return nil, err
		}
	}
	o.times(tx, i)
	tx.putInode(o.Volume, i)
	return &AttrReply{Attr: i.Attr}, nil
}

func (o *SetAttr) check(op string, i *Inode) error {
	if o.Valid&SetMode != 0 && i.Attr.IsSymlink() {
		return honeyant.E(op, honeyant.Unsupported, inoString(o.Ino), fmt.Errorf("a symbolic link has no mode"))
	}
	if o.Valid&SetAtime != 0 && o.Atime.Nsec > maxNsec || o.Valid&SetMtime != 0 && o.Mtime.Nsec > maxNsec {
		return honeyant.E(op, honeyant.Invalid, inoString(o.Ino), fmt.Errorf("nanoseconds out of range"))
	}
	if o.Valid&SetSize == 0 {
		return nil
	}
	switch {
	case i.Attr.IsDir():
		return honeyant.E(op, honeyant.IsDir, inoString(o.Ino), nil)
	case !i.Attr.IsFile():
		return honeyant.E(op, honeyant.Invalid, inoString(o.Ino), fmt.Errorf("not a regular file"))
	case o.Size > honeyant.MaxFileSize:
		return honeyant.E(op, honeyant.TooLarge, inoString(o.Ino), nil)
	}
	return nil
}

func (o *SetAttr) times(tx *Tx, i *Inode) {
	switch {
	case o.Valid&SetAtimeNow != 0:
		i.Attr.Atime = tx.Now
	case o.Valid&SetAtime != 0:
		i.Attr.Atime = o.Atime
	}
	switch {
	case o.Valid&SetMtimeNow != 0:
		i.Attr.Mtime = tx.Now
	case o.Valid&SetMtime != 0:
		i.Attr.Mtime = o.Mtime
	}
}

const maxNsec = 999_999_999

// AttrMask says which attributes SetAttr changes.
type AttrMask uint16

// Bits of AttrMask. The Now bits take the leader's clock instead of the given time.
// KillPriv clears setuid, and setgid if group-executable (CAP_HANDLE_KILLPRIV_V2).
const (
	SetMode AttrMask = 1 << iota
	SetUID
	SetGID
	SetSize
	SetAtime
	SetMtime
	SetAtimeNow
	SetMtimeNow
	KillPriv
)

// AttrReply is the inode after the change, or as it is.
type AttrReply struct {
	Attr honeyant.Attr
}

// Fields implements Reply.
func (r *AttrReply) Fields(c *wire.Codec) {
	wire.Attr(c, &r.Attr)
}
