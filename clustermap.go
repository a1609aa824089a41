package honeyant

import "slices"

// NodeState is how the leader sees a node.
type NodeState uint8

// A node is Up while its heartbeats come, Down after 10 s of silence, Out after
// out_after: then its chunks are re-created elsewhere. Removed nodes are locked out for ever.
const (
	NodeUp NodeState = iota + 1
	NodeDown
	NodeOut
	NodeRemoved
)

func (s NodeState) String() string {
	switch s {
	case NodeUp:
		return "up"
	case NodeDown:
		return "down"
	case NodeOut:
		return "out"
	case NodeRemoved:
		return "removed"
	}
	return "unknown"
}

// Role is a node's part in the metadata quorum.
type Role uint8

// RoleNone keeps no metadata; a Learner copies the log; a Voter counts.
const (
	RoleNone Role = iota
	RoleLearner
	RoleVoter
)

func (r Role) String() string { return [...]string{"none", "learner", "voter"}[min(r, RoleVoter)] }

// StoreState is what a store may be used for.
type StoreState uint8

// Active takes new chunks; Draining is being emptied; Failing had an I/O error: it takes
// nothing new, and what it holds is re-created elsewhere.
const (
	StoreActive StoreState = iota + 1
	StoreDraining
	StoreFailing
	StoreRemoved
)

func (s StoreState) String() string {
	switch s {
	case StoreActive:
		return "active"
	case StoreDraining:
		return "draining"
	case StoreFailing:
		return "failing"
	case StoreRemoved:
		return "removed"
	}
	return "unknown"
}

// Node is a machine of the cluster as the map tells it.
type Node struct {
	ID      NodeID
	Name    string
	Address string // host:port of its one port
	Zone    string
	State   NodeState
	Role    Role
}

// Store is a place for chunks as the map tells it. Sizes are in bytes.
type Store struct {
	ID        StoreID
	Node      NodeID
	State     StoreState
	Capacity  int64 // what it may hold at all
	Used      int64 // what its records occupy
	Available int64 // what new chunks may still take, reserve kept
}

// Map is a cluster at one moment, as every node knows it. It is a value: share it, never
// change it. Version grows with every change but sizes and liveness refresh it silently.
type Map struct {
	Cluster      string // random ID of the cluster, 32 hexadecimal digits
	Version      uint64
	Incarnation  uint32
	FeatureLevel uint32
	Epoch        uint64 // leadership epoch under which it was made
	Leader       NodeID // 0: none known
	Nodes        []Node
	Stores       []Store
}

// Node finds a node.
func (m *Map) Node(id NodeID) (Node, bool) {
	if m == nil {
		return Node{}, false
	}
	i := slices.IndexFunc(m.Nodes, func(n Node) bool { return n.ID == id })
	if i < 0 {
		return Node{}, false
	}
	return m.Nodes[i], true
}

// Store finds a store.
func (m *Map) Store(id StoreID) (Store, bool) {
	if m == nil {
		return Store{}, false
	}
	i := slices.IndexFunc(m.Stores, func(s Store) bool { return s.ID == id })
	if i < 0 {
		return Store{}, false
	}
	return m.Stores[i], true
}

// StoreUp tells whether reads may go to the store: it is not removed and its node is up.
func (m *Map) StoreUp(id StoreID) bool {
	s, ok := m.Store(id)
	if !ok || s.State == StoreRemoved {
		return false
	}
	n, ok := m.Node(s.Node)
	return ok && n.State == NodeUp
}
