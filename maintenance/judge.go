package maintenance

import (
	"slices"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/meta"
)

// verdict is what should be done with one chunk under one map. It is a pure function of both.
type verdict struct {
	wanted   int
	counting []honeyant.Replica // count towards the policy: one per node, good, on stores that stay
	present  int                // of these, on nodes that are up
	sources  []honeyant.Replica // can be read now
	missing  int                // copies to be made
	surplus  []honeyant.Replica // may go once nothing is missing
	dropping []honeyant.Replica // a drop is committed: to be carried out
	holders  []honeyant.StoreID // stores that are no target: they hold, get or drop a replica
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
	v := verdict{}
	v.wanted, _ = c.Policy.Effective(members)
	onNode := map[honeyant.NodeID]bool{}
	for _, r := range c.Replicas {
		store, known := m.Store(r.Store)
		node, _ := m.Node(store.Node)
		v.holders = append(v.holders, r.Store)
		if !known || store.State == honeyant.StoreRemoved || node.State == honeyant.NodeRemoved {
			continue // gone; the clean-up of removed stores takes it off the list
		}
		if r.Dropping {
			v.dropping = append(v.dropping, r.Replica)
			continue
		}
		readable := node.State == honeyant.NodeUp
		if r.Bad {
			v.surplus = append(v.surplus, r.Replica)
			continue
		}
		if readable {
			v.sources = append(v.sources, r.Replica)
		}
		stays := store.State == honeyant.StoreActive && node.State != honeyant.NodeOut
		fits := c.Policy.Placement != honeyant.PlacePinned || slices.Contains(c.Policy.Pinned, r.Store)
		switch {
		case !stays && node.State == honeyant.NodeOut:
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
	v.missing = max(0, v.wanted-len(v.counting))
	return v
}

// ref is the chunk with the replicas that may be read.
func (v *verdict) ref(c *meta.ChunkInfo) honeyant.ChunkRef {
	return honeyant.ChunkRef{ID: c.ID, Sum: c.Sum, Replicas: v.sources}
}

// targets are the nodes that may not get another copy: they hold one that counts.
func (v *verdict) excluded(m *honeyant.Map) []honeyant.StoreID {
	out := slices.Clone(v.holders)
	taken := map[honeyant.NodeID]bool{}
	for _, r := range v.counting {
		s, _ := m.Store(r.Store)
		taken[s.Node] = true
	}
	for _, s := range m.Stores {
		if taken[s.Node] {
			out = append(out, s.ID)
		}
	}
	return out
}
