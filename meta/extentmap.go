package meta

import (
	"encoding/binary"
	"fmt"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/rpc/wire"
)

// cutDirectly bounds the extents that a cut frees itself; what has more waits for Reap. [24]
const cutDirectly = 512

// A fileMap is the extents of a file as one operation changes them. Changes of extents take
// effect at once; close then settles chunk counts, Blocks and usage, each chunk once. The
// caller stores the inode.
type fileMap struct {
	tx      *Tx
	v       honeyant.VolumeID
	ino     *Inode
	version uint64 // of new extents

	refs   map[honeyant.ChunkID]chunkUse
	order  []honeyant.ChunkID // of refs, so that batches do not depend on the map
	top    uint64             // end of what was put
	bytes  int64              // covered, against before
	inline int64              // of these, inline
}

// placed is an extent record with its place.
type placed struct {
	Offset uint64
	extentRecord
}

func (p *placed) end() uint64 { return p.Offset + uint64(p.Length) }

// fileMap opens the extents of a file; its new ones get the version that the inode has next.
func (t *Tx) fileMap(v honeyant.VolumeID, i *Inode) *fileMap {
	return &fileMap{tx: t, v: v, ino: i, version: i.Attr.Version + 1}
}

// visible cuts p back to what counts under a pending cut; false if nothing is left.
func (i *Inode) visible(p *placed) bool {
	if i.FloorVersion == 0 || p.Version > i.FloorVersion || p.end() <= i.FloorOffset {
		return true
	}
	if p.Offset >= i.FloorOffset {
		return false
	}
	p.trim(p.Offset, i.FloorOffset)
	return true
}

// trim cuts p back to what of it lies in [from, to), which must be something.
func (p *placed) trim(from, to uint64) {
	from, to = max(from, p.Offset), min(to, p.end())
	skip := from - p.Offset
	if p.Inline != nil {
		p.Inline = p.Inline[skip : to-p.Offset]
	} else {
		p.ChunkOffset += uint32(skip)
	}
	p.Offset, p.Length = from, uint32(to-from)
}

// scanExtents goes through the extent records of a data ID that reach into [from, to),
// whatever the floor says, in order until fn returns false. fn may keep p but must not change the state.
func (t *Tx) scanExtents(v honeyant.VolumeID, data DataID, from, to uint64, fn func(p placed) bool) {
	more := true
	emit := func(k, value []byte) bool {
		p := placed{Offset: binary.BigEndian.Uint64(k[len(k)-8:])}
		if err := wire.Unmarshal(value, p.fields); err != nil {
			t.fail(honeyant.E("meta.scanExtents", honeyant.Corrupt, keyString(k), err))
			more = false
			return false
		}
		if p.end() > from {
			more = fn(p)
		}
		return more
	}
	if from > 0 {
		t.scanReverse(dataKey(tabExtent, v, data), extentKey(v, data, from), func(k, value []byte) bool {
			emit(k, value)
			return false
		})
	}
	if more && t.err == nil {
		t.scan(extentKey(v, data, from), extentKey(v, data, to), emit)
	}
}

// scanVisible is scanExtents for what readers see.
func (t *Tx) scanVisible(v honeyant.VolumeID, i *Inode, from, to uint64, fn func(p placed) bool) {
	to = min(to, i.Attr.Size)
	if from >= to || i.Covered == 0 {
		return
	}
	t.scanExtents(v, i.Data, from, to, func(p placed) bool {
		if !i.visible(&p) || p.end() <= from {
			return true
		}
		return fn(p)
	})
}

// ref notes that delta more extents refer to a chunk.
func (m *fileMap) ref(p *placed, delta int64) {
	m.bytes += delta * int64(p.Length)
	if p.Inline != nil {
		m.inline += delta * int64(p.Length)
		return
	}
	if m.refs == nil {
		m.refs = map[honeyant.ChunkID]chunkUse{}
	}
	use, ok := m.refs[p.Chunk]
	if !ok {
		m.order = append(m.order, p.Chunk)
	}
	use.extents += delta
	use.bytes += delta * int64(p.Length)
	m.refs[p.Chunk] = use
}

// put stores an extent that overlaps none.
func (m *fileMap) put(p *placed) {
	m.tx.store(extentKey(m.v, m.ino.Data, p.Offset), p.fields)
	m.top = max(m.top, p.end())
	m.ref(p, 1)
}

// del removes a stored extent.
func (m *fileMap) del(p *placed) {
	m.tx.del(extentKey(m.v, m.ino.Data, p.Offset))
	m.ref(p, -1)
}

// overlapping lists at most limit extents that reach into [from, to), stale ones too.
func (m *fileMap) overlapping(from, to uint64, limit int) []placed {
	if from >= m.top && (m.ino.Covered == 0 || m.ino.FloorVersion == 0 && from >= m.ino.Attr.Size) {
		return nil // nothing lies past the size but what this operation put there, and stale extents
	}
	var found []placed
	m.tx.scanExtents(m.v, m.ino.Data, from, to, func(p placed) bool {
		found = append(found, p)
		return len(found) < limit
	})
	return found
}

// cut makes [from, to) empty. OutOfRange: that would touch more extents than an operation may;
// nothing is changed then, and the caller asks for less.
func (m *fileMap) cut(op string, from, to uint64, limit int) error {
	old := m.overlapping(from, to, limit+1)
	if len(old) > limit {
		return honeyant.E(op, honeyant.OutOfRange, inoString(m.ino.Attr.Ino),
			fmt.Errorf("more than %d extents in the range; ask for less at a time", limit))
	}
	for n := range old {
		m.cutOne(old[n], from, to)
	}
	return nil
}

func (m *fileMap) cutOne(p placed, from, to uint64) {
	left, right := p, p
	keepLeft := p.Offset < from && m.ino.visible(&left)
	keepRight := p.end() > to && m.ino.visible(&right) && right.end() > to
	if keepLeft && left.Offset == p.Offset { // stored under the same key: put alone is enough
		m.ref(&p, -1)
	} else {
		m.del(&p)
	}
	if keepLeft {
		left.trim(left.Offset, from)
		m.put(&left)
	}
	if keepRight {
		right.trim(to, right.end())
		m.put(&right)
	}
}

// write puts an extent over what there was, and joins it with neighbours that continue it.
// alone says that no stored extent can continue it: it refers to a chunk that nothing else refers to yet.
func (m *fileMap) write(op string, p placed, alone bool) error {
	if err := m.cut(op, p.Offset, p.end(), MaxTouched); err != nil {
		return err
	}
	p.Version = m.version
	if !alone {
		m.join(&p)
	}
	m.put(&p)
	return nil
}

// join takes the extents that p continues, or that continue p, into p.
func (m *fileMap) join(p *placed) {
	near := m.overlapping(p.Offset-min(1, p.Offset), p.end()+1, 2)
	for n := range near {
		q := near[n]
		whole := q.Length
		if !m.ino.visible(&q) || q.Length != whole {
			continue
		}
		switch {
		case q.end() == p.Offset && q.continues(p):
			m.del(&q)
			if p.Inline != nil {
				p.Inline = append(append(make([]byte, 0, len(q.Inline)+len(p.Inline)), q.Inline...), p.Inline...)
			}
			p.Offset, p.ChunkOffset, p.Length = q.Offset, q.ChunkOffset, q.Length+p.Length
		case p.end() == q.Offset && p.continues(&q):
			m.del(&q)
			if p.Inline != nil {
				p.Inline = append(append(make([]byte, 0, len(q.Inline)+len(p.Inline)), p.Inline...), q.Inline...)
			}
			p.Length += q.Length
		}
	}
}

// continues tells whether q, which begins where p ends, can be one extent with it.
func (p *placed) continues(q *placed) bool {
	if p.Inline != nil || q.Inline != nil {
		return p.Inline != nil && q.Inline != nil
	}
	return p.Chunk == q.Chunk && p.ChunkOffset+p.Length == q.ChunkOffset
}

// close settles the counts.
func (m *fileMap) close() error {
	for _, id := range m.order {
		if err := m.tx.refChunk(m.v, id, m.refs[id]); err != nil {
			return err
		}
	}
	m.ino.Covered += uint64(m.bytes)
	m.ino.Attr.Blocks = (m.ino.Covered + 511) / 512
	if m.bytes != 0 || m.inline != 0 {
		m.tx.usage(m.v, func(u *StatFSReply) {
			u.Bytes += uint64(m.bytes)
			u.InlineBytes += uint64(m.inline)
		})
	}
	m.refs, m.order, m.bytes, m.inline = nil, nil, 0, 0
	return m.tx.err
}
