package meta

import (
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
	return nil, honeyant.E("meta.AddStore", honeyant.Unsupported, "", nil)
}

// StoreReply is a store.
type StoreReply struct {
	Store honeyant.Store
}

// Fields implements Reply.
func (r *StoreReply) Fields(c *wire.Codec) {
	wire.Store(c, &r.Store)
}
