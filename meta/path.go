package meta

import (
	"fmt"
	"slices"
	"strings"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/rpc/wire"
)

// Path tells one path of an inode: for directories the path, for files the names found by
// searching the parents' entries is too dear, so only directories and orphans have an answer.
type Path struct {
	Volume honeyant.VolumeID
	Ino    honeyant.Ino
}

// Code implements Op.
func (*Path) Code() Code { return CodePath }

func (*Path) newReply() *PathReply { return new(PathReply) }

// Fields implements Op.
func (o *Path) Fields(c *wire.Codec) {
	wire.Uint(c, &o.Volume)
	wire.Uint(c, &o.Ino)
}

func (o *Path) eval(tx *Tx) (Reply, error) {
	const op = "meta.Path"
	i, err := tx.inode(op, o.Volume, o.Ino)
	if err != nil {
		return nil, err
	}
	if i.Attr.Nlink == 0 {
		return &PathReply{Orphan: true}, nil
	}
	if !i.Attr.IsDir() {
		return nil, honeyant.E(op, honeyant.Unsupported, inoString(o.Ino), fmt.Errorf("only directories know their path"))
	}
	var names []string
	size := 0
	for i.Attr.Ino != honeyant.RootIno {
		names = append(names, i.Name)
		if size += len(i.Name) + 1; size > maxPath {
			return nil, honeyant.E(op, honeyant.NameTooLong, inoString(o.Ino), nil)
		}
		if i, err = tx.directory(op, o.Volume, i.Parent); err != nil {
			return nil, err
		}
	}
	slices.Reverse(names)
	return &PathReply{Path: "/" + strings.Join(names, "/")}, nil
}

// maxPath bounds the answer of Path, in bytes.
const maxPath = 1 << 16

// PathReply is a path from the root of the volume, and whether the inode is an orphan.
type PathReply struct {
	Path   string
	Orphan bool
}

// Fields implements Reply.
func (r *PathReply) Fields(c *wire.Codec) {
	c.String(&r.Path, 1<<16)
	c.Bool(&r.Orphan)
}
