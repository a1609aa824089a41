package meta

import (
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
	return nil, honeyant.E("meta.Path", honeyant.Unsupported, "", nil)
}

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
