package meta

import (
	"encoding/binary"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/kv"
	"github.com/honeyant/honeyant/rpc/wire"
)

// FindExtents goes through a slice of all extents of the volume, in order of data ID and offset, and lists those
// that refer to one of some chunks, whoever they belong to. There is no other way from a chunk to its files: the
// count in its record is all that is kept (rule 13).
type FindExtents struct {
	Volume honeyant.VolumeID
	From   DataID // where to go on: the first data ID and offset to look at
	Offset uint64
	Limit  uint32 // extents looked at; 0: 8192
	Chunks []honeyant.ChunkID
}

// maxFound bounds the chunks of one FindExtents and the extents that it looks at.
const (
	maxFindChunks = 1024
	maxFindSeen   = 8192
)

// Code implements Op.
func (*FindExtents) Code() Code { return CodeFindExtents }

func (*FindExtents) newReply() *FoundReply { return new(FoundReply) }

// Fields implements Op.
func (o *FindExtents) Fields(c *wire.Codec) {
	wire.Uint(c, &o.Volume)
	wire.Uint(c, &o.From)
	wire.Uint(c, &o.Offset)
	wire.Uint(c, &o.Limit)
	wire.Slice(c, &o.Chunks, maxFindChunks, wire.Chunk)
}

func (o *FindExtents) eval(tx *Tx) (Reply, error) {
	wanted := make(map[honeyant.ChunkID]bool, len(o.Chunks))
	for _, id := range o.Chunks {
		wanted[id] = true
	}
	left := min(o.Limit, maxFindSeen)
	if left == 0 {
		left = maxFindSeen
	}
	r := &FoundReply{EOF: true}
	lower, upper := extentKey(o.Volume, o.From, o.Offset), kv.PrefixEnd(volumeKey(tabExtent, o.Volume, 0))
	tx.scan(lower, upper, func(k, value []byte) bool {
		data, offset := DataID(binary.BigEndian.Uint64(k[5:])), binary.BigEndian.Uint64(k[13:])
		if left == 0 {
			r.EOF, r.Next, r.Offset = false, data, offset
			return false
		}
		left--
		var e extentRecord
		if err := wire.Unmarshal(value, e.fields); err != nil {
			tx.fail(honeyant.E("meta.FindExtents", honeyant.Corrupt, keyString(k), err))
			return false
		}
		if e.Inline == nil && wanted[e.Chunk] {
			r.Found = append(r.Found, PlacedExtent{Data: data, Offset: offset, Length: e.Length, Chunk: e.Chunk, ChunkOffset: e.ChunkOffset})
		}
		return true
	})
	return r, tx.err
}

// PlacedExtent is an extent with its place in the metadata. Data IDs are never reused, so it names bytes that never
// change: when something else lies there, these are gone.
type PlacedExtent struct {
	Data        DataID
	Offset      uint64 // in the file
	Length      uint32
	Chunk       honeyant.ChunkID
	ChunkOffset uint32
}

func (e *PlacedExtent) fields(c *wire.Codec) {
	wire.Uint(c, &e.Data)
	wire.Uint(c, &e.Offset)
	wire.Uint(c, &e.Length)
	wire.Chunk(c, &e.Chunk)
	wire.Uint(c, &e.ChunkOffset)
}

// FoundReply is what a slice held, and where the next one begins.
type FoundReply struct {
	Found  []PlacedExtent
	Next   DataID
	Offset uint64
	EOF    bool
}

// Fields implements Reply.
func (r *FoundReply) Fields(c *wire.Codec) {
	wire.Slice(c, &r.Found, maxFindSeen, func(c *wire.Codec, e *PlacedExtent) { e.fields(c) })
	wire.Uint(c, &r.Next)
	wire.Uint(c, &r.Offset)
	c.Bool(&r.EOF)
}
