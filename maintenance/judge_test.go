package maintenance

import (
	"testing"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/meta"
)

// colony makes a map of nodes with one store each: n1 has s1 and so on.
func colony(states ...honeyant.NodeState) *honeyant.Map {
	m := &honeyant.Map{}
	for i, st := range states {
		id := honeyant.NodeID(i + 1)
		m.Nodes = append(m.Nodes, honeyant.Node{ID: id, State: st})
		m.Stores = append(m.Stores, honeyant.Store{ID: honeyant.StoreID(i + 1), Node: id, State: honeyant.StoreActive, Capacity: 100, Available: 50})
	}
	return m
}

func replicas(list ...honeyant.StoreID) (out []meta.ReplicaInfo) {
	for _, s := range list {
		out = append(out, meta.ReplicaInfo{Replica: honeyant.Replica{Store: s, Generation: 1}})
	}
	return out
}

const (
	up      = honeyant.NodeUp
	down    = honeyant.NodeDown
	out     = honeyant.NodeOut
	removed = honeyant.NodeRemoved
)

func TestJudge(t *testing.T) {
	bad := replicas(1, 2)
	bad[1].Bad = true
	dropping := replicas(1, 2, 3)
	dropping[2].Dropping = true
	draining := colony(up, up, up)
	draining.Stores[0].State = honeyant.StoreDraining
	failing := colony(up, up, up)
	failing.Stores[1].State = honeyant.StoreFailing
	twoOnOne := colony(up, up)
	twoOnOne.Stores[1].Node = 1
	pin := honeyant.Policy{Copies: 1, Placement: honeyant.PlacePinned, Pinned: []honeyant.StoreID{3}}
	for _, c := range []struct {
		name                       string
		m                          *honeyant.Map
		policy                     honeyant.Policy
		replicas                   []meta.ReplicaInfo
		missing, surplus, dropping int
		short, lost                bool
	}{
		{"two copies, all well", colony(up, up, up), honeyant.Policy{}, replicas(1, 2), 0, 0, 0, false, false},
		{"a node is down: wait, but say it", colony(up, down, up), honeyant.Policy{}, replicas(1, 2), 0, 0, 0, true, false},
		{"a node is out: replace", colony(up, out, up), honeyant.Policy{}, replicas(1, 2), 1, 0, 0, true, false},
		{"a node is removed", colony(up, removed, up), honeyant.Policy{}, replicas(1, 2), 1, 0, 0, true, false},
		{"both out", colony(out, out, up), honeyant.Policy{}, replicas(1, 2), 2, 0, 0, true, true},
		{"both down", colony(down, down, up), honeyant.Policy{}, replicas(1, 2), 0, 0, 0, true, true},
		{"committed with one copy", colony(up, up, up), honeyant.Policy{}, replicas(3), 1, 0, 0, true, false},
		{"one node wants one copy", colony(up), honeyant.Policy{}, replicas(1), 0, 0, 0, false, false},
		{"came back: one too many", colony(up, up, up), honeyant.Policy{}, replicas(1, 2, 3), 0, 1, 0, false, false},
		{"a bad copy is replaced first", colony(up, up, up), honeyant.Policy{}, bad, 1, 1, 0, true, false},
		{"a drop under way", colony(up, up, up), honeyant.Policy{}, dropping, 0, 0, 1, false, false},
		{"a draining store's copy does not count but can be read", draining, honeyant.Policy{}, replicas(1, 2), 1, 1, 0, true, false},
		{"a failing store's copy likewise", failing, honeyant.Policy{}, replicas(1, 2), 1, 1, 0, true, false},
		{"two copies on one node are one", twoOnOne, honeyant.Policy{Copies: 2}, replicas(1, 2), 1, 1, 0, true, false},
		{"pinned elsewhere", colony(up, up, up), pin, replicas(1), 1, 1, 0, true, false},
		{"pinned here", colony(up, up, up), pin, replicas(3), 0, 0, 0, false, false},
		{"three wanted", colony(up, up, up), honeyant.Policy{Copies: 3}, replicas(1, 2), 1, 0, 0, true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := judge(c.m, &meta.ChunkInfo{Policy: c.policy, Replicas: c.replicas})
			if v.missing != c.missing || len(v.surplus) != c.surplus || len(v.dropping) != c.dropping || v.short() != c.short || v.lost() != c.lost {
				t.Errorf("missing %d surplus %d dropping %d short %t lost %t; want %d %d %d %t %t", v.missing, len(v.surplus), len(v.dropping), v.short(), v.lost(),
					c.missing, c.surplus, c.dropping, c.short, c.lost)
			}
		})
	}
}

// The most urgent work comes first, and no more than a batch of it is kept.
func TestUrgentTakesFewestCopiesFirst(t *testing.T) {
	var tasks []task
	for i := range healBatch + 100 {
		tasks = append(tasks, task{copies: (i + 1) % 3})
	}
	got := urgent(tasks)
	if len(got) != healBatch {
		t.Fatalf("%d tasks kept", len(got))
	}
	for i := 1; i < len(got); i++ {
		if got[i].copies < got[i-1].copies {
			t.Fatalf("task %d has %d copies after one with %d", i, got[i].copies, got[i-1].copies)
		}
	}
}

// A store that holds, gets or drops a replica is no target, nor is any other store of a node
// whose copy counts.
func TestExcludedStores(t *testing.T) {
	m := colony(up, up, up)
	m.Stores = append(m.Stores, honeyant.Store{ID: 4, Node: 1, State: honeyant.StoreActive})
	v := judge(m, &meta.ChunkInfo{Replicas: replicas(1)})
	got := map[honeyant.StoreID]bool{}
	for _, s := range v.excluded() {
		got[s] = true
	}
	if !got[1] || !got[4] || got[2] || got[3] {
		t.Errorf("excluded %v", got)
	}
}
