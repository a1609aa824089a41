package placement

import (
	"slices"

	"github.com/honeyant/honeyant"
)

// Usable is how many bytes of data fit in all, and how many more fit now, when each byte is
// kept in so many copies on different nodes, over stores of unequal size [26]. On fewer nodes
// than copies it counts one copy a node, as writes do. Total counts active stores on nodes
// that are up or only briefly away, available those that can be written to.
func Usable(m *honeyant.Map, copies int) (total, available int64) {
	if m == nil {
		return 0, 0
	}
	capacity, free := map[honeyant.NodeID]int64{}, map[honeyant.NodeID]int64{}
	for _, s := range m.Stores {
		n, ok := m.Node(s.Node)
		if !ok || s.State != honeyant.StoreActive || n.State != honeyant.NodeUp && n.State != honeyant.NodeDown {
			continue
		}
		capacity[s.Node] += max(s.Capacity, 0)
		if n.State == honeyant.NodeUp {
			free[s.Node] += max(s.Available, 0)
		}
	}
	return placeable(capacity, copies), placeable(free, copies)
}

// placeable is the largest x with sum(min(size, x)) >= copies*x: a node larger than x can
// hold one copy of everything and no more.
func placeable(sizes map[honeyant.NodeID]int64, copies int) int64 {
	var all []int64
	sum := int64(0)
	for _, v := range sizes {
		if v > 0 {
			all = append(all, v)
			sum += v
		}
	}
	copies = min(max(copies, 1), len(all))
	if copies == 0 {
		return 0
	}
	slices.Sort(all)
	for i := len(all) - 1; copies > 1 && all[i] > sum/int64(copies); i-- {
		sum -= all[i] // it takes one copy of everything; the rest carry the others
		copies--
	}
	return sum / int64(copies)
}
