package meta

import (
	"strconv"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/rpc/wire"
)

// ListNodes tells the replicated part of the cluster map.
type ListNodes struct {
}

// Code implements Op.
func (*ListNodes) Code() Code { return CodeListNodes }

func (*ListNodes) newReply() *MapReply { return new(MapReply) }

// Fields implements Op.
func (o *ListNodes) Fields(c *wire.Codec) {
}

func (o *ListNodes) eval(tx *Tx) (Reply, error) {
	m := honeyant.Map{
		Version: tx.count(counterMap), Incarnation: uint32(tx.count(counterIncarnation)), FeatureLevel: 1, Epoch: tx.Epoch,
	}
	cluster, _ := tx.get(nameKey(tabSetting, SettingCluster))
	m.Cluster = string(cluster)
	if level, ok := tx.get(nameKey(tabSetting, SettingFeatureLevel)); ok {
		n, err := strconv.ParseUint(string(level), 10, 32)
		if err != nil {
			return nil, honeyant.E("meta.ListNodes", honeyant.Corrupt, SettingFeatureLevel, err)
		}
		m.FeatureLevel = uint32(n)
	}
	tx.eachNode(func(n *nodeRecord) { m.Nodes = append(m.Nodes, n.Node) })
	tx.eachStore(func(s *storeRecord) { m.Stores = append(m.Stores, s.Store) })
	return &MapReply{Map: m}, nil
}

// MapReply is the map as committed: removed nodes and stores included, states and capacities, but no use or liveness.
type MapReply struct {
	Map honeyant.Map
}

// Fields implements Reply.
func (r *MapReply) Fields(c *wire.Codec) {
	wire.Map(c, &r.Map)
}
