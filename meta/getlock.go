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
	return nil, honeyant.E("meta.GetLock", honeyant.Unsupported, "", nil)
}
