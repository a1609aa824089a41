package meta

import (
	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/rpc/wire"
)

// Commit makes written data part of a file: new chunks that stores hold already, and the extents
// that use them. Later commits win byte by byte. Size becomes the largest of the old size, the
// extents' ends and MinSize. Mtime becomes max(now, old+1ns) (rule 16).
// With Append the extents' offsets count from the size at evaluation (O_APPEND).
// A chunk that is committed already with the same sum is not an error.
type Commit struct {
	Volume   honeyant.VolumeID
	Ino      honeyant.Ino
	Chunks   []honeyant.ChunkRef // new chunks that Extents refer to
	Extents  []honeyant.Extent   // ascending, not overlapping
	MinSize  uint64
	Append   bool
	KillPriv bool   // clear setuid and setgid as write(2) does
	LowWater uint64 // all chunk counters of this session below it are committed or given up (rule 10)
}

// Code implements Op.
func (*Commit) Code() Code { return CodeCommit }

func (*Commit) newReply() *CommitReply { return new(CommitReply) }

// Fields implements Op.
func (o *Commit) Fields(c *wire.Codec) {
	wire.Uint(c, &o.Volume)
	wire.Uint(c, &o.Ino)
	wire.Slice(c, &o.Chunks, 256, wire.ChunkRef)
	wire.Slice(c, &o.Extents, 4096, wire.Extent)
	wire.Uint(c, &o.MinSize)
	c.Bool(&o.Append)
	c.Bool(&o.KillPriv)
	wire.Uint(c, &o.LowWater)
}

func (o *Commit) eval(tx *Tx) (Reply, error) {
	return nil, honeyant.E("meta.Commit", honeyant.Unsupported, "", nil)
}

// CommitReply is the inode after the commit.
type CommitReply struct {
	Attr   honeyant.Attr
	Offset uint64 // where an Append landed
}

// Fields implements Reply.
func (r *CommitReply) Fields(c *wire.Codec) {
	wire.Attr(c, &r.Attr)
	wire.Uint(c, &r.Offset)
}
