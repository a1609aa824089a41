package meta

import (
	"fmt"

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
	const op = "meta.Rename"
	m, err := o.load(op, tx)
	if err != nil {
		return nil, err
	}
	if err := o.structure(op, tx, m); err != nil {
		return nil, err
	}
	if m.target != nil && m.target.Attr.Ino == m.source.Attr.Ino {
		return &RenameReply{Moved: m.source.Attr}, nil
	}
	if o.Exchange {
		return o.exchange(tx, m), nil
	}
	if err := o.replaceable(op, tx, m); err != nil {
		return nil, err
	}
	reply := &RenameReply{}
	if m.target != nil {
		if m.target.Attr.IsDir() {
			m.newDir.Attr.Nlink--
		}
		tx.unlinked(o.Volume, m.target)
		reply.Other = m.target.Attr
	}
	tx.del(dentryKey(o.Volume, o.OldParent, o.OldName))
	m.move(tx, o.Volume, m.source, m.oldDir, m.newDir, o.NewName)
	m.storeDirs(tx, o.Volume)
	reply.Moved, reply.OldDir, reply.NewDir = m.source.Attr, m.oldDir.Attr, m.newDir.Attr
	return reply, nil
}

// A renaming is what a Rename works on. oldDir and newDir are one and the same if the parents are.
type renaming struct {
	oldDir, newDir *Inode
	source, target *Inode // target nil: the new name is free
}

func (o *Rename) load(op string, tx *Tx) (*renaming, error) {
	if o.NoReplace && o.Exchange {
		return nil, honeyant.E(op, honeyant.Invalid, o.NewName, fmt.Errorf("no-replace and exchange exclude each other"))
	}
	for _, name := range []string{o.OldName, o.NewName} {
		if err := checkName(op, name); err != nil {
			return nil, err
		}
	}
	m := &renaming{}
	var err error
	if m.oldDir, err = tx.directory(op, o.Volume, o.OldParent); err != nil {
		return nil, err
	}
	m.newDir = m.oldDir
	if o.NewParent != o.OldParent {
		if m.newDir, err = tx.directory(op, o.Volume, o.NewParent); err != nil {
			return nil, err
		}
	}
	if m.source, err = tx.child(op, o.Volume, o.OldParent, o.OldName); err != nil {
		return nil, err
	}
	if m.newDir.Attr.Nlink == 0 {
		return nil, honeyant.E(op, honeyant.NotExist, inoString(o.NewParent), fmt.Errorf("the directory was removed"))
	}
	if _, ok := tx.entry(o.Volume, o.NewParent, o.NewName); ok {
		if m.target, err = tx.child(op, o.Volume, o.NewParent, o.NewName); err != nil {
			return nil, err
		}
	}
	return m, tx.err
}

// structure refuses what would tear the tree, and what the flags forbid.
func (o *Rename) structure(op string, tx *Tx, m *renaming) error {
	if o.NoReplace && m.target != nil {
		return honeyant.E(op, honeyant.Exist, o.NewName, nil)
	}
	if o.Exchange && m.target == nil {
		return honeyant.E(op, honeyant.NotExist, o.NewName, nil)
	}
	if o.OldParent == o.NewParent {
		return nil
	}
	if m.source.Attr.IsDir() {
		in, err := tx.within(op, o.Volume, m.newDir, m.source.Attr.Ino)
		if err != nil {
			return err
		}
		if in {
			return honeyant.E(op, honeyant.Invalid, o.NewName, fmt.Errorf("a directory can not move into itself"))
		}
	}
	if m.target != nil && m.target.Attr.IsDir() {
		in, err := tx.within(op, o.Volume, m.oldDir, m.target.Attr.Ino)
		if err != nil {
			return err
		}
		if in && o.Exchange {
			return honeyant.E(op, honeyant.Invalid, o.NewName, fmt.Errorf("a directory can not move into itself"))
		}
		if in {
			return honeyant.E(op, honeyant.NotEmpty, o.NewName, nil)
		}
	}
	if !o.Exchange {
		return nil
	}
	// An exchange across parents moves a subdirectory from one to the other.
	for _, side := range []struct {
		gets, loses *Inode
		dir         *Inode
	}{{m.source, m.target, m.newDir}, {m.target, m.source, m.oldDir}} {
		if side.gets.Attr.IsDir() && !side.loses.Attr.IsDir() && side.dir.Attr.Nlink >= MaxLinks {
			return honeyant.E(op, honeyant.TooManyLinks, o.NewName, nil)
		}
	}
	return nil
}

// replaceable refuses targets that the source can not take the place of.
func (o *Rename) replaceable(op string, tx *Tx, m *renaming) error {
	isDir := m.source.Attr.IsDir()
	switch {
	case m.target == nil:
		if isDir && m.oldDir != m.newDir && m.newDir.Attr.Nlink >= MaxLinks {
			return honeyant.E(op, honeyant.TooManyLinks, o.NewName, nil)
		}
	case isDir && !m.target.Attr.IsDir():
		return honeyant.E(op, honeyant.NotDir, o.NewName, nil)
	case !isDir && m.target.Attr.IsDir():
		return honeyant.E(op, honeyant.IsDir, o.NewName, nil)
	case isDir && !tx.empty(o.Volume, m.target.Attr.Ino):
		return honeyant.E(op, honeyant.NotEmpty, o.NewName, nil)
	}
	return nil
}

func (o *Rename) exchange(tx *Tx, m *renaming) Reply {
	m.move(tx, o.Volume, m.source, m.oldDir, m.newDir, o.NewName)
	m.move(tx, o.Volume, m.target, m.newDir, m.oldDir, o.OldName)
	m.storeDirs(tx, o.Volume)
	return &RenameReply{Moved: m.source.Attr, Other: m.target.Attr, OldDir: m.oldDir.Attr, NewDir: m.newDir.Attr}
}

// move makes name in to stand for i, which leaves from. If another policy holds there, what is
// written from now on follows it at once, and Retag moves over what there is.
func (m *renaming) move(tx *Tx, v honeyant.VolumeID, i, from, to *Inode, name string) {
	tx.putEntry(v, to.Attr.Ino, name, &i.Attr)
	if i.PolicyAt != i.Attr.Ino && i.PolicyAt != to.PolicyAt {
		i.PolicyAt = to.PolicyAt
		if i.Attr.IsDir() || i.Covered > 0 {
			tx.queueRetag(v, i.Attr.Ino)
		}
	}
	if i.Attr.IsDir() {
		from.Attr.Nlink--
		to.Attr.Nlink++
		i.Parent, i.Name = to.Attr.Ino, name
	}
	tx.changed(i)
	tx.putInode(v, i)
}

func (m *renaming) storeDirs(tx *Tx, v honeyant.VolumeID) {
	tx.dirChanged(m.oldDir)
	tx.putInode(v, m.oldDir)
	if m.newDir != m.oldDir {
		tx.dirChanged(m.newDir)
		tx.putInode(v, m.newDir)
	}
}

// RenameReply tells what moved.
type RenameReply struct {
	Moved honeyant.Attr // the inode now under the new name
	Other honeyant.Attr // the replaced (Nlink after the change) or exchanged inode; Ino 0: none
	// The directories after the change; Ino 0: nothing was changed.
	OldDir, NewDir honeyant.Attr
}

// Fields implements Reply.
func (r *RenameReply) Fields(c *wire.Codec) {
	wire.Attr(c, &r.Moved)
	wire.Attr(c, &r.Other)
	optionalAttr(c, &r.OldDir)
	optionalAttr(c, &r.NewDir)
}
