package meta

import (
	"errors"
	"fmt"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/rpc/wire"
)

// AddStore takes a new store in and tells its ID.
type AddStore struct {
	Node     honeyant.NodeID
	Key      string // random, made with the store directory, so that a retry gets the same ID
	Capacity int64  // bytes
}

// Code implements Op.
func (*AddStore) Code() Code { return CodeAddStore }

func (*AddStore) newReply() *StoreReply { return new(StoreReply) }

// Fields implements Op.
func (o *AddStore) Fields(c *wire.Codec) {
	wire.Uint(c, &o.Node)
	c.String(&o.Key, 64)
	wire.Int(c, &o.Capacity)
}

func (o *AddStore) eval(tx *Tx) (Reply, error) {
	const op = "meta.AddStore"
	if n, ok := tx.node(o.Node); !ok || n.Node.State == honeyant.NodeRemoved {
		return nil, honeyant.E(op, honeyant.NotPermitted, o.Node.String(), errors.New("not a member"))
	}
	if o.Key == "" || o.Capacity < 0 {
		return nil, honeyant.E(op, honeyant.Invalid, o.Key, fmt.Errorf("capacity %d", o.Capacity))
	}
	var known *storeRecord
	tx.eachStore(func(s *storeRecord) {
		if s.Key == o.Key {
			known = s
		}
	})
	switch {
	case known == nil:
	case known.Store.Node != o.Node || known.Store.State == honeyant.StoreRemoved:
		return nil, honeyant.E(op, honeyant.Stale, known.Store.ID.String(), fmt.Errorf("the store belongs to %v and is %v", known.Store.Node, known.Store.State))
	default:
		return &StoreReply{Store: known.Store}, nil
	}
	rec := storeRecord{Key: o.Key, Store: honeyant.Store{
		ID: honeyant.StoreID(tx.next(counterStore)), Node: o.Node, State: honeyant.StoreActive, Capacity: o.Capacity,
	}}
	tx.store(storeKey(rec.Store.ID), rec.fields)
	tx.next(counterMap)
	return &StoreReply{Store: rec.Store}, nil
}

// StoreReply is a store.
type StoreReply struct {
	Store honeyant.Store
}

// Fields implements Reply.
func (r *StoreReply) Fields(c *wire.Codec) {
	wire.Store(c, &r.Store)
}
