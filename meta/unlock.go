package meta

import (
	"fmt"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/rpc/wire"
)

// Unlock gives back the range of one owner's locks; what is not locked is not an error. NoSpace: it would cut a lock
// in two, and the inode has as many as it may.
type Unlock struct {
	Volume honeyant.VolumeID
	Ino    honeyant.Ino
	Lock   FileLock // Kind, Owner, Start and End count
}

// Code implements Op.
func (*Unlock) Code() Code { return CodeUnlock }

func (*Unlock) newReply() *Done { return new(Done) }

// Fields implements Op.
func (o *Unlock) Fields(c *wire.Codec) {
	wire.Uint(c, &o.Volume)
	wire.Uint(c, &o.Ino)
	o.Lock.Fields(c)
}

func (o *Unlock) eval(tx *Tx) (Reply, error) {
	give, err := o.Lock.normal("meta.Unlock", tx.Session)
	if err != nil {
		return nil, err
	}
	list := tx.loadLocks(o.Volume, o.Ino)
	before := len(list)
	if list.release(&give) {
		if len(list) > max(before, maxLocks) {
			return nil, honeyant.E("meta.Unlock", honeyant.NoLocks, inoString(o.Ino), fmt.Errorf("cutting a lock in two would make more than %d", maxLocks))
		}
		tx.storeLocks(o.Volume, o.Ino, list)
		if !list.holds(tx.Session) {
			tx.del(heldKey(tx.Session, o.Volume, o.Ino))
		}
	}
	return &Done{}, nil
}
