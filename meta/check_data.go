package meta

import (
	"encoding/binary"
	"fmt"

	"github.com/honeyant/honeyant"
)

func (c *checker) scanChunks() {
	c.table(tabChunk, 16, func(rest, value []byte) {
		id := honeyant.ChunkID(rest[:16])
		var r chunkRecord
		if c.decode("chunk "+id.String(), value, r.fields) {
			c.chunks[id] = &checkedChunk{count: r.Count, length: r.Sum.Length, unused: r.Unused}
		}
	})
	c.table(tabDead, 16, func(rest, _ []byte) {
		id := honeyant.ChunkID(rest[:16])
		c.usage.Counts.Dead++
		if n := c.chunks[id]; n == nil {
			c.fault("chunk "+id.String(), "is dead, but missing")
		} else {
			n.dead = true
		}
	})
	c.table(tabShort, 16, func(rest, _ []byte) {
		id := honeyant.ChunkID(rest[:16])
		c.usage.Counts.Short++
		if n := c.chunks[id]; n == nil || n.dead {
			c.fault("chunk "+id.String(), "is marked short, but dead or missing")
		}
	})
	c.table(tabSparse, 16, func(rest, _ []byte) {
		id := honeyant.ChunkID(rest[:16])
		if n := c.chunks[id]; n == nil || n.dead {
			c.fault("chunk "+id.String(), "is marked sparse, but dead or missing")
		} else {
			n.sparse = true
		}
	})
}

func (c *checker) scanExtents() {
	var data DataID
	before := uint64(0)
	c.table(tabExtent, 16, func(rest, value []byte) {
		at := DataID(binary.BigEndian.Uint64(rest))
		p := placed{Offset: binary.BigEndian.Uint64(rest[8:])}
		object := fmt.Sprintf("extent of data %d at %d", at, p.Offset)
		if !c.decode(object, value, p.fields) {
			return
		}
		if at == data && p.Offset < before {
			c.fault(object, "overlaps the one before, which ends at %d", before)
		}
		data, before = at, p.end()
		c.extent(object, at, &p)
	})
}

func (c *checker) extent(object string, data DataID, p *placed) {
	c.usage.StatFS.Bytes += uint64(p.Length)
	if p.Inline != nil {
		c.usage.StatFS.InlineBytes += uint64(p.Length)
		if !p.Chunk.IsZero() || len(p.Inline) != int(p.Length) || p.end() > honeyant.InlineLimit {
			c.fault(object, "bad inline data of %d bytes", p.Length)
		}
	} else if n := c.chunks[p.Chunk]; n == nil {
		c.fault(object, "chunk %s is missing", p.Chunk)
	} else {
		n.refs++
		n.used += int64(p.Length)
		if p.Length == 0 || uint64(p.ChunkOffset)+uint64(p.Length) > uint64(n.length) {
			c.fault(object, "%d bytes at %d of a chunk of %d", p.Length, p.ChunkOffset, n.length)
		}
	}
	q, isQueued := c.queues[data]
	ino, owned := c.byData[data]
	if !owned {
		if !isQueued || p.Version > q.Version || p.Offset < q.From {
			c.fault(object, "belongs to nothing")
		}
		return
	}
	n := c.inodes[ino]
	n.sum += uint64(p.Length)
	stale := n.floor != 0 && p.Version <= n.floor && p.end() > n.floorBefore
	if stale && (!isQueued || p.Offset < q.From) {
		c.fault(object, "is cut off, but not queued to be freed")
	}
	if !stale && p.end() > n.size {
		c.fault(object, "reaches past the size %d", n.size)
	}
}

func (c *checker) compareInodes() {
	for ino, n := range c.inodes {
		object := inoString(ino)
		isDir := n.mode&honeyant.ModeType == honeyant.ModeDir
		want := n.names
		if isDir {
			want = n.dirs + 2
			if n.names == 0 && ino != honeyant.RootIno {
				want = n.dirs
			}
			if n.names > 1 || ino == honeyant.RootIno && n.names > 0 {
				c.fault(object, "a directory with %d names", n.names)
			}
		}
		if n.nlink != want {
			c.fault(object, "link count %d, should be %d", n.nlink, want)
		}
		if n.orphan != (n.nlink == 0) {
			c.fault(object, "link count %d, listed as an orphan: %v", n.nlink, n.orphan)
		}
		if n.sum != n.covered {
			c.fault(object, "%d bytes in extents, the inode says %d", n.sum, n.covered)
		}
		if n.marks != n.found {
			c.fault(object, "marks %b, should be %b", n.marks, n.found)
		}
		if _, ok := c.queues[n.data]; n.floor != 0 && !ok {
			c.fault(object, "a cut is pending, but not queued")
		}
		if isDir && n.nlink > 0 {
			c.reachesRoot(ino, n)
		}
	}
	if root := c.inodes[honeyant.RootIno]; root == nil || root.mode&honeyant.ModeType != honeyant.ModeDir || root.parent != honeyant.RootIno {
		c.fault(inoString(honeyant.RootIno), "the root is missing or damaged")
	}
}

// reachesRoot finds directories that hang in a ring.
func (c *checker) reachesRoot(ino honeyant.Ino, n *checkedInode) {
	for range 1 << 16 {
		if ino == honeyant.RootIno {
			return
		}
		if ino, n = n.parent, c.inodes[n.parent]; n == nil {
			break
		}
	}
	c.fault(inoString(ino), "its parents do not lead to the root")
}

func (c *checker) compareChunks() {
	for id, n := range c.chunks {
		object := "chunk " + id.String()
		if n.count != n.refs {
			c.fault(object, "count %d, but %d extents", n.count, n.refs)
		}
		if n.dead != (n.count == 0) {
			c.fault(object, "count %d, listed as dead: %v", n.count, n.dead)
		}
		// Records from before Unused was kept count it from 0 on: less than there is.
		if unused := int64(n.length) - n.used; n.count > 0 && n.unused > unused {
			c.fault(object, "%d bytes unused, the record says %d", unused, n.unused)
		}
		said := chunkRecord{Sum: honeyant.ChunkSum{Length: n.length}, Count: n.count, Unused: n.unused}
		if n.sparse != said.sparse() {
			c.fault(object, "%d of %d bytes unused, marked sparse: %v", n.unused, n.length, n.sparse)
		}
		if !n.dead {
			c.usage.StatFS.Chunks++
			c.usage.StatFS.ChunkBytes += uint64(n.length)
		}
	}
}

func (c *checker) compareUsage() {
	var said usageRecord
	c.tx.load(volumeKey(tabUsage, c.v, 0), said.fields)
	said.Counts.Chunks = 0
	if said != c.usage {
		c.fault("usage", "says %+v, counted %+v", said, c.usage)
	}
}
