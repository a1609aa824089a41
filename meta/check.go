package meta

import (
	"encoding/binary"
	"fmt"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/kv"
	"github.com/honeyant/honeyant/rpc/wire"
)

// Fault is something in the metadata that contradicts something else there.
type Fault struct {
	Volume honeyant.VolumeID
	Object string // inode, chunk or key
	Text   string
}

// String is the fault as one line.
func (f Fault) String() string { return fmt.Sprintf("volume %d: %s: %s", f.Volume, f.Object, f.Text) }

// Check compares all metadata of db with themselves: link counts with names, parents, extents
// with sizes and chunks, chunk counts, usage, orphans, queued data, locks. It reads everything
// and takes about 200 bytes of memory an inode and a chunk. db must not change meanwhile. An error means that
// db could not be read; what is wrong in it comes as Faults.
func Check(db kv.Reader) ([]Fault, error) {
	var all []Fault
	tx := newTx(db, Env{})
	var volumes []honeyant.VolumeID
	tx.scan([]byte{tabVolume}, []byte{tabVolume + 1}, func(k, _ []byte) bool {
		volumes = append(volumes, honeyant.VolumeID(binary.BigEndian.Uint32(k[1:])))
		return true
	})
	for _, v := range volumes {
		c := newChecker(tx, v)
		c.run()
		all = append(all, c.faults...)
	}
	return all, tx.err
}

// A checker gathers one volume and compares.
type checker struct {
	tx     *Tx
	v      honeyant.VolumeID
	faults []Fault

	inodes map[honeyant.Ino]*checkedInode
	byData map[DataID]honeyant.Ino
	queues map[DataID]queued
	chunks map[honeyant.ChunkID]*checkedChunk
	usage  usageRecord // as counted
}

type checkedInode struct {
	mode, nlink        uint32
	names, dirs        uint32 // found: names of it, subdirectories in it
	size, covered      uint64
	sum                uint64 // covered, as found
	parent             honeyant.Ino
	data               DataID
	floor, floorBefore uint64
	marks, found       inodeMark
	orphan, named      bool // named: directories: the entry (Parent, Name) leads here
}

type checkedChunk struct {
	count, refs uint64
	length      uint32
	dead        bool
	sparse      bool  // marked so
	unused      int64 // as the record says
	used        int64 // as counted
}

func newChecker(tx *Tx, v honeyant.VolumeID) *checker {
	return &checker{tx: tx, v: v,
		inodes: map[honeyant.Ino]*checkedInode{}, byData: map[DataID]honeyant.Ino{},
		queues: map[DataID]queued{}, chunks: map[honeyant.ChunkID]*checkedChunk{}}
}

func (c *checker) run() {
	c.scanInodes()
	c.scanNames()
	c.scanXattrs()
	c.scanOrphans()
	c.scanQueue()
	c.scanChunks()
	c.scanExtents()
	c.scanLocks()
	c.compareInodes()
	c.compareChunks()
	c.compareUsage()
}

func (c *checker) fault(object, format string, args ...any) {
	c.faults = append(c.faults, Fault{Volume: c.v, Object: object, Text: fmt.Sprintf(format, args...)})
}

// table goes through a table of the volume; rest is the key after table and volume.
func (c *checker) table(table byte, least int, fn func(rest, value []byte)) {
	c.tx.scan(volumeKey(table, c.v, 0), kv.PrefixEnd(volumeKey(table, c.v, 0)), func(k, value []byte) bool {
		if len(k) < 5+least {
			c.fault(keyString(k), "short key")
			return true
		}
		fn(k[5:], value)
		return true
	})
}

func (c *checker) decode(object string, value []byte, fields func(*wire.Codec)) bool {
	err := wire.Unmarshal(value, fields)
	if err != nil {
		c.fault(object, "%v", err)
	}
	return err == nil
}

func (c *checker) scanInodes() {
	c.table(tabInode, 8, func(rest, value []byte) {
		ino := honeyant.Ino(binary.BigEndian.Uint64(rest))
		var i Inode
		if !c.decode(inoString(ino), value, i.fields) {
			return
		}
		if i.Attr.Ino != ino {
			c.fault(inoString(ino), "the record says inode %d", i.Attr.Ino)
		}
		n := &checkedInode{mode: i.Attr.Mode, nlink: i.Attr.Nlink, size: i.Attr.Size, covered: i.Covered,
			parent: i.Parent, data: i.Data, floor: i.FloorVersion, floorBefore: i.FloorOffset, marks: i.Marks}
		c.inodes[ino] = n
		c.usage.StatFS.Inodes++
		if i.Attr.Blocks != (i.Covered+511)/512 {
			c.fault(inoString(ino), "%d blocks for %d bytes", i.Attr.Blocks, i.Covered)
		}
		switch {
		case i.Attr.IsFile():
			if i.Data == 0 {
				c.fault(inoString(ino), "a file without a data ID")
			} else if other, ok := c.byData[i.Data]; ok {
				c.fault(inoString(ino), "shares data ID %d with %s", i.Data, inoString(other))
			}
			c.byData[i.Data] = ino
		case i.Covered != 0 || i.FloorVersion != 0:
			c.fault(inoString(ino), "has data, but is no file")
		}
		if i.Attr.IsDir() && i.Attr.Nlink > 0 && ino != honeyant.RootIno {
			d, ok := c.tx.entry(c.v, i.Parent, i.Name)
			n.named = ok && d.Ino == ino
			if !n.named {
				c.fault(inoString(ino), "its name %q in %s does not lead here", i.Name, inoString(i.Parent))
			}
		}
	})
}

func (c *checker) scanNames() {
	c.table(tabDentry, 16, func(rest, value []byte) {
		parent := honeyant.Ino(binary.BigEndian.Uint64(rest))
		hash, name := binary.BigEndian.Uint64(rest[8:]), string(rest[16:])
		object := fmt.Sprintf("entry %q of %s", name, inoString(parent))
		var d dentry
		if !c.decode(object, value, d.fields) {
			return
		}
		if checkName("", name) != nil || nameHash(name) != hash {
			c.fault(object, "bad name or hash %x", hash)
		}
		p := c.inodes[parent]
		if p == nil || p.mode&honeyant.ModeType != honeyant.ModeDir || p.nlink == 0 {
			c.fault(object, "the parent is no directory in use")
		}
		n := c.inodes[d.Ino]
		if n == nil {
			c.fault(object, "%s is missing", inoString(d.Ino))
			return
		}
		n.names++
		if d.Type != n.mode&honeyant.ModeType {
			c.fault(object, "type %o, but %s has %o", d.Type, inoString(d.Ino), n.mode)
		}
		if d.Type == honeyant.ModeDir && p != nil {
			p.dirs++
			if n.parent != parent {
				c.fault(object, "%s says that its parent is %s", inoString(d.Ino), inoString(n.parent))
			}
		}
	})
}

func (c *checker) scanXattrs() {
	c.table(tabXattr, 9, func(rest, value []byte) {
		ino, name := honeyant.Ino(binary.BigEndian.Uint64(rest)), string(rest[8:])
		n := c.inodes[ino]
		if n == nil {
			c.fault(inoString(ino), "is missing, but has attribute %q", name)
			return
		}
		n.found |= markXattr | xattrMark(name)
		if name != xattrAccess && name != xattrDefault {
			return
		}
		list, err := parseACL(value)
		if err != nil || list == nil {
			c.fault(inoString(ino), "%s: %v", name, err)
			return
		}
		if bits, all := list.mode(); name == xattrAccess && (all || bits != n.mode&0o777) {
			c.fault(inoString(ino), "the ACL says mode %o, the inode %o", bits, n.mode&0o777)
		}
	})
}

func (c *checker) scanOrphans() {
	c.table(tabOrphan, 8, func(rest, _ []byte) {
		ino := honeyant.Ino(binary.BigEndian.Uint64(rest))
		c.usage.Counts.Orphans++
		if n := c.inodes[ino]; n == nil {
			c.fault(inoString(ino), "is an orphan, but missing")
		} else {
			n.orphan = true
		}
	})
}

func (c *checker) scanQueue() {
	c.table(tabQueue, 8, func(rest, value []byte) {
		data := DataID(binary.BigEndian.Uint64(rest))
		object := fmt.Sprintf("queued data %d", data)
		c.usage.Counts.Queued++
		var q queued
		if !c.decode(object, value, q.fields) {
			return
		}
		c.queues[data] = q
		ino, owned := c.byData[data]
		switch {
		case q.Ino == 0 && owned:
			c.fault(object, "%s still uses it", inoString(ino))
		case q.Ino != 0 && (!owned || ino != q.Ino):
			c.fault(object, "is a cut of %s, which does not use it", inoString(q.Ino))
		case q.Ino != 0:
			if n := c.inodes[ino]; n.floor != q.Version || n.floorBefore > q.From {
				c.fault(object, "the floor is %d at version %d, the cut %d at %d", n.floorBefore, n.floor, q.From, q.Version)
			}
		}
	})
}

func (c *checker) scanLocks() {
	held := map[string]bool{}
	c.table(tabLocks, 8, func(rest, value []byte) {
		ino := honeyant.Ino(binary.BigEndian.Uint64(rest))
		var l lockList
		if !c.decode(inoString(ino), value, l.fields) {
			return
		}
		if c.inodes[ino] == nil || len(l) == 0 {
			c.fault(inoString(ino), "is missing, but has %d locks", len(l))
		}
		for n := range l {
			held[string(heldKey(l[n].Session, c.v, ino))] = true
			for m := range n {
				if l[n].same(&l[m]) && l[n].overlaps(&l[m]) || !l[n].same(&l[m]) && l[n].Kind == l[m].Kind && l[n].overlaps(&l[m]) && (l[n].Write || l[m].Write) {
					c.fault(inoString(ino), "locks %+v and %+v", l[n], l[m])
				}
			}
		}
	})
	for k := range held {
		if _, ok := c.tx.get([]byte(k)); !ok {
			c.fault(keyString([]byte(k)), "locks are held, but the session does not list them")
		}
	}
	c.tx.scan([]byte{tabHeld}, []byte{tabHeld + 1}, func(k, _ []byte) bool {
		if len(k) == 21 && honeyant.VolumeID(binary.BigEndian.Uint32(k[9:])) == c.v && !held[string(k)] {
			c.fault(keyString(k), "the session lists locks, but holds none")
		}
		return true
	})
}
