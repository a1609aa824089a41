package meta

import (
	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/rpc/wire"
)

// SetXattr sets an extended attribute. system.posix_acl_access and _default are parsed,
// stored, and kept in step with the mode bits (acl(5)).
type SetXattr struct {
	Volume   honeyant.VolumeID
	Ino      honeyant.Ino
	Name     string // with its prefix: user. trusted. security. system.posix_acl_
	Value    []byte
	Create   bool // XATTR_CREATE
	Replace  bool // XATTR_REPLACE
	KillSgid bool // FUSE_SETXATTR_ACL_KILL_SGID: clear setgid while setting an access ACL
}

// Code implements Op.
func (*SetXattr) Code() Code { return CodeSetXattr }

func (*SetXattr) newReply() *AttrReply { return new(AttrReply) }

// Fields implements Op.
func (o *SetXattr) Fields(c *wire.Codec) {
	wire.Uint(c, &o.Volume)
	wire.Uint(c, &o.Ino)
	c.String(&o.Name, honeyant.MaxName+1)
	c.Bytes(&o.Value, honeyant.MaxXattr)
	c.Bool(&o.Create)
	c.Bool(&o.Replace)
	c.Bool(&o.KillSgid)
}

func (o *SetXattr) eval(tx *Tx) (Reply, error) {
	return nil, honeyant.E("meta.SetXattr", honeyant.Unsupported, "", nil)
}
