package meta

import (
	"fmt"

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
	c.Bytes(&o.Value, 2*honeyant.MaxXattr)
	c.Bool(&o.Create)
	c.Bool(&o.Replace)
	c.Bool(&o.KillSgid)
}

func (o *SetXattr) eval(tx *Tx) (Reply, error) {
	const op = "meta.SetXattr"
	if err := checkXattrName(op, o.Name); err != nil {
		return nil, err
	}
	switch {
	case o.Create && o.Replace:
		return nil, honeyant.E(op, honeyant.Invalid, o.Name, fmt.Errorf("create and replace exclude each other"))
	case len(o.Value) > honeyant.MaxXattr:
		return nil, honeyant.E(op, honeyant.TooBig, o.Name, nil)
	}
	i, err := tx.inode(op, o.Volume, o.Ino)
	if err != nil {
		return nil, err
	}
	if err := xattrWritable(op, o.Name, i); err != nil {
		return nil, err
	}
	if o.Create || o.Replace {
		_, had := tx.get(xattrKey(o.Volume, o.Ino, o.Name))
		if had && o.Create {
			return nil, honeyant.E(op, honeyant.Exist, o.Name, nil)
		}
		if !had && o.Replace {
			return nil, honeyant.E(op, honeyant.NoAttr, o.Name, nil)
		}
	}
	switch o.Name {
	case xattrAccess, xattrDefault:
		err = o.setACL(op, tx, i)
	default:
		err = tx.setXattr(op, o.Volume, i, o.Name, o.Value)
	}
	if err != nil {
		return nil, err
	}
	tx.changed(i)
	tx.putInode(o.Volume, i)
	return &AttrReply{Attr: i.Attr}, nil
}

// setACL stores an ACL; one that the mode says wholly, or an empty one, is not kept.
func (o *SetXattr) setACL(op string, tx *Tx, i *Inode) error {
	list, err := parseACL(o.Value)
	if err != nil {
		return honeyant.E(op, honeyant.Invalid, o.Name, err)
	}
	keep := list != nil
	if o.Name == xattrDefault {
		if keep && !i.Attr.IsDir() {
			return honeyant.E(op, honeyant.Permission, o.Name, fmt.Errorf("only directories have a default ACL"))
		}
	} else {
		if keep {
			bits, all := list.mode()
			i.Attr.Mode = i.Attr.Mode&^0o777 | bits
			keep = !all
		}
		if o.KillSgid {
			i.Attr.Mode &^= honeyant.ModeSetgid
		}
	}
	if keep {
		return tx.setXattr(op, o.Volume, i, o.Name, list.bytes())
	}
	tx.removeXattr(o.Volume, i, o.Name)
	return nil
}
