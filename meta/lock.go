package meta

import (
	"fmt"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/rpc/wire"
)

// Lock takes a lock or changes its type; it never waits. POSIX locks (fcntl) belong to (session, Owner)
// and split and merge by range; flock locks cover the whole file and belong to (session, Owner) too.
type Lock struct {
	Volume honeyant.VolumeID
	Ino    honeyant.Ino
	Lock   FileLock // Session is filled in by the leader
}

// Code implements Op.
func (*Lock) Code() Code { return CodeLock }

func (*Lock) newReply() *LockReply { return new(LockReply) }

// Fields implements Op.
func (o *Lock) Fields(c *wire.Codec) {
	wire.Uint(c, &o.Volume)
	wire.Uint(c, &o.Ino)
	o.Lock.Fields(c)
}

func (o *Lock) eval(tx *Tx) (Reply, error) {
	const op = "meta.Lock"
	want, err := o.Lock.normal(op, tx.Session)
	if err != nil {
		return nil, err
	}
	if _, err := tx.inode(op, o.Volume, o.Ino); err != nil {
		return nil, err
	}
	list := tx.loadLocks(o.Volume, o.Ino)
	if c, ok := list.conflict(&want); ok {
		return &LockReply{Conflict: c}, nil
	}
	list.release(&want)
	list.add(want)
	if len(list) > maxLocks {
		return nil, honeyant.E(op, honeyant.NoLocks, inoString(o.Ino), fmt.Errorf("more than %d locks", maxLocks))
	}
	tx.storeLocks(o.Volume, o.Ino, list)
	tx.put(heldKey(tx.Session, o.Volume, o.Ino), nil)
	return &LockReply{Granted: true}, nil
}

// LockKind tells the two families of locks apart; they do not see each other (as on Linux).
type LockKind uint8

// The families.
const (
	LockPosix LockKind = iota + 1 // fcntl(2), byte ranges
	LockFlock                     // flock(2), whole files
)

// FileLock is one lock. The range is [Start, End], End inclusive, 2^63-1 for "to the end".
type FileLock struct {
	Kind    LockKind
	Write   bool
	Session honeyant.SessionID
	Owner   uint64 // the kernel's lock owner, unique within a session
	PID     uint32
	Start   uint64
	End     uint64
}

// Fields encodes or decodes the lock.
func (l *FileLock) Fields(c *wire.Codec) {
	wire.Uint(c, &l.Kind)
	c.Bool(&l.Write)
	wire.Uint(c, &l.Session)
	wire.Uint(c, &l.Owner)
	wire.Uint(c, &l.PID)
	wire.Uint(c, &l.Start)
	wire.Uint(c, &l.End)
}

// LockReply says whether it was granted, and if not, one lock that stands in the way.
type LockReply struct {
	Granted  bool
	Conflict FileLock
}

// Fields implements Reply.
func (r *LockReply) Fields(c *wire.Codec) {
	c.Bool(&r.Granted)
	r.Conflict.Fields(c)
}
