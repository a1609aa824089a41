package meta

import (
	"fmt"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/rpc/wire"
)

// Retag is the leader's own: it moves the policy reference of the inodes below a directory, in
// slices. After is the cursor of the slice before, empty at first.
type Retag struct {
	Volume honeyant.VolumeID
	Ino    honeyant.Ino
	After  []byte
	Limit  uint32
	GiveUp bool // only forget that it is to be done
}

// Code implements Op.
func (*Retag) Code() Code { return CodeRetag }

func (*Retag) newReply() *RetagReply { return new(RetagReply) }

// Fields implements Op.
func (o *Retag) Fields(c *wire.Codec) {
	wire.Uint(c, &o.Volume)
	wire.Uint(c, &o.Ino)
	c.Bytes(&o.After, maxRetagCursor)
	wire.Uint(c, &o.Limit)
	c.Bool(&o.GiveUp)
}

func (o *Retag) eval(tx *Tx) (Reply, error) {
	const op = "meta.Retag"
	if o.GiveUp {
		tx.retagged(o.Volume, o.Ino, o.After, nil)
		return &RetagReply{}, nil
	}
	w := &retagging{tx: tx, op: o, left: int(o.Limit)}
	if w.left == 0 || w.left > maxRetag {
		w.left = maxRetag
	}
	if err := wire.Unmarshal(o.After, w.fields); len(o.After) > 0 && err != nil {
		return nil, honeyant.E(op, honeyant.Invalid, "cursor", err)
	}
	if len(w.stack) == 0 {
		w.stack = []retagLevel{{Ino: max(o.Ino, honeyant.RootIno)}}
	}
	for len(w.stack) > 0 && w.left > 0 && tx.err == nil {
		if err := w.step(op); err != nil {
			return nil, err
		}
	}
	reply := &RetagReply{Changed: w.changed}
	if len(w.stack) > 0 {
		reply.Next = wire.Marshal(w.fields)
		if len(reply.Next) > maxRetagCursor {
			return nil, honeyant.E(op, honeyant.Loop, inoString(o.Ino), fmt.Errorf("directories nested too deep"))
		}
	}
	tx.retagged(o.Volume, o.Ino, o.After, reply.Next)
	return reply, nil
}

const (
	maxRetag       = 700     // steps of one Retag: an inode, a directory entry or a chunk
	maxRetagCursor = 1 << 16 // bytes
)

// A retagging is a walk through a tree: a stack of what is being gone through.
type retagging struct {
	tx      *Tx
	op      *Retag
	stack   []retagLevel
	left    int
	changed uint32
}

// retagLevel is a directory with the cookie of the last entry done, or a file with the offset
// up to which its chunks are done.
type retagLevel struct {
	Ino  honeyant.Ino
	Next uint64
}

func (w *retagging) fields(c *wire.Codec) {
	wire.Slice(c, &w.stack, 1<<14, func(c *wire.Codec, l *retagLevel) {
		wire.Uint(c, &l.Ino)
		wire.Uint(c, &l.Next)
	})
}

// step works on the deepest level.
func (w *retagging) step(op string) error {
	w.left--
	level := &w.stack[len(w.stack)-1]
	var i Inode
	if !w.tx.load(inoKey(tabInode, w.op.Volume, level.Ino), i.fields) {
		if len(w.stack) == 1 {
			return honeyant.E(op, honeyant.Stale, inoString(level.Ino), w.tx.err)
		}
		w.pop() // it went meanwhile
		return nil
	}
	switch {
	case i.Attr.IsDir():
		w.directory(level, &i)
		return nil
	case i.Attr.IsFile():
		return w.file(level, &i)
	}
	w.pop()
	return nil
}

func (w *retagging) pop() { w.stack = w.stack[:len(w.stack)-1] }

// directory retags the entries of one cookie and goes down into what is below them. Entries
// come one cookie at a time, so that a cursor can stand between any two.
func (w *retagging) directory(level *retagLevel, dir *Inode) {
	var below []honeyant.Ino
	cookie := uint64(0)
	w.tx.scan(dentryFrom(w.op.Volume, level.Ino, level.Next+1), inoKey(tabDentry, w.op.Volume, level.Ino+1), func(k, value []byte) bool {
		hash, _ := splitDentry(k)
		if cookie != 0 && hash != cookie {
			return false
		}
		cookie = hash
		var d dentry
		if err := wire.Unmarshal(value, d.fields); err != nil {
			w.tx.fail(honeyant.E("meta.Retag", honeyant.Corrupt, keyString(k), err))
		}
		below = append(below, d.Ino)
		return true
	})
	if cookie == 0 {
		w.pop()
		return
	}
	level.Next = cookie
	for _, ino := range below {
		var i Inode
		if !w.tx.load(inoKey(tabInode, w.op.Volume, ino), i.fields) {
			continue
		}
		w.left--
		if i.PolicyAt == ino {
			continue // a policy of its own
		}
		if i.PolicyAt != dir.PolicyAt {
			i.PolicyAt = dir.PolicyAt
			w.tx.putInode(w.op.Volume, &i)
			w.changed++
		}
		if i.Attr.IsDir() || i.Attr.IsFile() && i.Covered > 0 {
			w.stack = append(w.stack, retagLevel{Ino: ino})
		}
	}
}

// file moves the chunks of a file over to its policy.
func (w *retagging) file(level *retagLevel, i *Inode) error {
	var chunks []honeyant.ChunkID
	done := true
	w.tx.scanExtents(w.op.Volume, i.Data, level.Next, ^uint64(0), func(p placed) bool {
		if len(chunks) >= max(w.left, 1) {
			level.Next, done = p.Offset, false
			return false
		}
		if p.Inline == nil && (len(chunks) == 0 || chunks[len(chunks)-1] != p.Chunk) {
			chunks = append(chunks, p.Chunk)
		}
		return true
	})
	for _, id := range chunks {
		w.left--
		k := chunkKey(tabChunk, w.op.Volume, id)
		var r chunkRecord
		if !w.tx.load(k, r.fields) {
			continue
		}
		if r.PolicyAt != i.PolicyAt {
			r.PolicyAt = i.PolicyAt
			w.tx.store(k, r.fields)
			w.changed++
		}
		w.tx.judgeShort(w.op.Volume, id, &r) // the policy itself may have changed
	}
	if done {
		w.pop()
	}
	return w.tx.err
}

// RetagReply tells how far it got.
type RetagReply struct {
	Next    []byte // empty: done
	Changed uint32
}

// Fields implements Reply.
func (r *RetagReply) Fields(c *wire.Codec) {
	c.Bytes(&r.Next, maxRetagCursor)
	wire.Uint(c, &r.Changed)
}
