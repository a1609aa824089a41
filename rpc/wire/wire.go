// Package wire is the one binary encoding of Honeyant: varints, length-prefixed bytes
// and lists. A structure writes one method that names its fields, and that method both
// encodes and decodes, so the two directions can not drift apart:
//
//	func (r *Rename) fields(c *wire.Codec) {
//		wire.Uint(c, &r.Parent)
//		c.String(&r.Name, honeyant.MaxName)
//	}
//
// Decoding never panics and never allocates more than the input could hold; the first
// fault sticks and Err tells it. A structure is only ever extended by appending fields
// behind a check of More, which old input answers with false.
package wire

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"sync"

	"github.com/honeyant/honeyant"
)

// Codec is an encoder or a decoder, depending on how it was made. Not for concurrent use.
type Codec struct {
	buf      []byte
	pos      int
	decoding bool
	err      error
}

// NewEncoder appends to buf, which may be nil.
func NewEncoder(buf []byte) *Codec { return &Codec{buf: buf} }

// NewDecoder reads b and keeps references to it: Bytes returns copies, View does not.
func NewDecoder(b []byte) *Codec { return &Codec{buf: b, decoding: true} }

// codecs are kept from one record to the next: each would else be made anew, and its buffer grow several times.
var codecs = sync.Pool{New: func() any { return new(Codec) }}

// keptBuffer is the largest buffer that is kept, in bytes: records are smaller, frames of the network are not.
const keptBuffer = 4 << 10

// Marshal encodes what fields names.
func Marshal(fields func(*Codec)) []byte {
	c := codecs.Get().(*Codec)
	fields(c)
	b := c.buf
	if cap(b) > keptBuffer {
		*c = Codec{}
	} else {
		b = bytes.Clone(b)
		*c = Codec{buf: c.buf[:0]}
	}
	codecs.Put(c)
	return b
}

// Unmarshal decodes b, all of it. Errors have Kind Corrupt.
func Unmarshal(b []byte, fields func(*Codec)) error {
	c := codecs.Get().(*Codec)
	kept := c.buf
	*c = Codec{buf: b, decoding: true}
	fields(c)
	err := c.Done()
	*c = Codec{buf: kept}
	codecs.Put(c)
	return err
}

// Decoding tells the direction.
func (c *Codec) Decoding() bool { return c.decoding }

// Encoded is what an encoder has written.
func (c *Codec) Encoded() []byte { return c.buf }

// Err is the first fault.
func (c *Codec) Err() error { return c.err }

// Done is Err, or a fault if a decoder has bytes left over.
func (c *Codec) Done() error {
	if c.err == nil && c.decoding && c.pos != len(c.buf) {
		c.Failf("%d bytes left over", len(c.buf)-c.pos)
	}
	return c.err
}

// More tells a decoder whether bytes are left (for fields added later); an encoder always writes.
func (c *Codec) More() bool { return !c.decoding || c.err == nil && c.pos < len(c.buf) }

// Rest hands the decoder's remaining bytes over (no copy) and consumes them.
func (c *Codec) Rest() []byte {
	b := c.buf[c.pos:]
	c.pos = len(c.buf)
	return b
}

// Failf records a fault of Kind Corrupt, if it is the first.
func (c *Codec) Failf(format string, args ...any) {
	if c.err == nil {
		c.err = honeyant.E("wire.Decode", honeyant.Corrupt, "", fmt.Errorf(format, args...))
	}
}

// Uint is an unsigned varint (LEB128, as encoding/binary).
func Uint[T ~uint8 | ~uint16 | ~uint32 | ~uint64 | ~uint](c *Codec, v *T) {
	if !c.decoding {
		c.buf = binary.AppendUvarint(c.buf, uint64(*v))
		return
	}
	if c.err != nil {
		return
	}
	x, n := binary.Uvarint(c.buf[c.pos:])
	if n <= 0 {
		c.Failf("bad varint at %d", c.pos)
		return
	}
	if uint64(T(x)) != x {
		c.Failf("number %d too large at %d", x, c.pos)
		return
	}
	c.pos += n
	*v = T(x)
}

// Int is a signed varint (zigzag).
func Int[T ~int8 | ~int16 | ~int32 | ~int64 | ~int](c *Codec, v *T) {
	x := uint64(int64(*v)<<1) ^ uint64(int64(*v)>>63)
	Uint(c, &x)
	if c.decoding && c.err == nil {
		s := int64(x>>1) ^ -int64(x&1)
		if int64(T(s)) != s {
			c.Failf("number %d too large at %d", s, c.pos)
			return
		}
		*v = T(s)
	}
}

// Bool is one byte, 0 or 1.
func (c *Codec) Bool(v *bool) {
	var b uint8
	if *v {
		b = 1
	}
	Uint(c, &b)
	if c.decoding && c.err == nil {
		if b > 1 {
			c.Failf("bad bool %d", b)
		}
		*v = b == 1
	}
}

// Fixed is len(b) bytes as they are.
func (c *Codec) Fixed(b []byte) {
	if !c.decoding {
		c.buf = append(c.buf, b...)
		return
	}
	if c.err != nil {
		return
	}
	if len(c.buf)-c.pos < len(b) {
		c.Failf("short input at %d", c.pos)
		return
	}
	c.pos += copy(b, c.buf[c.pos:])
}

// View is a length and bytes; a decoder's result aliases its input. Empty decodes as nil.
func (c *Codec) View(b *[]byte, limit int) {
	n := uint64(len(*b))
	Uint(c, &n)
	if !c.decoding {
		if len(c.buf)+len(*b) > cap(c.buf) { // append grows large buffers by a quarter only
			c.buf = slices.Grow(c.buf, max(len(*b), len(c.buf)))
		}
		c.buf = append(c.buf, *b...)
		return
	}
	if c.err != nil {
		return
	}
	if n > uint64(limit) || n > uint64(len(c.buf)-c.pos) {
		c.Failf("length %d over the limit %d or the input at %d", n, limit, c.pos)
		return
	}
	*b = nil
	if n > 0 {
		*b = c.buf[c.pos : c.pos+int(n) : c.pos+int(n)]
	}
	c.pos += int(n)
}

// Bytes is View, but a decoder's result is a copy.
func (c *Codec) Bytes(b *[]byte, limit int) {
	c.View(b, limit)
	if c.decoding && *b != nil {
		*b = append([]byte(nil), *b...)
	}
}

// String is a length and bytes.
func (c *Codec) String(s *string, limit int) {
	if !c.decoding {
		n := uint64(len(*s))
		Uint(c, &n)
		c.buf = append(c.buf, *s...)
		return
	}
	var b []byte
	c.View(&b, limit)
	*s = string(b)
}

// Slice is a count and that many elements; limit bounds the count. Empty decodes as nil.
func Slice[T any](c *Codec, s *[]T, limit int, each func(*Codec, *T)) {
	n := uint64(len(*s))
	Uint(c, &n)
	if !c.decoding {
		for i := range *s {
			each(c, &(*s)[i])
		}
		return
	}
	*s = nil
	if c.err != nil {
		return
	}
	// An element takes a byte at least, so a lying count can not make us allocate.
	if n > uint64(limit) || n > uint64(len(c.buf)-c.pos) {
		c.Failf("count %d over the limit %d or the input at %d", n, limit, c.pos)
		return
	}
	if n > 0 { // at once, but for lists that only claim to be long
		*s = make([]T, 0, min(n, 1024))
	}
	for range n {
		var v T
		each(c, &v)
		if c.err != nil {
			return
		}
		*s = append(*s, v)
	}
}

// The vocabulary's own structures.

// Chunk is a chunk ID.
func Chunk(c *Codec, id *honeyant.ChunkID) { c.Fixed(id[:]) }

// Time is a honeyant.Time.
func Time(c *Codec, t *honeyant.Time) {
	Int(c, &t.Sec)
	Uint(c, &t.Nsec)
}

// Attr is a honeyant.Attr.
func Attr(c *Codec, a *honeyant.Attr) {
	Uint(c, &a.Ino)
	Uint(c, &a.Mode)
	Uint(c, &a.Nlink)
	Uint(c, &a.UID)
	Uint(c, &a.GID)
	Uint(c, &a.Rdev)
	Uint(c, &a.Size)
	Uint(c, &a.Blocks)
	Time(c, &a.Atime)
	Time(c, &a.Mtime)
	Time(c, &a.Ctime)
	Uint(c, &a.Version)
}

// Replica is a honeyant.Replica.
func Replica(c *Codec, r *honeyant.Replica) {
	Uint(c, &r.Store)
	Uint(c, &r.Generation)
}

// Sum is a honeyant.ChunkSum.
func Sum(c *Codec, s *honeyant.ChunkSum) {
	Uint(c, &s.Length)
	Uint(c, &s.CRC)
}

// ChunkRef is a honeyant.ChunkRef.
func ChunkRef(c *Codec, r *honeyant.ChunkRef) {
	Chunk(c, &r.ID)
	Sum(c, &r.Sum)
	Slice(c, &r.Replicas, 64, Replica)
}

// Extent is a honeyant.Extent.
func Extent(c *Codec, e *honeyant.Extent) {
	Uint(c, &e.Offset)
	Uint(c, &e.Length)
	Chunk(c, &e.Chunk)
	Uint(c, &e.ChunkOffset)
	c.Bytes(&e.Inline, honeyant.InlineLimit)
}

// Node is a honeyant.Node.
func Node(c *Codec, n *honeyant.Node) {
	Uint(c, &n.ID)
	c.String(&n.Name, 255)
	c.String(&n.Address, 300)
	c.String(&n.Zone, 255)
	Uint(c, &n.State)
	Uint(c, &n.Role)
}

// Store is a honeyant.Store.
func Store(c *Codec, s *honeyant.Store) {
	Uint(c, &s.ID)
	Uint(c, &s.Node)
	Uint(c, &s.State)
	Int(c, &s.Capacity)
	Int(c, &s.Used)
	Int(c, &s.Available)
}

// Map is a honeyant.Map.
func Map(c *Codec, m *honeyant.Map) {
	c.String(&m.Cluster, 64)
	Uint(c, &m.Version)
	Uint(c, &m.Incarnation)
	Uint(c, &m.FeatureLevel)
	Uint(c, &m.Epoch)
	Uint(c, &m.Leader)
	Slice(c, &m.Nodes, 10000, Node)
	Slice(c, &m.Stores, 100000, Store)
}

// Policy is a honeyant.Policy.
func Policy(c *Codec, p *honeyant.Policy) {
	Uint(c, &p.Copies)
	Uint(c, &p.MinCopies)
	Uint(c, &p.Placement)
	Slice(c, &p.Pinned, 1000, func(c *Codec, s *honeyant.StoreID) { Uint(c, s) })
}
