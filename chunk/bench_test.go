package chunk_test

import (
	"errors"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/chunk"
	"github.com/honeyant/honeyant/disk"
)

func openDir(b testing.TB, path string) *chunk.Store {
	b.Helper()
	fs, err := disk.OpenDir(path)
	if err != nil {
		b.Fatal(err)
	}
	return open(b, fs, chunk.Options{})
}

// BenchmarkAppend puts chunks of different sizes from one and from many writers; each is
// on stable storage when it counts. It deletes as it goes so that the disk does not fill.
func BenchmarkAppend(b *testing.B) {
	for _, c := range []struct {
		name    string
		length  int
		writers int
	}{{"8KiB/writers=1", 8 << 10, 1}, {"8KiB/writers=16", 8 << 10, 16}, {"4MiB/writers=1", 4 << 20, 1}, {"4MiB/writers=4", 4 << 20, 4}} {
		b.Run(c.name, func(b *testing.B) {
			s := openDir(b, b.TempDir())
			data := content(1, c.length)
			var n atomic.Int64
			b.SetBytes(int64(c.length))
			b.SetParallelism(max(1, c.writers/runtime.GOMAXPROCS(0)))
			b.ReportAllocs()
			b.ResetTimer()
			loop := func(more func() bool) {
				for more() {
					if _, err := put(s, idOf(int(n.Add(1))), data); err != nil {
						b.Error(err)
						return
					}
				}
			}
			if c.writers == 1 {
				i := 0
				loop(func() bool { i++; return i <= b.N })
				return
			}
			b.RunParallel(func(pb *testing.PB) { loop(pb.Next) })
		})
	}
}

func BenchmarkReadAt64KiB(b *testing.B) {
	s := openDir(b, b.TempDir())
	gen := mustPut(b, s, idOf(1), content(1, 4<<20))
	p := make([]byte, 64<<10)
	b.SetBytes(int64(len(p)))
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		if _, err := s.ReadAt(idOf(1), gen, p, uint32(i%64)<<16); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDelete(b *testing.B) {
	s := openDir(b, b.TempDir())
	for i := range b.N {
		mustPut(b, s, idOf(i), content(1, 8<<10))
	}
	b.ResetTimer()
	for i := range b.N {
		if err := s.Delete(ctx, idOf(i), 0); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkOpen starts a store of 100,000 chunks of 4 KiB, with sidecars and, as after a
// crash that lost all of them, without.
func BenchmarkOpen(b *testing.B) {
	const chunks = 100_000
	dir := b.TempDir()
	s := openDir(b, dir)
	fill(b, s, chunks)
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	fs, err := disk.OpenDir(dir)
	if err != nil {
		b.Fatal(err)
	}
	for _, mode := range []string{"sidecars", "scan"} {
		b.Run(mode, func(b *testing.B) {
			for range b.N {
				b.StopTimer()
				if mode == "scan" {
					removeSidecars(b, fs)
				}
				var before, after runtime.MemStats
				runtime.GC()
				runtime.ReadMemStats(&before)
				b.StartTimer()
				s, err := chunk.Open(fs, chunk.Options{})
				if err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				runtime.GC()
				runtime.ReadMemStats(&after)
				u := s.Usage()
				if u.Chunks != chunks {
					b.Fatal(u.Chunks)
				}
				b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/chunks, "heap-B/chunk")
				if err := s.Close(); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
		})
	}
}

func fill(b testing.TB, s *chunk.Store, chunks int) {
	var next atomic.Int64
	errs := make(chan error, 64)
	data := content(1, 4<<10)
	begin := time.Now()
	for range cap(errs) {
		go func() {
			for {
				n := int(next.Add(1))
				if n > chunks {
					errs <- nil
					return
				}
				if _, err := put(s, honeyant.NewChunkID(1, honeyant.SessionID(n%50), uint64(n)), data); err != nil {
					errs <- err
					return
				}
			}
		}()
	}
	var all error
	for range cap(errs) {
		all = errors.Join(all, <-errs)
	}
	if all != nil {
		b.Fatal(all)
	}
	b.Logf("%d chunks put in %v", chunks, time.Since(begin).Round(time.Millisecond))
}
