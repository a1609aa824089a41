package meta

import (
	"bytes"
	"encoding/binary"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/kv"
	"github.com/honeyant/honeyant/rpc/wire"
)

// Take asks for the exclusive lease on an inode, and answers with the records that it covers, so that the session
// can evaluate operations by itself (Shadow). It is never waited for: what somebody else has a lease on, has open
// or is changing is not granted. A session that has the lease already gets the records as they are here, without
// what it has not flushed. Only a call with Lease is granted anything.
//
// With Children the leases on the directory's files, symlinks and special files come along, as far as each has one
// name, no extended attributes, and nobody has a lease on it or has it open. They bring no extents.
//
// With Names a directory is told in parts, in the order of a listing: this one begins at From (a cookie) and has at most so many
// names. Without, a directory with more names than one answer holds is not granted.
type Take struct {
	Volume   honeyant.VolumeID
	Ino      honeyant.Ino
	Children bool
	From     uint64
	Names    uint32
}

// Bounds of what one Take grants.
const (
	maxTakeNames    = 4096      // entries of a directory
	maxTakeChildren = 1024      // of them with a lease of their own; volume asks for as many names with them
	maxTakeExtents  = 64        // of a file, otherwise none are told
	maxTakeBytes    = 512 << 10 // keys and values
)

// Code implements Op.
func (*Take) Code() Code { return CodeTake }

func (*Take) newReply() *TakeReply { return new(TakeReply) }

// Fields implements Op.
func (o *Take) Fields(c *wire.Codec) {
	wire.Uint(c, &o.Volume)
	wire.Uint(c, &o.Ino)
	c.Bool(&o.Children)
	if c.More() { // older sessions ask for whole directories
		wire.Uint(c, &o.From)
		wire.Uint(c, &o.Names)
	}
}

func (o *Take) eval(tx *Tx) (Reply, error) {
	i, err := tx.inode("meta.Take", o.Volume, o.Ino)
	if err != nil {
		return nil, err
	}
	// A pending cut goes on changing the inode, and an orphan has records of its own.
	if i.FloorVersion != 0 || i.Attr.Nlink == 0 || !tx.mayTake(OpenFile{o.Volume, o.Ino}, i, false) {
		return &TakeReply{}, nil
	}
	t := taking{tx: tx, v: o.Volume, reply: TakeReply{Granted: true, Complete: true, Held: []honeyant.Ino{o.Ino}, From: o.From, Until: AllNames}}
	t.add(inoKey(tabInode, o.Volume, o.Ino))
	t.addAll(inoKey(tabXattr, o.Volume, o.Ino))
	switch {
	case i.Attr.IsDir():
		children := t.names(o.Ino, o.From, int(o.Names))
		if o.Children && !t.full() {
			t.children(children)
		}
	case i.Attr.IsFile():
		t.extents(i.Data)
	}
	if tx.err != nil || t.full() {
		return &TakeReply{}, tx.err
	}
	return &t.reply, nil
}

func (t *Tx) mayTake(f OpenFile, i *Inode, child bool) bool {
	return t.Leases != nil && t.Leases.MayTake(f, i.Attr.IsDir(), child)
}

// taking gathers the records of a Take.
type taking struct {
	tx    *Tx
	v     honeyant.VolumeID
	reply TakeReply
	bytes int
	over  bool // more than may be granted
}

func (t *taking) full() bool { return t.over || t.bytes > maxTakeBytes }

func (t *taking) put(key, value []byte) {
	t.reply.Records = append(t.reply.Records, RawRecord{bytes.Clone(key), bytes.Clone(value)})
	t.bytes += len(key) + len(value)
}

func (t *taking) add(key []byte) {
	if value, ok := t.tx.get(key); ok {
		t.put(key, value)
	}
}

func (t *taking) addAll(prefix []byte) {
	t.tx.scan(prefix, kv.PrefixEnd(prefix), func(k, value []byte) bool {
		t.put(k, value)
		return !t.full()
	})
}

// names adds a directory's entries from a cookie on, and lists those that may come along. page bounds them, if it is not 0:
// the rest is told another time. Names of equal cookies stay together.
func (t *taking) names(dir honeyant.Ino, from uint64, page int) (children []honeyant.Ino) {
	type entry struct {
		RawRecord
		hash uint64
		dentry
	}
	var list []entry
	size := t.bytes
	t.tx.scan(dentryFrom(t.v, dir, from), inoKey(tabDentry, t.v, dir+1), func(k, value []byte) bool {
		e := entry{RawRecord: RawRecord{bytes.Clone(k), bytes.Clone(value)}}
		if err := wire.Unmarshal(value, e.dentry.fields); err != nil {
			t.tx.fail(honeyant.E("meta.Take", honeyant.Corrupt, keyString(k), err))
			return false
		}
		e.hash, _ = splitDentry(k)
		size += len(k) + len(value)
		if len(list) == maxTakeNames || size > maxTakeBytes || page > 0 && len(list) >= page {
			t.reply.Until = e.hash
			return false
		}
		list = append(list, e)
		return true
	})
	if t.reply.Until != AllNames {
		for len(list) > 0 && list[len(list)-1].hash == t.reply.Until {
			list = list[:len(list)-1]
		}
		t.over = page == 0 || len(list) == 0
	}
	for _, e := range list {
		if e.Type != honeyant.ModeDir && len(children) < maxTakeChildren {
			children = append(children, e.Ino)
		}
		t.reply.Records = append(t.reply.Records, e.RawRecord)
		t.bytes += len(e.Key) + len(e.Value)
	}
	return children
}

// children adds what is in a directory as long as there is room.
func (t *taking) children(list []honeyant.Ino) {
	for _, ino := range list {
		f := OpenFile{t.v, ino}
		if !t.tx.mayTake(f, &Inode{}, true) { // as most are when the rest of a directory is asked for
			continue
		}
		k := inoKey(tabInode, t.v, ino)
		value, ok := t.tx.get(k)
		if !ok || t.bytes+len(k)+len(value) > maxTakeBytes {
			return
		}
		var i Inode
		if err := wire.Unmarshal(value, i.fields); err != nil {
			t.tx.fail(honeyant.E("meta.Take", honeyant.Corrupt, keyString(k), err))
			return
		}
		if i.Attr.Nlink == 1 && i.Marks == 0 && i.FloorVersion == 0 && t.tx.mayTake(f, &i, true) {
			t.put(k, value)
			t.reply.Held = append(t.reply.Held, ino)
		}
	}
}

// extents adds those of a file with their chunks, if they are few.
func (t *taking) extents(data DataID) {
	prefix := dataKey(tabExtent, t.v, data)
	var found []RawRecord
	chunks := map[honeyant.ChunkID]bool{}
	size := 0
	t.tx.scan(prefix, kv.PrefixEnd(prefix), func(k, value []byte) bool {
		var e extentRecord
		if err := wire.Unmarshal(value, e.fields); err != nil {
			t.tx.fail(honeyant.E("meta.Take", honeyant.Corrupt, keyString(k), err))
			return false
		}
		if e.Inline == nil {
			chunks[e.Chunk] = true
		}
		found = append(found, RawRecord{bytes.Clone(k), bytes.Clone(value)})
		size += len(k) + len(value)
		return len(found) <= maxTakeExtents
	})
	if len(found) > maxTakeExtents || t.bytes+size > maxTakeBytes/2 {
		t.reply.Complete = false
		return
	}
	t.reply.Records = append(t.reply.Records, found...)
	t.bytes += size
	for id := range chunks {
		t.add(chunkKey(tabChunk, t.v, id))
	}
}

// TakeReply is what was granted.
type TakeReply struct {
	Granted  bool
	Complete bool // a file: its extents are among the records
	Records  []RawRecord
	Held     []honeyant.Ino // now held exclusively, the inode asked for first

	// A directory: of its names, those with cookies in [From, Until) are among the records.
	From, Until uint64
}

// gap is how far the names are from each other, in cookies.
func (r *TakeReply) gap() uint64 {
	names := uint64(0)
	for n := range r.Records {
		if r.Records[n].Key[0] == tabDentry {
			names++
		}
	}
	return (min(r.Until, 1<<63) - r.From) / max(names, 1)
}

// AllNames is a cookie greater than that of any name.
const AllNames = 1<<64 - 1

// RawRecord is a record of the metadata as it is stored; see doc/format/meta.md.
type RawRecord struct {
	Key, Value []byte
}

// Fields implements Reply.
func (r *TakeReply) Fields(c *wire.Codec) {
	c.Bool(&r.Granted)
	c.Bool(&r.Complete)
	wire.Slice(c, &r.Records, 1<<14, func(c *wire.Codec, rec *RawRecord) {
		c.Bytes(&rec.Key, 1<<10)
		c.Bytes(&rec.Value, 1<<20)
	})
	wire.Slice(c, &r.Held, maxTakeChildren+1, func(c *wire.Codec, ino *honeyant.Ino) { wire.Uint(c, ino) })
	switch whole := r.From == 0 && r.Until == AllNames; {
	case c.Decoding() && !c.More(): // it is, or comes from an older leader
		r.Until = AllNames
	case c.Decoding() || !whole:
		wire.Uint(c, &r.From)
		wire.Uint(c, &r.Until)
	}
}

// Deny takes inodes that were not granted after all out of the answer.
func (r *TakeReply) Deny(denied []honeyant.Ino) {
	if len(denied) == 0 || !r.Granted {
		return
	}
	gone := map[honeyant.Ino]bool{}
	for _, ino := range denied {
		gone[ino] = true
	}
	if gone[r.Held[0]] {
		*r = TakeReply{}
		return
	}
	held, records := r.Held[:0], r.Records[:0]
	for _, ino := range r.Held {
		if !gone[ino] {
			held = append(held, ino)
		}
	}
	for _, rec := range r.Records {
		if rec.Key[0] != tabInode || !gone[honeyant.Ino(binary.BigEndian.Uint64(rec.Key[5:]))] {
			records = append(records, rec)
		}
	}
	r.Held, r.Records = held, records
}
