package maintenance_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/chunk"
	"github.com/honeyant/honeyant/maintenance"
	"github.com/honeyant/honeyant/meta"
	"github.com/honeyant/honeyant/meta/metatest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var sum = honeyant.ChunkSum{Length: 1 << 20, CRC: 7}

// rig is a real metadata leader, stores in memory, and the jobs.
type rig struct {
	t      *testing.T
	log    *metatest.Replicas
	leader *meta.Leader
	stores *stores
	ino    honeyant.Ino
	next   uint64
	jobs   *maintenance.Service
	o      maintenance.Options

	mu    sync.Mutex // guards state and free
	state map[honeyant.NodeID]honeyant.NodeState
}

// run makes n nodes with a store each, of the same numbers, in a bubble.
func run(t *testing.T, n int, test func(r *rig)) {
	synctest.Test(t, func(t *testing.T) {
		r := &rig{t: t, log: metatest.NewReplicas(t), stores: newStores(), state: map[honeyant.NodeID]honeyant.NodeState{}}
		r.leader, _ = r.log.Lead(t, 0, meta.LeaderOptions{DeadAfter: 1000 * time.Hour, StoreUp: func(id honeyant.StoreID) bool { return r.theMap().StoreUp(id) }})
		metatest.Found(t, r.leader.Direct(), "x", n, 1<<40)
		r.ino = r.ok(&meta.Make{Volume: 1, Parent: honeyant.RootIno, Name: "f", Mode: honeyant.ModeFile | 0o644}).(*meta.EntryReply).Attr.Ino
		r.o = maintenance.Options{Meta: r.leader.Direct(), Chunks: r.stores, Map: r.theMap, Policies: r.leader.Retags, Volume: 1}
		t.Cleanup(r.stop)
		test(r)
	})
}

func (r *rig) ok(op meta.Op) meta.Reply {
	r.t.Helper()
	return metatest.OK(r.t, r.leader.Direct(), op)
}

// theMap is the committed map with the states of the test.
func (r *rig) theMap() *honeyant.Map {
	m := r.log.MapUp()
	if m == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range m.Nodes {
		if s, ok := r.state[m.Nodes[i].ID]; ok && m.Nodes[i].State != honeyant.NodeRemoved {
			m.Nodes[i].State = s
		}
	}
	return m
}

func (r *rig) set(n honeyant.NodeID, s honeyant.NodeState) {
	r.mu.Lock()
	r.state[n] = s
	r.mu.Unlock()
	r.stores.setDown(honeyant.StoreID(n), s != honeyant.NodeUp)
	if r.jobs != nil {
		r.jobs.MapChanged()
	}
}

func (r *rig) start() {
	r.t.Helper()
	var err error
	if r.jobs, err = maintenance.Start(context.Background(), r.o); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) stop() {
	if r.jobs != nil {
		r.jobs.Close()
		r.jobs = nil
	}
}

// write commits a chunk that the stores hold.
func (r *rig) write(on ...honeyant.StoreID) honeyant.ChunkID {
	r.t.Helper()
	r.next++
	id := honeyant.NewChunkID(1, 0, r.next)
	ref := honeyant.ChunkRef{ID: id, Sum: sum}
	for _, s := range on {
		ref.Replicas = append(ref.Replicas, honeyant.Replica{Store: s, Generation: r.stores.put(s, id)})
	}
	r.ok(&meta.Commit{Volume: 1, Ino: r.ino, Chunks: []honeyant.ChunkRef{ref}, Extents: []honeyant.Extent{{Offset: uint64(sum.Length) * r.next, Length: sum.Length, Chunk: id}}})
	return id
}

func (r *rig) chunk(id honeyant.ChunkID) *meta.ChunkReply {
	r.t.Helper()
	return r.ok(&meta.GetChunk{Volume: 1, Chunk: id}).(*meta.ChunkReply)
}

// on lists the stores with a sound replica by metadata; the test fails if one of them does not have it.
func (r *rig) on(id honeyant.ChunkID) (list []honeyant.StoreID) {
	r.t.Helper()
	for _, rep := range r.chunk(id).Chunk.Replicas {
		if rep.Bad || rep.Dropping {
			continue
		}
		if !r.stores.good(rep.Store, id, rep.Generation) {
			r.t.Errorf("%v: metadata list %v, which has no good replica", id, rep.Replica)
		}
		list = append(list, rep.Store)
	}
	slices.Sort(list)
	return list
}

func (r *rig) eventually(what string, within time.Duration, ok func() bool) {
	r.t.Helper()
	for end := time.Now().Add(within); !ok(); {
		if time.Now().After(end) {
			r.t.Fatalf("not within %v: %s; state %+v", within, what, r.jobs.State())
		}
		<-time.After(100 * time.Millisecond)
	}
}

// well tells that every chunk has exactly n sound replicas and no other.
func (r *rig) well(n int) bool {
	list := r.ok(&meta.ListChunks{Volume: 1}).(*meta.ChunksReply)
	for _, c := range list.Chunks {
		if len(c.Replicas) != n {
			return false
		}
		for _, rep := range c.Replicas {
			if rep.Bad || rep.Dropping || !r.stores.good(rep.Store, c.ID, rep.Generation) {
				return false
			}
		}
	}
	return true
}

// stores is a maintenance.Chunks in memory with faults.
type stores struct {
	mu     sync.Mutex // guards all
	held   map[honeyant.StoreID]map[honeyant.ChunkID]*held
	down   map[honeyant.StoreID]bool
	full   map[honeyant.StoreID]bool
	gen    honeyant.Generation
	calls  []string
	sums   map[honeyant.ChunkID]honeyant.ChunkSum // of chunks that are not as all others
	copied []honeyant.ChunkID
	hook   func(op string, s honeyant.StoreID, id honeyant.ChunkID) error // before each call; may block
}

type held struct {
	gen honeyant.Generation
	bad bool
}

func newStores() *stores {
	return &stores{held: map[honeyant.StoreID]map[honeyant.ChunkID]*held{}, down: map[honeyant.StoreID]bool{}, full: map[honeyant.StoreID]bool{}, sums: map[honeyant.ChunkID]honeyant.ChunkSum{}}
}

func (s *stores) put(to honeyant.StoreID, id honeyant.ChunkID) honeyant.Generation {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.putLocked(to, id)
}

func (s *stores) putLocked(to honeyant.StoreID, id honeyant.ChunkID) honeyant.Generation {
	if s.held[to] == nil {
		s.held[to] = map[honeyant.ChunkID]*held{}
	}
	s.gen++
	s.held[to][id] = &held{gen: s.gen}
	return s.gen
}

func (s *stores) good(on honeyant.StoreID, id honeyant.ChunkID, gen honeyant.Generation) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.held[on][id]
	return h != nil && h.gen == gen && !h.bad
}

func (s *stores) has(on honeyant.StoreID, id honeyant.ChunkID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.held[on][id] != nil
}

func (s *stores) spoil(on honeyant.StoreID, id honeyant.ChunkID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held[on][id].bad = true
}

func (s *stores) setDown(id honeyant.StoreID, is bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down[id] = is
}

func (s *stores) setHook(f func(op string, s honeyant.StoreID, id honeyant.ChunkID) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hook = f
}

func (s *stores) enter(op string, on honeyant.StoreID, id honeyant.ChunkID) error {
	s.mu.Lock()
	hook, down := s.hook, s.down[on]
	s.calls = append(s.calls, op)
	s.mu.Unlock()
	if hook != nil {
		if err := hook(op, on, id); err != nil {
			return err
		}
	}
	if down {
		return honeyant.E("test."+op, honeyant.Unavailable, on.String(), nil)
	}
	return nil
}

func (s *stores) Copy(ctx context.Context, ref honeyant.ChunkRef, to honeyant.StoreID) (honeyant.Generation, honeyant.ChunkSum, error) {
	if err := s.enter("copy", to, ref.ID); err != nil {
		return 0, honeyant.ChunkSum{}, err
	}
	select {
	case <-time.After(10 * time.Millisecond):
	case <-ctx.Done():
		return 0, honeyant.ChunkSum{}, ctx.Err()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.full[to] {
		return 0, honeyant.ChunkSum{}, honeyant.E("test.copy", honeyant.NoSpace, to.String(), nil)
	}
	for _, r := range ref.Replicas {
		if h := s.held[r.Store][ref.ID]; h != nil && h.gen == r.Generation && !h.bad && !s.down[r.Store] {
			s.copied = append(s.copied, ref.ID)
			return s.putLocked(to, ref.ID), ref.Sum, nil
		}
	}
	return 0, honeyant.ChunkSum{}, honeyant.E("test.copy", honeyant.Unavailable, "", errors.New("no source"))
}

func (s *stores) Verify(_ context.Context, on honeyant.StoreID, id honeyant.ChunkID, gen honeyant.Generation) (honeyant.ChunkSum, error) {
	if err := s.enter("verify", on, id); err != nil {
		return honeyant.ChunkSum{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch h := s.held[on][id]; {
	case h == nil || h.gen != gen:
		return honeyant.ChunkSum{}, honeyant.E("test.verify", honeyant.NotExist, id.String(), nil)
	case h.bad:
		return honeyant.ChunkSum{}, honeyant.E("test.verify", honeyant.Corrupt, id.String(), nil)
	}
	if own, ok := s.sums[id]; ok {
		return own, nil
	}
	return sum, nil
}

func (s *stores) Delete(_ context.Context, on honeyant.StoreID, id honeyant.ChunkID, gen honeyant.Generation) error {
	if err := s.enter("delete", on, id); err != nil {
		return err
	}
	<-time.After(2 * time.Millisecond) // a sync
	s.mu.Lock()
	defer s.mu.Unlock()
	if h := s.held[on][id]; h != nil && h.gen == gen {
		delete(s.held[on], id)
	}
	return nil
}

func (s *stores) Buckets(_ context.Context, on honeyant.StoreID) ([]uint64, error) {
	if err := s.enter("buckets", on, honeyant.ChunkID{}); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	b := make([]uint64, chunk.Buckets)
	for id, h := range s.held[on] {
		b[chunk.BucketOf(id)] ^= chunk.InventoryHash(id, h.gen)
	}
	return b, nil
}

func (s *stores) Bucket(_ context.Context, on honeyant.StoreID, n int) (list []chunk.Info, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, h := range s.held[on] {
		if chunk.BucketOf(id) == n {
			list = append(list, chunk.Info{ID: id, Generation: h.gen, Sum: sum})
		}
	}
	return list, nil
}
