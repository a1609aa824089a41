package meta

import (
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
	return nil, honeyant.E("meta.ReadDir", honeyant.Unsupported, "", nil)
}

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
