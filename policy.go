package honeyant

import "slices"

// PlacementKind is how stores are chosen for new chunks.
type PlacementKind uint8

// PlaceSpread fills all stores in proportion to their free space; PlacePinned uses only the named stores (the
// honeypot); PlaceLocal puts the first copy into the writer's own store.
const (
	PlaceSpread PlacementKind = iota
	PlacePinned
	PlaceLocal
)

func (p PlacementKind) String() string {
	return [...]string{"spread", "pinned", "local"}[min(p, PlaceLocal)]
}

// Policy says how the data of a directory tree are kept.
type Policy struct {
	Copies    uint8 // 0 = auto: 1 on a single node, 2 from the second node on
	MinCopies uint8 // 0 = auto: 1 on one or two nodes, else 2 (rule 32), never above the copies
	Placement PlacementKind
	Pinned    []StoreID // for PlacePinned
}

// Effective resolves auto for a cluster of so many nodes that are not removed.
func (p Policy) Effective(nodes int) (copies, minCopies int) {
	copies = int(p.Copies)
	if copies == 0 {
		copies = min(2, max(1, nodes))
	}
	minCopies = int(p.MinCopies)
	if minCopies == 0 {
		minCopies = 1
		if nodes > 2 {
			minCopies = 2
		}
	}
	return copies, min(minCopies, copies)
}

// Equal tells whether two policies say the same.
func (p Policy) Equal(q Policy) bool {
	return p.Copies == q.Copies && p.MinCopies == q.MinCopies && p.Placement == q.Placement && slices.Equal(p.Pinned, q.Pinned)
}
