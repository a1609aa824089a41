package meta

import (
	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/rpc/wire"
)

// GetLock tells whether Lock would be granted (F_GETLK).
type GetLock struct {
	Volume honeyant.VolumeID
	Ino    honeyant.Ino
	Lock   FileLock
}

// Code implements Op.
func (*GetLock) Code() Code { return CodeGetLock }

func (*GetLock) newReply() *LockReply { return new(LockReply) }

// Fields implements Op.
func (o *GetLock) Fields(c *wire.Codec) {
	wire.Uint(c, &o.Volume)
	wire.Uint(c, &o.Ino)
	o.Lock.Fields(c)
}

func (o *GetLock) eval(tx *Tx) (Reply, error) {
	const op = "meta.GetLock"
	want, err := o.Lock.normal(op, tx.Session)
	if err != nil {
		return nil, err
	}
	if _, err := tx.inode(op, o.Volume, o.Ino); err != nil {
		return nil, err
	}
	c, ok := tx.loadLocks(o.Volume, o.Ino).conflict(&want)
	return &LockReply{Granted: !ok, Conflict: c}, nil
}
