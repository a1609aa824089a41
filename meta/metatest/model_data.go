package metatest

import (
	"fmt"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/meta"
)

func (m *model) commit(o *meta.Commit, got *meta.CommitReply) (honeyant.Kind, func() error) {
	n, k := m.file(o.Ino)
	if k != ok {
		return k, nil
	}
	base := uint64(0)
	if o.Append {
		base = n.attr.Size
	}
	return ok, func() error {
		if got.Offset != base {
			return fmt.Errorf("commit landed at %d, not %d", got.Offset, base)
		}
		if o.KillPriv {
			n.killPriv()
			m.changed(n)
		}
		size := max(n.attr.Size, o.MinSize)
		for i := range o.Extents {
			size = max(size, base+o.Extents[i].End())
		}
		if len(o.Extents) > 0 || size > n.attr.Size {
			m.written(n)
		}
		n.resize(size)
		for _, e := range o.Extents {
			b := e.Inline
			if b == nil {
				b = m.chunks[e.Chunk][e.ChunkOffset : e.ChunkOffset+e.Length]
			}
			copy(n.data[base+e.Offset:], b)
			for i := range b {
				n.held[base+e.Offset+uint64(i)] = true
			}
		}
		return m.same("commit", n, got.Attr)
	}
}

func (m *model) setattr(o *meta.SetAttr, got *meta.AttrReply) (honeyant.Kind, func() error) {
	n := m.nodes[o.Ino]
	switch {
	case n == nil:
		return honeyant.Stale, nil
	case o.Valid&meta.SetMode != 0 && n.attr.IsSymlink():
		return honeyant.Unsupported, nil
	case o.Valid&meta.SetSize != 0 && n.isDir():
		return honeyant.IsDir, nil
	case o.Valid&meta.SetSize != 0 && !n.isFile():
		return honeyant.Invalid, nil
	case o.Valid&meta.SetSize != 0 && o.Size > honeyant.MaxFileSize:
		return honeyant.TooLarge, nil
	}
	return ok, func() error {
		if o.Valid != 0 {
			m.changed(n)
		}
		if o.Valid&meta.SetSize != 0 {
			n.resize(o.Size)
			m.written(n)
		}
		if o.Valid&(meta.SetUID|meta.SetGID|meta.KillPriv) != 0 {
			n.killPriv()
		}
		if o.Valid&meta.SetUID != 0 {
			n.attr.UID = o.UID
		}
		if o.Valid&meta.SetGID != 0 {
			n.attr.GID = o.GID
		}
		if o.Valid&meta.SetMode != 0 {
			n.attr.Mode = n.attr.Mode&honeyant.ModeType | o.Mode&0o7777
			n.chmod()
		}
		for _, x := range []struct {
			set, now meta.AttrMask
			at       *honeyant.Time
			to       honeyant.Time
		}{{meta.SetAtime, meta.SetAtimeNow, &n.attr.Atime, o.Atime}, {meta.SetMtime, meta.SetMtimeNow, &n.attr.Mtime, o.Mtime}} {
			if o.Valid&x.now != 0 {
				*x.at = m.now
			} else if o.Valid&x.set != 0 {
				*x.at = x.to
			}
		}
		return m.same("setattr", n, got.Attr)
	}
}

func (m *model) punch(o *meta.Punch, got *meta.AttrReply) (honeyant.Kind, func() error) {
	n, k := m.file(o.Ino)
	if k != ok {
		return k, nil
	}
	if o.Length == 0 {
		return honeyant.Invalid, nil
	}
	return ok, func() error {
		n.hole(o.Offset, o.Offset+o.Length)
		if !o.KeepSize {
			n.resize(max(n.attr.Size, o.Offset+o.Length))
		}
		n.killPriv()
		m.written(n)
		return m.same("punch", n, got.Attr)
	}
}

func (m *model) allocate(o *meta.Allocate, got *meta.AttrReply) (honeyant.Kind, func() error) {
	n, k := m.file(o.Ino)
	if k != ok {
		return k, nil
	}
	if o.Length == 0 {
		return honeyant.Invalid, nil
	}
	return ok, func() error {
		n.killPriv()
		m.changed(n)
		if end := o.Offset + o.Length; !o.KeepSize && end > n.attr.Size {
			n.resize(end)
			m.written(n)
		}
		return m.same("allocate", n, got.Attr)
	}
}

func (m *model) clone(o *meta.Clone, got *meta.CloneReply) (honeyant.Kind, func() error) {
	src, k := m.file(o.Src)
	if k != ok {
		return k, nil
	}
	dst, k := m.file(o.Dst)
	if k != ok {
		return k, nil
	}
	length := min(o.Length, src.attr.Size-min(src.attr.Size, o.SrcOffset))
	if src == dst && o.SrcOffset < o.DstOffset+length && o.DstOffset < o.SrcOffset+length {
		return honeyant.Invalid, nil
	}
	return ok, func() error {
		if got.Copied > length || length > 0 && got.Copied == 0 {
			return fmt.Errorf("cloned %d of %d bytes", got.Copied, length)
		}
		if length > 0 {
			b := append([]byte(nil), src.data[o.SrcOffset:o.SrcOffset+got.Copied]...)
			h := append([]bool(nil), src.held[o.SrcOffset:o.SrcOffset+got.Copied]...)
			dst.resize(max(dst.attr.Size, o.DstOffset+got.Copied))
			copy(dst.data[o.DstOffset:], b)
			copy(dst.held[o.DstOffset:], h)
			dst.killPriv()
			m.written(dst)
		}
		return m.same("clone", dst, got.Attr)
	}
}

func (m *model) seek(o *meta.Seek, got *meta.SeekReply) (honeyant.Kind, func() error) {
	n, k := m.file(o.Ino)
	if k != ok {
		return k, nil
	}
	at := o.Offset
	for at < n.attr.Size && n.held[at] == o.Hole {
		at++
	}
	if o.Offset >= n.attr.Size || !o.Hole && at == n.attr.Size {
		return honeyant.NoDevice, nil
	}
	return ok, func() error {
		if got.Offset != at {
			return fmt.Errorf("seek from %d (hole %v) gave %d, not %d", o.Offset, o.Hole, got.Offset, at)
		}
		return nil
	}
}
