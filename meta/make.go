package meta

import (
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
	return nil, honeyant.E("meta.Make", honeyant.Unsupported, "", nil)
}

// EntryReply is an inode found or made under a name.
type EntryReply struct {
	Attr    honeyant.Attr
	Existed bool // Make: the name was there already
}

// Fields implements Reply.
func (r *EntryReply) Fields(c *wire.Codec) {
	wire.Attr(c, &r.Attr)
	c.Bool(&r.Existed)
}
