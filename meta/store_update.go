package meta

import (
	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/rpc/wire"
)

// UpdateStore changes a store's state or capacity.
type UpdateStore struct {
	ID       honeyant.StoreID
	State    honeyant.StoreState // 0: as it is; StoreRemoved also removes its replicas from all chunks, by RemoveReplicas slices
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
	return nil, honeyant.E("meta.UpdateStore", honeyant.Unsupported, "", nil)
}
