package replica_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/chunk"
	"github.com/honeyant/honeyant/disk"
	"github.com/honeyant/honeyant/replica"
	"github.com/honeyant/honeyant/rpc"
	"github.com/honeyant/honeyant/rpc/memnet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// colony is nodes 1..n, each with store 10, 20, ...; node 9 is a pure client.
type colony struct {
	t     testing.TB
	world *memnet.World
	nodes map[honeyant.NodeID]*node
	inc   atomic.Uint32

	mu  sync.Mutex
	bad []honeyant.Replica // told to the client's OnBad
}

type node struct {
	client *replica.Client
	store  *bent
	real   *chunk.Store
	disk   *disk.Memory
	stop   func()
}

// bent is a store that can be made to misbehave.
type bent struct {
	replica.ChunkStore
	corrupt atomic.Bool // what is read differs from its checksum
	lie     atomic.Bool // the same, and the store does not notice
	full    atomic.Bool
}

func (b *bent) Create(id honeyant.ChunkID, length uint32) (replica.Writer, error) {
	if b.full.Load() {
		return nil, honeyant.E("test", honeyant.NoSpace, id.String(), nil)
	}
	return b.ChunkStore.Create(id, length)
}

func (b *bent) ReadAt(id honeyant.ChunkID, gen honeyant.Generation, p []byte, off uint32) (int, error) {
	if b.corrupt.Load() {
		return 0, honeyant.E("test", honeyant.Corrupt, id.String(), nil)
	}
	return b.ChunkStore.ReadAt(id, gen, p, off)
}

func (b *bent) ReadFrames(id honeyant.ChunkID, gen honeyant.Generation, first uint32, p []byte) (chunk.FrameRange, error) {
	if b.corrupt.Load() {
		return chunk.FrameRange{}, honeyant.E("test", honeyant.Corrupt, id.String(), nil)
	}
	r, err := b.ChunkStore.ReadFrames(id, gen, first, p)
	if b.lie.Load() && r.N > 0 {
		p[r.N/2] ^= 1
	}
	return r, err
}

// here is a node's replica.Local.
type here struct {
	id    honeyant.StoreID
	store replica.ChunkStore
}

func (h here) Store(id honeyant.StoreID) (replica.ChunkStore, bool) {
	return h.store, id == h.id && h.id != 0
}

func storeOf(n honeyant.NodeID) honeyant.StoreID { return honeyant.StoreID(10 * n) }

// newColony starts n nodes; call end before the test does.
func newColony(t testing.TB, n int) *colony {
	c := &colony{t: t, world: memnet.New(), nodes: map[honeyant.NodeID]*node{}}
	c.inc.Store(1)
	for i := 1; i <= n; i++ {
		c.start(honeyant.NodeID(i), c.world.Node(honeyant.NodeID(i), addrOf(honeyant.NodeID(i))), nil)
	}
	c.start(9, c.world.Node(9, addrOf(9)), nil)
	return c
}

func addrOf(n honeyant.NodeID) string { return fmt.Sprint("node", n) }

// start runs a node over a network; a nil disk means a new one.
func (c *colony) start(id honeyant.NodeID, network rpc.Network, d *disk.Memory) {
	n := &node{disk: d}
	local := here{}
	if id != 9 {
		if n.disk == nil {
			n.disk = disk.NewMemory(0)
		}
		s, err := chunk.Open(n.disk, chunk.Options{Capacity: 1 << 30})
		if err != nil {
			c.t.Fatal(err)
		}
		n.real = s
		n.store = &bent{ChunkStore: replica.Wrap(s)}
		local = here{storeOf(id), n.store}
	}
	n.client = replica.New(replica.Options{
		Network: network, Map: c.clusterMap, Local: local, Self: id,
		OnBad: func(_ honeyant.ChunkID, r honeyant.Replica) {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.bad = append(c.bad, r)
		},
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	l := network.Listen(rpc.ProtoChunk)
	go func() { done <- replica.NewServer(n.client).Serve(ctx, l) }()
	n.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			c.t.Error(err)
		}
		n.client.Close()
		if n.real != nil {
			n.real.Close()
		}
	})
	c.nodes[id] = n
}

func (c *colony) end() {
	c.world.HealAll()
	for _, n := range c.nodes {
		n.stop()
	}
}

// address overrides where nodes are; nil means in memory.
func (c *colony) clusterMap() *honeyant.Map {
	m := &honeyant.Map{Incarnation: c.inc.Load()}
	for _, id := range []honeyant.NodeID{1, 2, 3, 4, 9} {
		m.Nodes = append(m.Nodes, honeyant.Node{ID: id, Address: addrOf(id), State: honeyant.NodeUp})
		if id != 9 {
			m.Stores = append(m.Stores, honeyant.Store{ID: storeOf(id), Node: id, State: honeyant.StoreActive})
		}
	}
	return m
}

// client is the pure client.
func (c *colony) client() *replica.Client { return c.nodes[9].client }

var counter atomic.Uint64

// newChunk is a fresh ID with random bytes.
func newChunk(size int) (honeyant.ChunkID, []byte) {
	n := counter.Add(1)
	data := make([]byte, size)
	r := rand.NewChaCha8([32]byte{byte(n), byte(size)})
	r.Read(data)
	return honeyant.NewChunkID(1, 7, n), data
}

// upTo offers the stores of nodes 1..n as replacements, in order.
func upTo(targets []honeyant.StoreID, n int) func([]honeyant.StoreID) (honeyant.StoreID, bool) {
	used := map[honeyant.StoreID]bool{}
	for _, t := range targets {
		used[t] = true
	}
	return func([]honeyant.StoreID) (honeyant.StoreID, bool) {
		for i := 1; i <= n; i++ {
			if s := storeOf(honeyant.NodeID(i)); !used[s] {
				used[s] = true
				return s, true
			}
		}
		return 0, false
	}
}

// mustHold checks that each replica of ref can be read from its own store, byte for byte.
func (c *colony) mustHold(ref honeyant.ChunkRef, data []byte, want ...honeyant.StoreID) {
	c.t.Helper()
	if len(ref.Replicas) != len(want) {
		c.t.Fatalf("replicas %+v, want in %v", ref.Replicas, want)
	}
	if ref.Sum != chunk.SumOf(ref.ID, data) {
		c.t.Errorf("sum %+v", ref.Sum)
	}
	for _, r := range ref.Replicas {
		found := false
		for _, w := range want {
			found = found || w == r.Store
		}
		s := c.nodes[honeyant.NodeID(r.Store/10)].real
		got := make([]byte, len(data))
		if _, err := s.ReadAt(ref.ID, r.Generation, got, 0); !found || len(data) > 0 && (err != nil || !bytes.Equal(got, data)) {
			c.t.Errorf("%v (wanted in %v): %v", r, want, err)
		}
	}
}

func within(t testing.TB, what string, start time.Time, limit time.Duration) {
	t.Helper()
	if d := time.Since(start); d > limit {
		t.Errorf("%s took %v, limit %v", what, d, limit)
	}
}
