package meta_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/kv/pebblekv"
	"github.com/honeyant/honeyant/meta"
)

// solo applies what is proposed at once, without a disk's or a quorum's delay.
type solo struct {
	mu    sync.Mutex
	index uint64
	state *meta.State
}

func (s *solo) Propose(cmd []byte) func() (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.index++
	v, err := s.state.Apply(s.index, 1, cmd)
	return func() (any, error) { return v, err }
}

func (s *solo) Verify(context.Context) error { return nil }

func benchLeader(b *testing.B) (*meta.Leader, honeyant.SessionID) {
	db, err := pebblekv.Open(b.TempDir()+"/db", pebblekv.Options{})
	if err != nil {
		b.Fatal(err)
	}
	state, err := meta.OpenState(db)
	if err != nil {
		b.Fatal(err)
	}
	l := meta.NewLeader(state, &solo{state: state}, meta.LeaderOptions{})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); l.Lead(ctx, 1) }()
	b.Cleanup(func() {
		cancel()
		<-done
		if err := state.Close(); err != nil {
			b.Error(err)
		}
	})
	waitFor(b, func() bool { _, ok := l.Epoch(); return ok })
	bootstrap(b, l)
	mustDo(b, l.Direct(), &meta.AddStore{Node: 1, Key: "s", Capacity: 1 << 40})
	return l, openSession(b, l)
}

// run carries out b.N operations from 32 goroutines, each with a slot.
func run(b *testing.B, l *meta.Leader, s honeyant.SessionID, op func(i int64) meta.Op) {
	var next atomic.Int64
	var all sync.WaitGroup
	b.ReportAllocs()
	b.ResetTimer()
	for slot := range 32 {
		all.Go(func() {
			for seq := uint64(1); ; seq++ {
				i := next.Add(1)
				if i > int64(b.N) {
					return
				}
				if _, err := l.Do(context.Background(), meta.Call{Session: s, Slot: uint32(slot), Seq: seq, Op: op(i)}); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
}

func BenchmarkLeaderMake(b *testing.B) {
	l, s := benchLeader(b)
	run(b, l, s, func(i int64) meta.Op { return create(fmt.Sprint("file", i)) })
}

func BenchmarkLeaderCommitInline(b *testing.B) {
	l, s := benchLeader(b)
	const files = 1000
	var inos [files]honeyant.Ino
	for i := range inos {
		inos[i] = mustDo(b, l.Direct(), create(fmt.Sprint("file", i))).Attr.Ino
	}
	data := make([]byte, 4096)
	run(b, l, s, func(i int64) meta.Op {
		return &meta.Commit{Volume: 1, Ino: inos[i%files], Extents: []honeyant.Extent{{Length: 4096, Inline: data}}}
	})
}

func BenchmarkLeaderCommitChunk(b *testing.B) {
	l, s := benchLeader(b)
	const files = 1000
	var inos [files]honeyant.Ino
	for i := range inos {
		inos[i] = mustDo(b, l.Direct(), create(fmt.Sprint("file", i))).Attr.Ino
	}
	run(b, l, s, func(i int64) meta.Op {
		id := honeyant.NewChunkID(1, s, uint64(i))
		return &meta.Commit{Volume: 1, Ino: inos[i%files], LowWater: uint64(max(0, i-100_000)),
			Chunks:  []honeyant.ChunkRef{{ID: id, Sum: honeyant.ChunkSum{Length: honeyant.ChunkSize}, Replicas: []honeyant.Replica{{Store: 1, Generation: 1}}}},
			Extents: []honeyant.Extent{{Offset: uint64(i/files) * honeyant.ChunkSize, Length: honeyant.ChunkSize, Chunk: id}}}
	})
}

func BenchmarkLeaderLookup(b *testing.B) {
	l, s := benchLeader(b)
	const files = 10_000
	for i := range files {
		mustDo(b, l.Direct(), create(fmt.Sprint("file", i)))
	}
	run(b, l, s, func(i int64) meta.Op { return lookup(fmt.Sprint("file", i%files)) })
}
