package meta

import (
	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/rpc/wire"
)

// DataID names the extents of a file's content. An inode that is emptied or replaced gets
// a new one, and the old one is freed in slices (rule 24). Never reused.
type DataID uint64

// Inode is the record of an inode. Each record begins with its version, so that fields
// can be added (feature level, rule 34).
type Inode struct {
	Attr     honeyant.Attr
	Data     DataID       // of regular files
	Parent   honeyant.Ino // of directories; the root is its own
	PolicyAt honeyant.Ino // directory whose policy holds, 0: the volume's default
	Target   string       // of symlinks
	Name     string       // of directories: the one name they have in Parent
	Marks    inodeMark    // what else there is about the inode
	Covered  uint64       // bytes that extents cover, those of a pending cut too

	// After a cut to a smaller size whose extents are not freed yet: bytes of extents of
	// commit version <= FloorVersion count only below FloorOffset. FloorVersion 0: no cut pending.
	FloorOffset  uint64
	FloorVersion uint64
}

func (i *Inode) fields(c *wire.Codec) {
	version := uint8(1)
	wire.Uint(c, &version)
	if version != 1 {
		c.Failf("inode record version %d", version)
		return
	}
	wire.Attr(c, &i.Attr)
	wire.Uint(c, &i.Data)
	wire.Uint(c, &i.Parent)
	wire.Uint(c, &i.PolicyAt)
	c.String(&i.Target, honeyant.MaxSymlink)
	c.String(&i.Name, honeyant.MaxName)
	wire.Uint(c, &i.Marks)
	wire.Uint(c, &i.Covered)
	wire.Uint(c, &i.FloorOffset)
	wire.Uint(c, &i.FloorVersion)
}

// inodeMark spares reads of tables that have nothing about an inode.
type inodeMark uint8

// The marks. Each is set while the inode has such a thing.
const (
	markXattr      inodeMark = 1 << iota // extended attributes of any kind, ACLs too
	markAccessACL                        // system.posix_acl_access
	markDefaultACL                       // system.posix_acl_default
	markCaps                             // security.capability
)

// dentry is what a name stands for.
type dentry struct {
	Ino  honeyant.Ino
	Type uint32 // type bits of the mode
}

func (d *dentry) fields(c *wire.Codec) {
	wire.Uint(c, &d.Ino)
	wire.Uint(c, &d.Type)
}

// extentRecord is an extent under (data ID, offset).
type extentRecord struct {
	Length      uint32
	Version     uint64 // Attr.Version of the inode at the commit
	Chunk       honeyant.ChunkID
	ChunkOffset uint32
	Inline      []byte // then Chunk is zero
}

func (e *extentRecord) fields(c *wire.Codec) {
	wire.Uint(c, &e.Length)
	wire.Uint(c, &e.Version)
	wire.Chunk(c, &e.Chunk)
	wire.Uint(c, &e.ChunkOffset)
	c.Bytes(&e.Inline, honeyant.InlineLimit)
}

// queued is data to be freed: all extents of a data ID from From on whose commit version
// is at most Version. If Ino is set, it is a cut, and its floor is lifted at the end.
type queued struct {
	Ino     honeyant.Ino
	From    uint64
	Version uint64
}

func (q *queued) fields(c *wire.Codec) {
	wire.Uint(c, &q.Ino)
	wire.Uint(c, &q.From)
	wire.Uint(c, &q.Version)
}

// chunkRecord is a chunk: ChunkInfo without what is derived.
type chunkRecord struct {
	Sum      honeyant.ChunkSum
	Count    uint64
	PolicyAt honeyant.Ino
	Replicas []ReplicaInfo
	Unused   int64 // the chunk's length less those of all extents that refer to it: below 0 when clones share it
}

func (r *chunkRecord) fields(c *wire.Codec) {
	wire.Sum(c, &r.Sum)
	wire.Uint(c, &r.Count)
	wire.Uint(c, &r.PolicyAt)
	wire.Slice(c, &r.Replicas, 64, func(c *wire.Codec, i *ReplicaInfo) {
		wire.Replica(c, &i.Replica)
		c.Bool(&i.Dropping)
		c.Bool(&i.Bad)
	})
	if c.More() { // in the first records it was not there: then it counts from 0
		wire.Int(c, &r.Unused)
	}
}
