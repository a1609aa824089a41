package meta

import (
	"errors"
	"fmt"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/rpc/wire"
)

// UpdateStore changes a store's state or capacity.
type UpdateStore struct {
	ID       honeyant.StoreID
	State    honeyant.StoreState // 0: as it is; StoreRemoved is for ever, and Conflict while a chunk has its last good replica there; SweepChunks then takes its replicas off
	Capacity int64               // 0: as it is
}

// Code implements Op.
func (*UpdateStore) Code() Code { return CodeUpdateStore }

func (*UpdateStore) newReply() *StoreReply { return new(StoreReply) }

// Fields implements Op.
func (o *UpdateStore) Fields(c *wire.Codec) {
	wire.Uint(c, &o.ID)
	wire.Uint(c, &o.State)
	wire.Int(c, &o.Capacity)
}

func (o *UpdateStore) eval(tx *Tx) (Reply, error) {
	const op = "meta.UpdateStore"
	var rec storeRecord
	if !tx.load(storeKey(o.ID), rec.fields) {
		return nil, honeyant.E(op, honeyant.NotExist, o.ID.String(), tx.err)
	}
	was := rec.Store
	if o.State > honeyant.StoreRemoved || o.Capacity < 0 {
		return nil, honeyant.E(op, honeyant.Invalid, o.ID.String(), fmt.Errorf("state %d, capacity %d", o.State, o.Capacity))
	}
	if was.State == honeyant.StoreRemoved {
		if o.State == honeyant.StoreRemoved {
			return &StoreReply{Store: was}, nil
		}
		return nil, honeyant.E(op, honeyant.Stale, o.ID.String(), errors.New("the store was removed"))
	}
	if o.State == honeyant.StoreRemoved {
		if id, last := tx.lastReplica(func(s honeyant.StoreID) bool { return s == o.ID }); last {
			return nil, honeyant.E(op, honeyant.Conflict, o.ID.String(), fmt.Errorf("it has the last good replica of chunk %v", id))
		}
	}
	if o.State != 0 {
		rec.Store.State = o.State
	}
	if o.Capacity != 0 {
		rec.Store.Capacity = o.Capacity
	}
	if rec.Store != was {
		tx.store(storeKey(o.ID), rec.fields)
		tx.next(counterMap)
	}
	return &StoreReply{Store: rec.Store}, nil
}
