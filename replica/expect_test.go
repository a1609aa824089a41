package replica_test

import (
	"slices"
	"sync"
	"testing"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/replica"
)

// expectStore notes what it is told to expect.
type expectStore struct {
	replica.ChunkStore
	mu   *sync.Mutex
	told *[][2]uint32
}

func (s expectStore) Expect(_ honeyant.ChunkID, _ honeyant.Generation, first, n uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	*s.told = append(*s.told, [2]uint32{first, n})
}

// A store is told of all frames of a long read before the first is read, and nothing for a short one.
func TestStoreExpectsLongReads(t *testing.T) {
	var told [][2]uint32
	var mu sync.Mutex
	client := overTLSWith(t, func(honeyant.NodeID) replica.ChunkStore { return expectStore{nullStore{}, &mu, &told} })
	ref := honeyant.ChunkRef{ID: honeyant.NewChunkID(1, 8, 1), Sum: honeyant.ChunkSum{Length: 4 << 20}, Replicas: []honeyant.Replica{{Store: 10, Generation: 1}}}
	for _, r := range []struct {
		off  uint32
		size int
	}{{0, 4096}, {1 << 20, 2 * honeyant.FrameSize}, {1 << 20, 1 << 20}} {
		if err := client.Read(t.Context(), ref, make([]byte, r.size), r.off); err != nil {
			t.Fatal(err)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if !slices.Equal(told, [][2]uint32{{16, 16}}) {
		t.Errorf("told %v", told)
	}
}
