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
		return &ReadDirReply{EOF: true, Plus: o.Plus}, nil
	case o.After != "":
		from = append(append(from, o.After...), 0)
	case o.Cookie != 0:
		from = dentryFrom(o.Volume, o.Dir, o.Cookie+1)
	}
	reply := &ReadDirReply{EOF: true, Plus: o.Plus}
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
		var i Inode
		for n := range reply.Entries {
			e := &reply.Entries[n]
			if !tx.load(inoKey(tabInode, o.Volume, e.Ino), i.fields) {
				return nil, honeyant.E(op, honeyant.Corrupt, e.Name, fmt.Errorf("%s is missing", inoString(e.Ino)))
			}
			e.Attr = i.Attr
		}
	}
	return reply, nil
}

// maxDirEntries bounds the entries of one answer.
const maxDirEntries = 1024

// DirEntry is one name of a directory. Cookie is never 0 and fits 63 bits.
type DirEntry struct {
	Name   string
	Ino    honeyant.Ino
	Type   uint32 // type bits of the mode
	Cookie uint64
	Attr   honeyant.Attr // with Plus
}

// ReadDirReply is a run of entries.
type ReadDirReply struct {
	Entries []DirEntry
	EOF     bool
	Plus    bool
}

// Fields implements Reply.
func (r *ReadDirReply) Fields(c *wire.Codec) {
	c.Bool(&r.EOF)
	c.Bool(&r.Plus)
	wire.Slice(c, &r.Entries, 1<<16, func(c *wire.Codec, e *DirEntry) {
		c.String(&e.Name, honeyant.MaxName)
		wire.Uint(c, &e.Ino)
		wire.Uint(c, &e.Type)
		wire.Uint(c, &e.Cookie)
		if r.Plus {
			wire.Attr(c, &e.Attr)
		}
	})
}
