package volumetest

import (
	"context"
	"fmt"
	"hash/crc32"
	"sync"
	"sync/atomic"

	"github.com/honeyant/honeyant"
)

// Chunks is a volume.Chunks over stores in memory. Safe for concurrent use.
type Chunks struct {
	capacity int64 // of each store

	mu     sync.Mutex // guards all below
	stores []*memStore
	ids    uint64

	discard atomic.Bool
	lie     atomic.Int64
	// BeforeWrite and BeforeRead are called first, with no lock held, and may wait or fail; nil: nothing.
	BeforeWrite atomic.Pointer[func(ctx context.Context, id honeyant.ChunkID, n int) error]
	BeforeRead  atomic.Pointer[func(ctx context.Context, ref honeyant.ChunkRef, n int, off uint32) error]
	Writes      atomic.Int64
	Reads       atomic.Int64
	ReadBytes   atomic.Int64
}

type memStore struct {
	used    int64
	failing bool
	chunks  map[honeyant.ChunkID][]byte
}

func newChunks(stores int, capacity int64) *Chunks {
	c := &Chunks{capacity: capacity}
	for range stores {
		c.stores = append(c.stores, &memStore{chunks: map[honeyant.ChunkID][]byte{}})
	}
	return c
}

// store is the entry of a store in the map.
func (c *Chunks) store(id honeyant.StoreID, node honeyant.NodeID) honeyant.Store {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.stores[id-1]
	return honeyant.Store{ID: id, Node: node, State: honeyant.StoreActive, Capacity: c.capacity, Used: s.used, Available: c.capacity - s.used + c.lie.Load()}
}

// Fail makes writes to and reads from a store fail, or work again.
func (c *Chunks) Fail(id honeyant.StoreID, failing bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stores[id-1].failing = failing
}

// Lie lets every store tell that it has so many bytes more than it has.
func (c *Chunks) Lie(bytes int64) { c.lie.Store(bytes) }

// Discard makes writes keep nothing, for benchmarks of what lies above.
func (c *Chunks) Discard(on bool) { c.discard.Store(on) }

// Lose drops a chunk from all stores, as reclaim would.
func (c *Chunks) Lose(id honeyant.ChunkID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.stores {
		s.used -= int64(len(s.chunks[id]))
		delete(s.chunks, id)
	}
}

// IDs lists the chunks that any store holds.
func (c *Chunks) IDs() []honeyant.ChunkID {
	c.mu.Lock()
	defer c.mu.Unlock()
	seen := map[honeyant.ChunkID]bool{}
	var ids []honeyant.ChunkID
	for _, s := range c.stores {
		for id := range s.chunks {
			if !seen[id] {
				seen[id] = true
				ids = append(ids, id)
			}
		}
	}
	return ids
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func sum(data []byte) honeyant.ChunkSum {
	return honeyant.ChunkSum{Length: uint32(len(data)), CRC: crc32.Checksum(data, castagnoli)}
}

// Write implements volume.Chunks.
func (c *Chunks) Write(ctx context.Context, id honeyant.ChunkID, data []byte, targets []honeyant.StoreID,
	next func(bad []honeyant.StoreID) (honeyant.StoreID, bool)) (honeyant.ChunkRef, error) {
	c.Writes.Add(1)
	if before := c.BeforeWrite.Load(); before != nil {
		if err := (*before)(ctx, id, len(data)); err != nil {
			return honeyant.ChunkRef{}, err
		}
	}
	ref := honeyant.ChunkRef{ID: id, Sum: sum(data)}
	if c.discard.Load() {
		for _, target := range targets {
			ref.Replicas = append(ref.Replicas, honeyant.Replica{Store: target, Generation: 1})
		}
		return ref, nil
	}
	own := append([]byte(nil), data...) // the stores share it, as they never change it
	var bad []honeyant.StoreID
	var last error
	for _, target := range targets {
		for ok := true; ok; {
			g, err := c.put(target, id, own)
			if err == nil {
				ref.Replicas = append(ref.Replicas, honeyant.Replica{Store: target, Generation: g})
				break
			}
			last = err
			bad = append(bad, target)
			target, ok = next(bad)
		}
	}
	if len(ref.Replicas) == 0 {
		return honeyant.ChunkRef{}, last
	}
	return ref, nil
}

func (c *Chunks) put(store honeyant.StoreID, id honeyant.ChunkID, data []byte) (honeyant.Generation, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.stores[store-1]
	switch {
	case s.failing:
		return 0, honeyant.E("volumetest.Write", honeyant.Unavailable, store.String(), nil)
	case s.used+int64(len(data)) > c.capacity:
		return 0, honeyant.E("volumetest.Write", honeyant.NoSpace, store.String(), nil)
	}
	if have, ok := s.chunks[id]; ok && sum(have) != sum(data) {
		return 0, honeyant.E("volumetest.Write", honeyant.Exist, id.String(), fmt.Errorf("with other bytes"))
	}
	s.used += int64(len(data) - len(s.chunks[id]))
	s.chunks[id] = data
	c.ids++
	return honeyant.Generation(c.ids), nil
}

// Read implements volume.Chunks.
func (c *Chunks) Read(ctx context.Context, ref honeyant.ChunkRef, p []byte, off uint32) error {
	c.Reads.Add(1)
	c.ReadBytes.Add(int64(len(p)))
	if before := c.BeforeRead.Load(); before != nil {
		if err := (*before)(ctx, ref, len(p), off); err != nil {
			return err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	kind := honeyant.NotExist
	for _, r := range ref.Replicas {
		s := c.stores[r.Store-1]
		if s.failing {
			kind = honeyant.Unavailable
			continue
		}
		data, ok := s.chunks[ref.ID]
		if !ok {
			continue
		}
		if int(off)+len(p) > len(data) {
			return honeyant.E("volumetest.Read", honeyant.Invalid, ref.ID.String(), fmt.Errorf("past the end of the chunk"))
		}
		copy(p, data[off:])
		return nil
	}
	return honeyant.E("volumetest.Read", kind, ref.ID.String(), nil)
}
