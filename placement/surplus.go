package placement

import (
	"slices"

	"github.com/honeyant/honeyant"
)

// Surplus tells which replicas are too many when want are to stay, the worst first. Worse
// are, in this order: a second replica on one node, one on a store that is gone, failing or
// draining, one whose node is not up, one outside the pinned stores, one on the fuller store.
// Whether a copy may really go is the caller's to prove (rule 12).
func Surplus(m *honeyant.Map, p honeyant.Policy, replicas []honeyant.Replica, want int) []honeyant.Replica {
	if len(replicas) <= want {
		return nil
	}
	best := slices.Clone(replicas)
	slices.SortStableFunc(best, func(a, b honeyant.Replica) int { return compare(m, p, b, a) })
	var keep, twice []honeyant.Replica // twice: their node has a better one
	nodes := map[honeyant.NodeID]bool{}
	for _, r := range best {
		s, ok := m.Store(r.Store)
		if ok && nodes[s.Node] {
			twice = append(twice, r)
			continue
		}
		nodes[s.Node] = true
		keep = append(keep, r)
	}
	order := append(keep, twice...)
	surplus := slices.Clone(order[max(want, 0):])
	slices.Reverse(surplus)
	return surplus
}

// compare is positive if a is the better place.
func compare(m *honeyant.Map, p honeyant.Policy, a, b honeyant.Replica) int {
	if d := health(m, a) - health(m, b); d != 0 {
		return d
	}
	if p.Placement == honeyant.PlacePinned {
		x, y := slices.Contains(p.Pinned, a.Store), slices.Contains(p.Pinned, b.Store)
		if x != y {
			if x {
				return 1
			}
			return -1
		}
	}
	x, y := roominess(m, a), roominess(m, b)
	switch {
	case x > y:
		return 1
	case x < y:
		return -1
	}
	return 0
}

// health is 4 for a replica on an active store of a node that is up, less for others.
func health(m *honeyant.Map, r honeyant.Replica) int {
	s, ok := m.Store(r.Store)
	if !ok || s.State == honeyant.StoreRemoved {
		return 0
	}
	n, ok := m.Node(s.Node)
	switch {
	case !ok || n.State == honeyant.NodeRemoved:
		return 0
	case s.State == honeyant.StoreFailing:
		return 1
	case s.State == honeyant.StoreDraining:
		return 2
	case n.State != honeyant.NodeUp:
		return 3
	}
	return 4
}

// roominess is the part of the store that is available.
func roominess(m *honeyant.Map, r honeyant.Replica) float64 {
	s, _ := m.Store(r.Store)
	return float64(s.Available) / float64(max(s.Capacity, 1))
}
