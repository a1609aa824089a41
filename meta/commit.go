package meta

import (
	"fmt"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/rpc/wire"
)

// Commit makes written data part of a file: new chunks that stores hold already, and the extents
// that use them. Later commits win byte by byte. Size becomes the largest of the old size, the
// the extents' ends and MinSize. Mtime becomes max(At, old+1ns), ctime at least that (rule 16).
// With Append the extents' offsets count from the size at evaluation (O_APPEND).
// A chunk that is committed already with the same sum is not an error.
//
// OutOfRange and nothing done: the extents replace so many old ones that it is too much for one
// operation (commit a part of them, or a part of one, at a time), or inline bytes would end past
// InlineLimit, which an Append can not know before (put them into a chunk).
type Commit struct {
	Volume   honeyant.VolumeID
	Ino      honeyant.Ino
	Chunks   []honeyant.ChunkRef // new chunks that Extents refer to
	Extents  []honeyant.Extent   // ascending, not overlapping
	MinSize  uint64
	Append   bool
	KillPriv bool // clear setuid and setgid as write(2) does
	// KeepTimes leaves the modification time: it was set after the bytes were written. With At ctime stays, too.
	KeepTimes bool
	// At is when the bytes were written, by the clock of the node that wrote them; zero: now.
	At honeyant.Time
	// Written is when the first of them were, for a journal that is to be flushed before they are too old. It is not encoded.
	Written  time.Time
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
	c.Bool(&o.KeepTimes)
	wire.Time(c, &o.At)
}

func (o *Commit) eval(tx *Tx) (Reply, error) {
	const op = "meta.Commit"
	i, err := tx.file(op, o.Volume, o.Ino)
	if err != nil {
		return nil, err
	}
	base := uint64(0)
	if o.Append {
		base = i.Attr.Size
	}
	end, err := o.check(op, base)
	if err != nil {
		return nil, err
	}
	if o.KillPriv {
		tx.killPriv(o.Volume, i)
	}
	if len(o.Extents) == 0 && end <= i.Attr.Size {
		if o.KillPriv {
			tx.changed(i)
			tx.putInode(o.Volume, i)
		}
		return &CommitReply{Attr: i.Attr, Offset: base}, nil
	}
	if err := o.write(op, tx, i, base); err != nil {
		return nil, err
	}
	i.Attr.Size = max(i.Attr.Size, end)
	switch {
	case o.KeepTimes && o.At != (honeyant.Time{}):
		i.Attr.Version++ // what set the times has set ctime
	case o.KeepTimes:
		tx.changed(i)
	case o.At != (honeyant.Time{}):
		tx.writtenAt(i, o.At)
	default:
		tx.written(i)
	}
	tx.putInode(o.Volume, i)
	return &CommitReply{Attr: i.Attr, Offset: base}, nil
}

// check refuses extents that are not what the fields promise, and returns where they end, or MinSize.
func (o *Commit) check(op string, base uint64) (end uint64, err error) {
	bad := func(kind honeyant.Kind, why string) (uint64, error) {
		return 0, honeyant.E(op, kind, inoString(o.Ino), fmt.Errorf("%s", why))
	}
	if o.MinSize > honeyant.MaxFileSize {
		return bad(honeyant.TooLarge, "size past the limit")
	}
	before := uint64(0)
	for n := range o.Extents {
		e := &o.Extents[n]
		switch {
		case e.Length == 0 || e.Length > honeyant.ChunkSize || e.Offset < before:
			return bad(honeyant.Invalid, "extents must ascend, not overlap, and be no longer than a chunk")
		case e.Offset > honeyant.MaxFileSize || base+e.End() > honeyant.MaxFileSize:
			return bad(honeyant.TooLarge, "data past the largest size")
		case e.Inline == nil && (e.Chunk.IsZero() || uint64(e.ChunkOffset)+uint64(e.Length) > honeyant.ChunkSize):
			return bad(honeyant.Invalid, "an extent must lie in a chunk")
		case e.Inline != nil && (!e.Chunk.IsZero() || len(e.Inline) != int(e.Length)):
			return bad(honeyant.Invalid, "an inline extent must hold its bytes")
		case e.Inline != nil && base+e.End() > honeyant.InlineLimit:
			return bad(honeyant.OutOfRange, "too far into the file for inline data; put it into a chunk")
		}
		before = e.End()
	}
	if len(o.Extents) > 0 {
		before += base
	}
	return max(before, o.MinSize), nil
}

// write records the chunks and lays the extents over what there was.
func (o *Commit) write(op string, tx *Tx, i *Inode, base uint64) error {
	fresh := make(map[honeyant.ChunkID]bool, len(o.Chunks))
	length := make(map[honeyant.ChunkID]uint32, len(o.Chunks))
	for _, ref := range o.Chunks {
		known := len(tx.added)
		if err := tx.addChunk(o.Volume, ref, i.PolicyAt); err != nil {
			return err
		}
		length[ref.ID] = ref.Sum.Length
		if len(tx.added) > known {
			fresh[ref.ID] = true
		}
	}
	m := tx.fileMap(o.Volume, i)
	var run placed
	for n := range o.Extents {
		e := &o.Extents[n]
		next := placed{Offset: base + e.Offset, extentRecord: extentRecord{
			Length: e.Length, Chunk: e.Chunk, ChunkOffset: e.ChunkOffset, Inline: e.Inline}}
		if err := o.inChunk(op, tx, e, length); err != nil {
			return err
		}
		if n > 0 && run.end() == next.Offset && run.Inline == nil && run.continues(&next) {
			run.Length += next.Length
			continue
		}
		if n > 0 {
			if err := m.write(op, run, fresh[run.Chunk]); err != nil {
				return err
			}
		}
		run = next
	}
	if run.Length > 0 {
		if err := m.write(op, run, fresh[run.Chunk]); err != nil {
			return err
		}
	}
	if err := m.close(); err != nil {
		return err
	}
	return tx.bounded(op, i)
}

// inChunk refuses extents that reach past the end of their chunk.
func (o *Commit) inChunk(op string, tx *Tx, e *honeyant.Extent, length map[honeyant.ChunkID]uint32) error {
	if e.Inline != nil {
		return nil
	}
	have, ok := length[e.Chunk]
	if !ok {
		ref, known := tx.chunkRef(o.Volume, e.Chunk)
		if !known {
			return honeyant.E(op, honeyant.Stale, e.Chunk.String(), tx.err)
		}
		have = ref.Sum.Length
		length[e.Chunk] = have
	}
	if e.ChunkOffset+e.Length > have {
		return honeyant.E(op, honeyant.Invalid, e.Chunk.String(), fmt.Errorf("extent past the chunk's %d bytes", have))
	}
	return nil
}

// bounded refuses an operation that changes too much at once (M5) while its caller can still
// ask for less.
func (t *Tx) bounded(op string, i *Inode) error {
	const rest = 64 // keys that the end of the operation may still take
	if len(t.changes) > MaxTouched-rest || t.size() > MaxOpSize-rest<<10 {
		return honeyant.E(op, honeyant.OutOfRange, inoString(i.Attr.Ino), fmt.Errorf("touches too many extents; ask for less at a time"))
	}
	return nil
}

// size is about how many bytes the operation changes so far.
func (t *Tx) size() (bytes int) {
	for n := range t.changes {
		bytes += len(t.changes[n].Key) + len(t.changes[n].Value) + 8
	}
	return bytes
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
