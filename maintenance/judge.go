package maintenance

import (
	"slices"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/meta"
)

// verdict is what should be done with one chunk under one map. It is a pure function of both.
type verdict struct {
	m        *honeyant.Map
	wanted   int
	counting []honeyant.Replica // count towards the policy: one per node, good, on stores that stay
	present  int                // of these, on nodes that are up
	sources  []honeyant.Replica // can be read now
	missing  int                // copies to be made
	surplus  []honeyant.Replica // may go once nothing is missing; damaged ones too
	bad      []honeyant.Replica // damaged, on stores that are up
	dropping []honeyant.Replica // a drop is committed: to be carried out
	holders  []honeyant.StoreID // stores that are no target: they hold, get or drop a replica
	leaving  []honeyant.StoreID // draining stores that hold a replica, one that is being dropped too
}

// short tells that fewer copies can be read now than the policy wants.
func (v *verdict) short() bool { return v.present < v.wanted }

// lost tells that no copy can be read now.
func (v *verdict) lost() bool { return len(v.sources) == 0 }

// judge looks at a chunk.
func judge(m *honeyant.Map, c *meta.ChunkInfo) verdict {
	members := 0
	for _, n := range m.Nodes {
		if n.State != honeyant.NodeRemoved {
			members++
		}
	}
	v := verdict{m: m}
	v.wanted, _ = c.Policy.Effective(members)
	onNode := map[honeyant.NodeID]bool{}
	for _, up := range []bool{true, false} { // copies that can be read count first
		for _, r := range c.Replicas {
			store, known := m.Store(r.Store)
			node, _ := m.Node(store.Node)
			if (node.State == honeyant.NodeUp) == up {
				v.weigh(c, r, store, known, node.State, onNode)
			}
		}
	}
	v.missing = max(0, v.wanted-len(v.counting))
	return v
}

// weigh sorts one replica in.
func (v *verdict) weigh(c *meta.ChunkInfo, r meta.ReplicaInfo, store honeyant.Store, known bool, node honeyant.NodeState, onNode map[honeyant.NodeID]bool) {
	v.holders = append(v.holders, r.Store)
	if !known || store.State == honeyant.StoreRemoved || node == honeyant.NodeRemoved {
		if r.Dropping {
			v.dropping = append(v.dropping, r.Replica)
		}
		return // gone; the sweep takes it off the list
	}
	if store.State == honeyant.StoreDraining {
		v.leaving = append(v.leaving, r.Store)
	}
	readable := node == honeyant.NodeUp
	switch {
	case r.Dropping:
		v.dropping = append(v.dropping, r.Replica)
		return
	case r.Bad:
		v.surplus = append(v.surplus, r.Replica)
		if readable {
			v.bad = append(v.bad, r.Replica)
		}
		return
	}
	if readable {
		v.sources = append(v.sources, r.Replica)
	}
	stays := store.State == honeyant.StoreActive && node != honeyant.NodeOut
	fits := c.Policy.Placement != honeyant.PlacePinned || slices.Contains(c.Policy.Pinned, r.Store)
	switch {
	case node == honeyant.NodeOut:
		// Unreachable: nothing to drop there until it is back.
	case !stays || !fits || onNode[store.Node] || len(v.counting) == v.wanted:
		v.surplus = append(v.surplus, r.Replica)
	default:
		v.counting = append(v.counting, r.Replica)
		onNode[store.Node] = true
		if readable {
			v.present++
		}
	}
}

// reachable tells whether a store's replicas can be dealt with now: it is up, or gone for good.
func (v *verdict) reachable(id honeyant.StoreID) bool {
	s, known := v.m.Store(id)
	return !known || s.State == honeyant.StoreRemoved || v.m.StoreUp(id)
}

// actionable tells whether anything can be tried now.
func (v *verdict) actionable() bool {
	switch {
	case v.lost():
		return len(v.bad) > 0 // perhaps one of them is not damaged after all
	case v.missing > 0:
		return true
	}
	return slices.ContainsFunc(v.dropping, func(r honeyant.Replica) bool { return v.reachable(r.Store) }) ||
		v.present >= v.wanted && slices.ContainsFunc(v.surplus, func(r honeyant.Replica) bool { return v.m.StoreUp(r.Store) })
}

// ref is the chunk with the replicas that may be read.
func (v *verdict) ref(c *meta.ChunkInfo) honeyant.ChunkRef {
	return honeyant.ChunkRef{ID: c.ID, Sum: c.Sum, Replicas: v.sources}
}

// excluded are the stores that may not get another copy: they hold one, or their node has one that counts.
func (v *verdict) excluded() []honeyant.StoreID {
	out := slices.Clone(v.holders)
	taken := map[honeyant.NodeID]bool{}
	for _, r := range v.counting {
		s, _ := v.m.Store(r.Store)
		taken[s.Node] = true
	}
	for _, s := range v.m.Stores {
		if taken[s.Node] {
			out = append(out, s.ID)
		}
	}
	return out
}

// tally is what one chunk, or many, add to the State.
type tally struct {
	short, lost, pending, bytes int64
	leaving                     []honeyant.StoreID
}

func (v *verdict) tally(length uint32) tally {
	t := tally{pending: int64(v.missing), bytes: int64(v.missing) * int64(length), leaving: v.leaving}
	if v.short() {
		t.short = 1
	}
	if v.lost() {
		t.lost = 1
	}
	return t
}
