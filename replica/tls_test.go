package replica_test

import (
	"bytes"
	"context"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/chunk"
	"github.com/honeyant/honeyant/disk"
	"github.com/honeyant/honeyant/replica"
	"github.com/honeyant/honeyant/rpc"
	"github.com/honeyant/honeyant/rpc/rpctest"
)

// overTLS is stores 10, 20 on nodes 1, 2 and a pure client on node 9, over TLS on loopback.
// With null stores nothing but the path is measured.
func overTLS(t testing.TB, null bool) *replica.Client {
	return overTLSWith(t, func(honeyant.NodeID) replica.ChunkStore {
		if null {
			return nullStore{}
		}
		return memoryStore(t)
	})
}

func overTLSWith(t testing.TB, store func(honeyant.NodeID) replica.ChunkStore) *replica.Client {
	a, err := rpctest.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	m := &honeyant.Map{Incarnation: 1}
	networks := map[honeyant.NodeID]*rpc.TLS{}
	for _, id := range []honeyant.NodeID{1, 2, 9} {
		n, err := a.Listen(id, rpc.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { n.Close() })
		networks[id] = n
		m.Nodes = append(m.Nodes, honeyant.Node{ID: id, Address: n.Addr(), State: honeyant.NodeUp})
		if id != 9 {
			m.Stores = append(m.Stores, honeyant.Store{ID: storeOf(id), Node: id, State: honeyant.StoreActive})
		}
	}
	c := &colony{t: t, nodes: map[honeyant.NodeID]*node{}}
	c.inc.Store(1)
	var client *replica.Client
	for id, n := range networks {
		o := replica.Options{Network: n, Map: func() *honeyant.Map { return m }, Self: id}
		if id == 9 {
			client = replica.New(o)
			t.Cleanup(func() { client.Close() })
			continue
		}
		o.Local = here{storeOf(id), store(id)}
		cl := replica.New(o)
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		l := n.Listen(rpc.ProtoChunk)
		go func() { done <- replica.NewServer(cl).Serve(ctx, l) }()
		t.Cleanup(func() {
			cancel()
			<-done
			cl.Close()
		})
	}
	return client
}

func TestOverTLS(t *testing.T) {
	client := overTLS(t, false)
	for _, size := range []int{0, 1, 70_000, 256 << 10, honeyant.ChunkSize} {
		id, data := newChunk(size)
		ref, err := client.Write(t.Context(), id, data, []honeyant.StoreID{10, 20}, nil)
		if err != nil || len(ref.Replicas) != 2 {
			t.Fatalf("%d bytes: %+v, %v", size, ref, err)
		}
		p := make([]byte, size)
		if err := client.Read(t.Context(), ref, p, 0); err != nil || !bytes.Equal(p, data) {
			t.Fatalf("%d bytes: %v", size, err)
		}
		for _, s := range ref.Replicas {
			if sum, err := client.Verify(t.Context(), s.Store, id, s.Generation); err != nil || sum != ref.Sum {
				t.Fatalf("%d bytes: %v, %v", size, sum, err)
			}
		}
	}
}

func memoryStore(t testing.TB) replica.ChunkStore {
	s, err := chunk.Open(disk.NewMemory(0), chunk.Options{Capacity: 1 << 30})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return replica.Wrap(s)
}

// nullStore keeps nothing and answers reads with zeros.
type nullStore struct{ replica.ChunkStore }

func (nullStore) Incarnation() uint32 { return 1 }

func (nullStore) Create(id honeyant.ChunkID, _ uint32) (replica.Writer, error) {
	return &nullWriter{id: id}, nil
}

type nullWriter struct {
	id     honeyant.ChunkID
	length int
	crcs   []uint32
}

func (w *nullWriter) Write(p []byte) (int, error) { return len(p), nil }

func (w *nullWriter) WriteFrame(p []byte, crc uint32) error {
	w.crcs = append(w.crcs, crc)
	w.length += len(p)
	return nil
}

func (w *nullWriter) Commit(context.Context) (honeyant.Generation, honeyant.ChunkSum, error) {
	return 1, chunk.SumOfCRCs(uint32(w.length), w.crcs), nil
}

func (w *nullWriter) Abort() {}

func (nullStore) Stat(id honeyant.ChunkID, _ honeyant.Generation) (chunk.Info, error) {
	return chunk.Info{ID: id}, nil
}

func (nullStore) ReadFrames(id honeyant.ChunkID, _ honeyant.Generation, first uint32, p []byte) (chunk.FrameRange, error) {
	var r chunk.FrameRange
	clear(p)
	for ; r.N < len(p); r.N += honeyant.FrameSize {
		r.CRCs = append(r.CRCs, chunk.FrameCRC(id, first, p[r.N:r.N+honeyant.FrameSize]))
		first++
	}
	return r, nil
}

// reportCPU reports the processor time of all ends together.
func reportCPU(b *testing.B, before time.Duration, size int) {
	used := processTime(b) - before
	b.ReportMetric(used.Seconds()/(float64(b.N)*float64(size)/1e9), "cpu-s/GB")
}

func processTime(t testing.TB) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func BenchmarkWrite(b *testing.B) {
	for _, bc := range []struct {
		name     string
		size     int
		stores   []honeyant.StoreID
		parallel int
		null     bool
	}{
		{"path/4MiB/1copy", 4 << 20, []honeyant.StoreID{10}, 1, true},
		{"path/4MiB/2copies", 4 << 20, []honeyant.StoreID{10, 20}, 1, true},
		{"path/4MiB/2copies/2flying", 4 << 20, []honeyant.StoreID{10, 20}, 2, true},
		{"path/64KiB/2copies", 64 << 10, []honeyant.StoreID{10, 20}, 1, true},
		{"store/4MiB/2copies", 4 << 20, []honeyant.StoreID{10, 20}, 1, false},
	} {
		b.Run(bc.name, func(b *testing.B) {
			client := overTLS(b, bc.null)
			_, data := newChunk(bc.size)
			work := make(chan honeyant.ChunkID)
			errs := make(chan error, bc.parallel)
			for range bc.parallel {
				go func() {
					var err error
					for id := range work {
						ref, e := client.Write(b.Context(), id, data, bc.stores, nil)
						if e == nil && len(ref.Replicas) != len(bc.stores) {
							e = fmt.Errorf("%+v", ref.Replicas)
						}
						if e != nil {
							err = e
						}
						if !bc.null && e == nil {
							for _, r := range ref.Replicas {
								client.Delete(b.Context(), r.Store, id, r.Generation)
							}
						}
					}
					errs <- err
				}()
			}
			b.SetBytes(int64(bc.size))
			b.ReportAllocs()
			before := processTime(b)
			for b.Loop() {
				work <- honeyant.NewChunkID(1, 8, counter.Add(1))
			}
			close(work)
			for range bc.parallel {
				if err := <-errs; err != nil {
					b.Fatal(err)
				}
			}
			reportCPU(b, before, bc.size)
		})
	}
}

func BenchmarkRead(b *testing.B) {
	for _, size := range []int{4 << 10, 64 << 10, 4 << 20} {
		b.Run(fmt.Sprintf("path/%dKiB", size>>10), func(b *testing.B) {
			client := overTLS(b, true)
			ref := honeyant.ChunkRef{ID: honeyant.NewChunkID(1, 8, 1), Sum: honeyant.ChunkSum{Length: 4 << 20}, Replicas: []honeyant.Replica{{Store: 10, Generation: 1}}}
			p := make([]byte, size)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			before := processTime(b)
			for b.Loop() {
				if err := client.Read(b.Context(), ref, p, 0); err != nil {
					b.Fatal(err)
				}
			}
			reportCPU(b, before, size)
		})
	}
}

func BenchmarkStat(b *testing.B) {
	client := overTLS(b, true)
	id, _ := newChunk(1)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := client.Stat(b.Context(), 10, id, 1); err != nil {
			b.Fatal(err)
		}
	}
}
