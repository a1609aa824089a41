package meta

import (
	"fmt"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/rpc/wire"
)

// Clone lets a range of one file share the extents of another (copy_file_range). The same file
// may be both if the ranges do not overlap. At most MaxTouched extents a call: Copied may be less than Length.
// Unsupported: the range begins with inline data, which may not lie where they would go; copy the bytes.
type Clone struct {
	Volume    honeyant.VolumeID
	Src       honeyant.Ino
	SrcOffset uint64
	Dst       honeyant.Ino
	DstOffset uint64
	Length    uint64
}

// Code implements Op.
func (*Clone) Code() Code { return CodeClone }

func (*Clone) newReply() *CloneReply { return new(CloneReply) }

// Fields implements Op.
func (o *Clone) Fields(c *wire.Codec) {
	wire.Uint(c, &o.Volume)
	wire.Uint(c, &o.Src)
	wire.Uint(c, &o.SrcOffset)
	wire.Uint(c, &o.Dst)
	wire.Uint(c, &o.DstOffset)
	wire.Uint(c, &o.Length)
}

func (o *Clone) eval(tx *Tx) (Reply, error) {
	const op = "meta.Clone"
	src, err := tx.file(op, o.Volume, o.Src)
	if err != nil {
		return nil, err
	}
	dst := src
	if o.Dst != o.Src {
		if dst, err = tx.file(op, o.Volume, o.Dst); err != nil {
			return nil, err
		}
	}
	length, err := o.length(op, src)
	if err != nil {
		return nil, err
	}
	if length == 0 {
		return &CloneReply{Attr: dst.Attr}, nil
	}
	found, length := o.collect(tx, src, length)
	if length == 0 {
		return nil, honeyant.E(op, honeyant.Unsupported, inoString(o.Src), fmt.Errorf("inline data can only be copied to the start of a file"))
	}
	m := tx.fileMap(o.Volume, dst)
	if over := m.overlapping(o.DstOffset, o.DstOffset+length, cutDirectly+1); len(over) > cutDirectly {
		length = over[cutDirectly].Offset - o.DstOffset
	}
	if err := m.cut(op, o.DstOffset, o.DstOffset+length, cutDirectly); err != nil {
		return nil, err
	}
	for _, p := range found {
		if p.Offset-o.SrcOffset >= length {
			break
		}
		p.trim(p.Offset, o.SrcOffset+length)
		p.Offset += o.DstOffset - o.SrcOffset
		if err := m.write(op, p, false); err != nil {
			return nil, err
		}
	}
	if err := m.close(); err != nil {
		return nil, err
	}
	dst.Attr.Size = max(dst.Attr.Size, o.DstOffset+length)
	tx.killPriv(o.Volume, dst)
	tx.written(dst)
	tx.putInode(o.Volume, dst)
	return &CloneReply{Attr: dst.Attr, Copied: length}, tx.bounded(op, dst)
}

// length is how much there is to copy.
func (o *Clone) length(op string, src *Inode) (uint64, error) {
	length := min(o.Length, src.Attr.Size-min(src.Attr.Size, o.SrcOffset))
	switch {
	case o.DstOffset > honeyant.MaxFileSize || length > honeyant.MaxFileSize-o.DstOffset:
		return 0, honeyant.E(op, honeyant.TooLarge, inoString(o.Dst), nil)
	case o.Src == o.Dst && o.SrcOffset < o.DstOffset+length && o.DstOffset < o.SrcOffset+length:
		return 0, honeyant.E(op, honeyant.Invalid, inoString(o.Dst), fmt.Errorf("the ranges overlap"))
	}
	return length, nil
}

// collect lists the extents to share, clipped to the range, and how far they reach: as many as
// one operation may touch, and none after inline data that may not lie where they would go.
func (o *Clone) collect(tx *Tx, src *Inode, length uint64) ([]placed, uint64) {
	var found []placed
	tx.scanVisible(o.Volume, src, o.SrcOffset, o.SrcOffset+length, func(p placed) bool {
		p.trim(o.SrcOffset, o.SrcOffset+length)
		if len(found) == cutDirectly || p.Inline != nil && p.end()-o.SrcOffset+o.DstOffset > honeyant.InlineLimit {
			length = p.Offset - o.SrcOffset
			return false
		}
		found = append(found, p)
		return true
	})
	return found, length
}

// CloneReply tells how far it got.
type CloneReply struct {
	Attr   honeyant.Attr // of the destination
	Copied uint64        // bytes
}

// Fields implements Reply.
func (r *CloneReply) Fields(c *wire.Codec) {
	wire.Attr(c, &r.Attr)
	wire.Uint(c, &r.Copied)
}
