package placement

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/honeyant/honeyant"
)

// Options of Choose.
type Options struct {
	Local   honeyant.NodeID    // the writer's node, 0 if it has no store or does not matter
	Exclude []honeyant.StoreID // not these: they hold a copy, or failed just now
	Size    int64              // bytes that must fit
	Rand    func() uint64      // default: math/rand/v2
}

// candidate is a node with its eligible stores.
type candidate struct {
	node   honeyant.NodeID
	stores []honeyant.Store
	weight float64 // bytes available in them
}

// Choose picks up to want stores for a chunk. Fewer than want is not an error as long as
// there is one: the caller compares with the policy's minimum. The first one is the writer's
// own if that was chosen. Errors: NoSpace if no store may take the chunk.
func Choose(m *honeyant.Map, p honeyant.Policy, want int, o Options) ([]honeyant.StoreID, error) {
	if o.Rand == nil {
		o.Rand = rand.Uint64
	}
	all := candidates(m, p, &o)
	if len(all) == 0 || want <= 0 {
		return nil, honeyant.E("placement.Choose", honeyant.NoSpace, p.Placement.String(),
			fmt.Errorf("no active store on a node that is up has %d bytes for one of %d copies", o.Size, want))
	}
	var chosen []candidate
	if p.Placement == honeyant.PlaceLocal {
		if i := indexOf(all, o.Local); i >= 0 {
			chosen = append(chosen, all[i])
			all = slices.Delete(all, i, i+1)
		}
	}
	chosen = append(chosen, draw(all, want-len(chosen), o.Rand)...)
	if i := indexOf(chosen, o.Local); i > 0 {
		chosen[0], chosen[i] = chosen[i], chosen[0]
	}
	ids := make([]honeyant.StoreID, len(chosen))
	for i, c := range chosen {
		ids[i] = c.pick(o.Rand)
	}
	return ids, nil
}

func indexOf(all []candidate, node honeyant.NodeID) int {
	return slices.IndexFunc(all, func(c candidate) bool { return node != 0 && c.node == node })
}

// candidates are the nodes that may take the chunk [L2, L4].
func candidates(m *honeyant.Map, p honeyant.Policy, o *Options) []candidate {
	if m == nil {
		return nil
	}
	var all []candidate
	for _, s := range m.Stores {
		n, ok := m.Node(s.Node)
		switch {
		case s.State != honeyant.StoreActive || !ok || n.State != honeyant.NodeUp:
		case s.Available <= 0 || s.Available < o.Size || slices.Contains(o.Exclude, s.ID):
		case p.Placement == honeyant.PlacePinned && !slices.Contains(p.Pinned, s.ID):
		default:
			i := slices.IndexFunc(all, func(c candidate) bool { return c.node == s.Node })
			if i < 0 {
				i = len(all)
				all = append(all, candidate{node: s.Node})
			}
			all[i].stores = append(all[i].stores, s)
			all[i].weight += float64(s.Available)
		}
	}
	return all
}

// draw picks n of all, each with a probability of n times its share of the weight, those
// that would pass 1 for certain [L3]. It reorders all.
func draw(all []candidate, n int, random func() uint64) []candidate {
	if n <= 0 {
		return nil
	}
	if n >= len(all) {
		shuffle(all, random)
		return all
	}
	shuffle(all, random)
	slices.SortStableFunc(all, func(a, b candidate) int { // the certain ones come first
		switch {
		case a.weight > b.weight:
			return -1
		case a.weight < b.weight:
			return 1
		}
		return 0
	})
	total := 0.0
	for _, c := range all {
		total += c.weight
	}
	var chosen []candidate
	for n > 0 && all[0].weight*float64(n) >= total {
		chosen = append(chosen, all[0])
		total -= all[0].weight
		all, n = all[1:], n-1
	}
	if n > 0 {
		// Systematic sampling: n marks at equal distances on the line of all weights in random
		// order. No weight is longer than the distance, so none is hit twice.
		shuffle(all, random)
		step := total / float64(n)
		mark, at := step*unit(random), 0.0
		for _, c := range all {
			at += c.weight
			if n > 0 && mark < at {
				chosen = append(chosen, c)
				mark += step
				n--
			}
		}
	}
	shuffle(chosen, random)
	return chosen
}

// pick chooses one of the node's stores, weighted by what it has available.
func (c *candidate) pick(random func() uint64) honeyant.StoreID {
	mark := c.weight * unit(random)
	for _, s := range c.stores {
		if mark -= float64(s.Available); mark < 0 {
			return s.ID
		}
	}
	return c.stores[len(c.stores)-1].ID
}

func shuffle(all []candidate, random func() uint64) {
	for i := len(all) - 1; i > 0; i-- {
		j := int(random() % uint64(i+1))
		all[i], all[j] = all[j], all[i]
	}
}

// unit is a random number in [0, 1).
func unit(random func() uint64) float64 { return float64(random()>>11) / (1 << 53) }
