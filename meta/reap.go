package meta

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/kv"
	"github.com/honeyant/honeyant/rpc/wire"
)

// Reap is the leader's own: it deletes orphans that nobody has open and frees the extents of
// queued data, at most Limit steps. Held lists orphans that must stay for now.
type Reap struct {
	Volume honeyant.VolumeID
	Limit  uint32
}

// Code implements Op.
func (*Reap) Code() Code { return CodeReap }

func (*Reap) newReply() *ReapReply { return new(ReapReply) }

// Fields implements Op.
func (o *Reap) Fields(c *wire.Codec) {
	wire.Uint(c, &o.Volume)
	wire.Uint(c, &o.Limit)
}

func (o *Reap) eval(tx *Tx) (Reply, error) {
	limit := int(o.Limit)
	if limit == 0 || limit > maxReap {
		limit = maxReap
	}
	r := &reaper{tx: tx, v: o.Volume, left: limit}
	r.orphans()
	if err := r.queue(); err != nil {
		return nil, err
	}
	r.reply.Left = r.left <= 0
	return &r.reply, tx.err
}

// maxReap bounds the steps of one Reap: an orphan, an extent, an attribute each touch a few keys.
const maxReap = 800

// A reaper is one Reap at work. left counts the steps it may still take.
type reaper struct {
	tx    *Tx
	v     honeyant.VolumeID
	left  int
	reply ReapReply
}

// list gathers at most limit keys of a volume's table, with their values.
func (r *reaper) list(table byte, limit int, want func(id uint64) bool) (ids []uint64, values [][]byte) {
	from := volumeKey(table, r.v, 0)
	r.tx.scan(from, kv.PrefixEnd(from), func(k, value []byte) bool {
		if id := binary.BigEndian.Uint64(k[len(from):]); want(id) {
			ids, values = append(ids, id), append(values, bytes.Clone(value))
		}
		return len(ids) < limit
	})
	return ids, values
}

// orphans deletes orphans that nobody has open; their data are queued.
func (r *reaper) orphans() {
	inos, _ := r.list(tabOrphan, r.left/(4+swapAbove)+1, func(ino uint64) bool { return !r.tx.isOpen(r.v, honeyant.Ino(ino)) })
	for _, ino := range inos {
		if r.left <= 0 || r.tx.err != nil {
			return
		}
		r.orphan(honeyant.Ino(ino))
	}
}

func (r *reaper) orphan(ino honeyant.Ino) {
	tx := r.tx
	var i Inode
	if !tx.load(inoKey(tabInode, r.v, ino), i.fields) {
		tx.fail(honeyant.E("meta.Reap", honeyant.Corrupt, inoString(ino), nil))
		return
	}
	if i.Marks&markXattr != 0 && !r.xattrs(ino) {
		return
	}
	if locks := tx.loadLocks(r.v, ino); len(locks) > 0 {
		for n := range locks {
			tx.del(heldKey(locks[n].Session, r.v, ino))
		}
		tx.storeLocks(r.v, ino, nil)
		r.left -= len(locks)
	}
	if i.Attr.IsDir() {
		tx.del(inoKey(tabPolicy, r.v, ino))
	}
	tx.deleteInode(r.v, &i)
	tx.del(inoKey(tabOrphan, r.v, ino))
	tx.counts(r.v, func(c *CountsReply) { c.Orphans-- })
	r.reply.Orphans++
	r.left -= 4 + swapAbove
}

// xattrs deletes an orphan's attributes; false if some are left.
func (r *reaper) xattrs(ino honeyant.Ino) bool {
	var names []string
	more := false
	r.tx.xattrNames(r.v, ino, func(name string) bool {
		more = len(names) >= r.left
		if !more {
			names = append(names, name)
		}
		return !more
	})
	for _, name := range names {
		r.tx.del(xattrKey(r.v, ino, name))
	}
	r.left -= len(names)
	return !more
}

// queue frees queued data.
func (r *reaper) queue() error {
	if r.left <= 0 {
		return nil
	}
	datas, values := r.list(tabQueue, r.left, func(uint64) bool { return true })
	for n, data := range datas {
		if r.left <= 0 {
			return nil
		}
		var q queued
		if err := wire.Unmarshal(values[n], q.fields); err != nil {
			return honeyant.E("meta.Reap", honeyant.Corrupt, keyString(dataKey(tabQueue, r.v, DataID(data))), err)
		}
		if err := r.free(DataID(data), &q); err != nil {
			return err
		}
	}
	return nil
}

// free frees a slice of one queued data ID, and forgets it when nothing is left.
func (r *reaper) free(data DataID, q *queued) error {
	tx := r.tx
	i := &Inode{Data: data}
	if q.Ino != 0 && !tx.load(inoKey(tabInode, r.v, q.Ino), i.fields) {
		return honeyant.E("meta.Reap", honeyant.Corrupt, inoString(q.Ino), fmt.Errorf("a cut is queued, but there is no inode"))
	}
	m := tx.fileMap(r.v, i)
	seen, next := 0, ^uint64(0)
	var dead []placed
	tx.scanExtents(r.v, data, q.From, ^uint64(0), func(p placed) bool {
		if len(dead) >= r.left || seen == maxReapSeen {
			next = p.Offset
			return false
		}
		seen++
		if p.Version <= q.Version && p.Offset >= q.From {
			dead = append(dead, p)
		}
		return true
	})
	for n := range dead {
		m.del(&dead[n])
	}
	if err := m.close(); err != nil {
		return err
	}
	r.left -= len(dead) + 1
	r.reply.Extents += uint32(len(dead))
	k := dataKey(tabQueue, r.v, data)
	if next == ^uint64(0) {
		tx.del(k)
		tx.counts(r.v, func(c *CountsReply) { c.Queued-- })
		i.FloorOffset, i.FloorVersion = 0, 0
	} else {
		q.From = next
		tx.store(k, q.fields)
		r.left = 0
	}
	if q.Ino != 0 {
		i.Attr.Version++
		tx.putInode(r.v, i)
	}
	return nil
}

// maxReapSeen bounds the extents that one slice looks at, those that stay included.
const maxReapSeen = 20000

// ReapReply tells how much was done.
type ReapReply struct {
	Orphans uint32 // inodes deleted
	Extents uint32 // extents freed
	Left    bool   // there is more to do now
}

// Fields implements Reply.
func (r *ReapReply) Fields(c *wire.Codec) {
	wire.Uint(c, &r.Orphans)
	wire.Uint(c, &r.Extents)
	c.Bool(&r.Left)
}
