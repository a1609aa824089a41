package metatest

import (
	"context"
	"testing"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/meta"
)

// OK does an operation that must succeed.
func OK(t testing.TB, d meta.Doer, op meta.Op) meta.Reply {
	t.Helper()
	reply, err := d.Do(context.Background(), op)
	if err != nil {
		t.Fatalf("%v: %v", op.Code(), err)
	}
	return reply
}

// Found begins a cluster of that name with n nodes, each with a store of so many bytes, of the same numbers.
func Found(t testing.TB, d meta.Doer, name string, n int, capacity int64) {
	t.Helper()
	OK(t, d, &meta.Bootstrap{Cluster: name})
	hash := make([]byte, 32)
	for i := 1; i <= n; i++ {
		if i > 1 {
			OK(t, d, &meta.AddToken{Token: meta.Token{Hash: hash, Name: "t", Left: 1}})
			OK(t, d, &meta.AddNode{Name: "more", TokenHash: hash, PublicKey: []byte{byte(i)}})
		} else {
			OK(t, d, &meta.AddNode{Name: "first", PublicKey: []byte{1}})
		}
		OK(t, d, &meta.AddStore{Node: honeyant.NodeID(i), Key: string(rune('a' + i)), Capacity: capacity})
	}
}

// MapUp is the map that replica 0 has applied, with all nodes that are not removed up and all stores empty; nil if it
// can not be read.
func (r *Replicas) MapUp() *honeyant.Map {
	reply, err := r.States[0].Query(&meta.ListNodes{})
	if err != nil {
		return nil
	}
	m := reply.(*meta.MapReply).Map
	for i := range m.Nodes {
		if m.Nodes[i].State != honeyant.NodeRemoved {
			m.Nodes[i].State = honeyant.NodeUp
		}
	}
	for i := range m.Stores {
		m.Stores[i].Available = m.Stores[i].Capacity
	}
	return &m
}
