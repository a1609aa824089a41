package meta

import (
	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/rpc/wire"
)

// Rename moves a name, replacing what the new name stood for, atomically (rename(2)).
type Rename struct {
	Volume    honeyant.VolumeID
	OldParent honeyant.Ino
	OldName   string
	NewParent honeyant.Ino
	NewName   string
	NoReplace bool // RENAME_NOREPLACE: an existing new name is Exist
	Exchange  bool // RENAME_EXCHANGE: both must exist and swap places
}

// Code implements Op.
func (*Rename) Code() Code { return CodeRename }

func (*Rename) newReply() *RenameReply { return new(RenameReply) }

// Fields implements Op.
func (o *Rename) Fields(c *wire.Codec) {
	wire.Uint(c, &o.Volume)
	wire.Uint(c, &o.OldParent)
	c.String(&o.OldName, honeyant.MaxName+1)
	wire.Uint(c, &o.NewParent)
	c.String(&o.NewName, honeyant.MaxName+1)
	c.Bool(&o.NoReplace)
	c.Bool(&o.Exchange)
}

func (o *Rename) eval(tx *Tx) (Reply, error) {
	return nil, honeyant.E("meta.Rename", honeyant.Unsupported, "", nil)
}

// RenameReply tells what moved.
type RenameReply struct {
	Moved honeyant.Attr // the inode now under the new name
	Other honeyant.Attr // the replaced (Nlink after the change) or exchanged inode; Ino 0: none
}

// Fields implements Reply.
func (r *RenameReply) Fields(c *wire.Codec) {
	wire.Attr(c, &r.Moved)
	wire.Attr(c, &r.Other)
}
