package meta

import (
	"fmt"
	"strings"

	"github.com/honeyant/honeyant"
)

// checkName refuses what can not be the name of a directory entry.
func checkName(op, name string) error {
	if len(name) > honeyant.MaxName {
		return honeyant.E(op, honeyant.NameTooLong, name[:32]+"...", nil)
	}
	if name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\x00") {
		return honeyant.E(op, honeyant.Invalid, name, fmt.Errorf("not a name"))
	}
	return nil
}

// entry finds a name in a directory.
func (t *Tx) entry(v honeyant.VolumeID, parent honeyant.Ino, name string) (dentry, bool) {
	var d dentry
	ok := t.load(dentryKey(v, parent, name), d.fields)
	return d, ok
}

// putEntry makes a name stand for an inode.
func (t *Tx) putEntry(v honeyant.VolumeID, parent honeyant.Ino, name string, a *honeyant.Attr) {
	d := dentry{Ino: a.Ino, Type: a.Mode & honeyant.ModeType}
	t.store(dentryKey(v, parent, name), d.fields)
}

// child finds a name and loads what it stands for. A name without an inode is Corrupt.
func (t *Tx) child(op string, v honeyant.VolumeID, parent honeyant.Ino, name string) (*Inode, error) {
	d, ok := t.entry(v, parent, name)
	if !ok {
		return nil, honeyant.E(op, honeyant.NotExist, name, t.err)
	}
	i := new(Inode)
	if !t.loadInode(v, d.Ino, i) {
		return nil, honeyant.E(op, honeyant.Corrupt, name, fmt.Errorf("%s is missing", inoString(d.Ino)))
	}
	return i, nil
}

// named loads a directory and the inode behind one of its names, which are to part.
func (t *Tx) named(op string, v honeyant.VolumeID, parent honeyant.Ino, name string) (dir, child *Inode, err error) {
	if err := checkName(op, name); err != nil {
		return nil, nil, err
	}
	if dir, err = t.directory(op, v, parent); err != nil {
		return nil, nil, err
	}
	if child, err = t.child(op, v, parent, name); err != nil {
		return nil, nil, err
	}
	return dir, child, nil
}

// empty tells whether a directory has no entries.
func (t *Tx) empty(v honeyant.VolumeID, dir honeyant.Ino) bool {
	none := true
	t.scan(dentryFrom(v, dir, 0), inoKey(tabDentry, v, dir+1), func(_, _ []byte) bool {
		none = false
		return false
	})
	return none
}

// within tells whether dir is top or lies below it.
func (t *Tx) within(op string, v honeyant.VolumeID, dir *Inode, top honeyant.Ino) (bool, error) {
	at := dir
	for at.Attr.Ino != top {
		if at.Attr.Ino == honeyant.RootIno {
			return false, nil
		}
		up, err := t.directory(op, v, at.Parent)
		if err != nil {
			return false, err
		}
		at = up
	}
	return true, nil
}
