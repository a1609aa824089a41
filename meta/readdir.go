package meta

import (
	"fmt"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/rpc/wire"
)

// ReadDir lists entries after (Cookie, After) in cookie order, without "." and "..". An entry that is
// there during the whole listing is seen exactly once, whatever comes and goes (rule 27).
type ReadDir struct {
	Volume honeyant.VolumeID
	Dir    honeyant.Ino
	Cookie uint64 // of the last entry seen, 0 at first
	After  string // its name, to tell equal cookies apart; empty: all with a greater cookie
	Plus   bool   // with attributes
	Limit  uint32 // entries; 0: 1024
	Data   bool   // with what small files hold, as far as it fits; needs Plus
}

// Code implements Op.
func (*ReadDir) Code() Code { return CodeReadDir }

func (*ReadDir) newReply() *ReadDirReply { return new(ReadDirReply) }

// Fields implements Op.
func (o *ReadDir) Fields(c *wire.Codec) {
	wire.Uint(c, &o.Volume)
	wire.Uint(c, &o.Dir)
	wire.Uint(c, &o.Cookie)
	c.String(&o.After, honeyant.MaxName+1)
	c.Bool(&o.Plus)
	wire.Uint(c, &o.Limit)
	c.Bool(&o.Data)
}

func (o *ReadDir) eval(tx *Tx) (Reply, error) {
	const op = "meta.ReadDir"
	if _, err := tx.directory(op, o.Volume, o.Dir); err != nil {
		return nil, err
	}
	limit := int(o.Limit)
	if limit == 0 || limit > maxDirEntries {
		limit = maxDirEntries
	}
	from := dentryFrom(o.Volume, o.Dir, o.Cookie)
	switch {
	case o.Cookie>>63 != 0:
		return &ReadDirReply{EOF: true, Plus: o.Plus, Data: o.Data && o.Plus}, nil
	case o.After != "":
		from = append(append(from, o.After...), 0)
	case o.Cookie != 0:
		from = dentryFrom(o.Volume, o.Dir, o.Cookie+1)
	}
	reply := &ReadDirReply{EOF: true, Plus: o.Plus, Data: o.Data && o.Plus}
	tx.scan(from, inoKey(tabDentry, o.Volume, o.Dir+1), func(k, value []byte) bool {
		if len(reply.Entries) == limit {
			reply.EOF = false
			return false
		}
		var d dentry
		if err := wire.Unmarshal(value, d.fields); err != nil {
			tx.fail(honeyant.E(op, honeyant.Corrupt, keyString(k), err))
			return false
		}
		hash, name := splitDentry(k)
		reply.Entries = append(reply.Entries, DirEntry{Name: name, Ino: d.Ino, Type: d.Type, Cookie: hash})
		return true
	})
	if o.Plus && tx.err == nil {
		left := maxDirData
		chunks := map[honeyant.ChunkID]honeyant.ChunkRef{}
		for n := range reply.Entries {
			var i Inode
			e := &reply.Entries[n]
			if !tx.load(inoKey(tabInode, o.Volume, e.Ino), i.fields) {
				return nil, honeyant.E(op, honeyant.Corrupt, e.Name, fmt.Errorf("%s is missing", inoString(e.Ino)))
			}
			e.Attr = i.Attr
			if reply.Data && left > 0 {
				left -= tx.smallFile(o.Volume, &i, e, chunks)
			}
		}
	}
	return reply, nil
}

// smallFile tells with an entry what the file holds, if it is small, and how large the answer became by it. chunks are those
// known already: files that were written together share some.
func (t *Tx) smallFile(v honeyant.VolumeID, i *Inode, e *DirEntry, chunks map[honeyant.ChunkID]honeyant.ChunkRef) (size int) {
	if !i.Attr.IsFile() || i.Attr.Size > SmallFile {
		return 0
	}
	r := t.onlyExtent(v, i, chunks)
	if r == nil {
		r = t.extents(v, i, 0, ^uint64(0), maxSmallExtents)
	}
	if r == nil || r.Until < i.Attr.Size {
		return 0
	}
	e.Told, e.Extents, e.Chunks = true, r.Extents, r.Chunks
	for n := range r.Extents {
		size += 32 + len(r.Extents[n].Inline)
	}
	return size + 64*len(r.Chunks)
}

// onlyExtent answers for a file that is one extent, which needs no scan; nil: it is not.
func (t *Tx) onlyExtent(v honeyant.VolumeID, i *Inode, chunks map[honeyant.ChunkID]honeyant.ChunkRef) *ExtentsReply {
	if i.Covered == 0 || i.FloorVersion != 0 {
		return nil
	}
	p := placed{}
	if !t.load(extentKey(v, i.Data, 0), p.fields) || uint64(p.Length) < i.Attr.Size {
		return nil
	}
	r := &ExtentsReply{Attr: i.Attr, Until: ^uint64(0), Extents: []honeyant.Extent{{Length: p.Length, Chunk: p.Chunk, ChunkOffset: p.ChunkOffset, Inline: p.Inline}}}
	if p.Inline != nil {
		return r
	}
	ref, ok := chunks[p.Chunk]
	if !ok {
		if ref, ok = t.chunkRef(v, p.Chunk); !ok {
			return nil // extents says what is wrong
		}
		chunks[p.Chunk] = ref
	}
	r.Chunks = []honeyant.ChunkRef{ref}
	return r
}

const (
	// SmallFile is up to which size, in bytes, a listing tells what a file holds.
	SmallFile = 64 << 10
	// maxSmallExtents is how many extents such a file may have.
	maxSmallExtents = 16
	// maxDirData is after how many bytes about contents a listing tells no more.
	maxDirData = 512 << 10
)

// maxDirEntries bounds the entries of one answer.
const maxDirEntries = 1024

// DirEntry is one name of a directory. Cookie is never 0 and fits 63 bits.
type DirEntry struct {
	Name   string
	Ino    honeyant.Ino
	Type   uint32 // type bits of the mode
	Cookie uint64
	Attr   honeyant.Attr // with Plus

	Told    bool                // with Data: what follows is all that the file holds
	Extents []honeyant.Extent   // ascending; gaps are zero
	Chunks  []honeyant.ChunkRef // each chunk that Extents name, once
}

// ReadDirReply is a run of entries.
type ReadDirReply struct {
	Entries []DirEntry
	EOF     bool
	Plus    bool
	Data    bool
}

// Fields implements Reply.
func (r *ReadDirReply) Fields(c *wire.Codec) {
	c.Bool(&r.EOF)
	c.Bool(&r.Plus)
	c.Bool(&r.Data)
	wire.Slice(c, &r.Entries, 1<<16, func(c *wire.Codec, e *DirEntry) {
		c.String(&e.Name, honeyant.MaxName)
		wire.Uint(c, &e.Ino)
		wire.Uint(c, &e.Type)
		wire.Uint(c, &e.Cookie)
		if r.Plus {
			wire.Attr(c, &e.Attr)
		}
		if !r.Data {
			return
		}
		if c.Bool(&e.Told); e.Told {
			wire.Slice(c, &e.Extents, maxSmallExtents, wire.Extent)
			wire.Slice(c, &e.Chunks, maxSmallExtents, wire.ChunkRef)
		}
	})
}
