package chunk_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/chunk"
	"github.com/honeyant/honeyant/disk"
)

// history is what a workload was promised.
type history struct {
	gens    map[int]honeyant.Generation // acknowledged and not deleted
	deleted map[int]bool                // delete acknowledged
	doubt   map[int]honeyant.Generation // a put or delete that failed: both outcomes are right
	used    map[honeyant.Generation]int
	length  map[int]int
	raised  uint32
}

func newHistory() *history {
	return &history{gens: map[int]honeyant.Generation{}, deleted: map[int]bool{}, doubt: map[int]honeyant.Generation{},
		used: map[honeyant.Generation]int{}, length: map[int]int{}}
}

var small = chunk.Options{SegmentSize: 256 << 10, ReserveStep: 64 << 10, Streams: 2}

// work does n random things until one fails, as everything does after a power cut.
func (h *history) work(s *chunk.Store, rng *rand.Rand, n int) error {
	for range n {
		switch k := rng.IntN(10); {
		case k < 6:
			if err := h.put(s, len(h.length), []int{rng.IntN(3), rng.IntN(9000), 65000 + rng.IntN(3000), rng.IntN(200 << 10)}[rng.IntN(4)]); err != nil {
				return err
			}
		case k < 9:
			if len(h.gens) > 0 {
				alive := slices.Sorted(maps.Keys(h.gens))
				i := alive[rng.IntN(len(alive))]
				gen := h.gens[i]
				delete(h.gens, i)
				h.doubt[i] = gen
				if err := s.Delete(ctx, idOf(i), gen); err != nil {
					return err
				}
				delete(h.doubt, i)
				h.deleted[i] = true
			}
		default:
			if err := s.RaiseIncarnation(h.raised + 1); err != nil {
				return err
			}
			h.raised++
		}
	}
	return nil
}

func (h *history) put(s *chunk.Store, i, length int) error {
	h.length[i] = length
	h.doubt[i] = 0
	data := content(i, length)
	w, err := s.Create(idOf(i), uint32(length+i%3*1000)) // sometimes more than there is
	if err != nil {
		return err
	}
	if i%7 == 6 { // a client that went away
		if _, err = w.Write(data[:length/2]); err == nil {
			w.Abort()
		}
		return err
	}
	if _, err := w.Write(data); err != nil {
		w.Abort()
		return err
	}
	gen, _, err := w.Commit(ctx)
	if err != nil {
		return err
	}
	delete(h.doubt, i)
	if by, ok := h.used[gen]; ok && by != i {
		return fmt.Errorf("FAULT: generation %x of chunk %d was given to chunk %d before", gen, i, by)
	}
	h.used[gen], h.gens[i] = i, gen
	return nil
}

// verify compares a reopened store with what was promised.
func (h *history) verify(s *chunk.Store) error {
	for i, gen := range h.gens {
		if err := h.readsRight(s, i, gen); err != nil {
			return fmt.Errorf("acknowledged chunk %d (%d bytes): %w", i, h.length[i], err)
		}
	}
	for i := range h.deleted {
		if _, err := s.Stat(idOf(i), 0); !errors.Is(err, honeyant.NotExist) {
			return fmt.Errorf("deleted chunk %d: %v", i, err)
		}
	}
	for i := range h.doubt {
		err := h.readsRight(s, i, 0)
		if err != nil && !errors.Is(err, honeyant.NotExist) && !errors.Is(err, honeyant.Corrupt) {
			return fmt.Errorf("chunk %d in doubt: %w", i, err)
		}
	}
	if n := s.Incarnation(); n < h.raised || n > h.raised+1 {
		return fmt.Errorf("incarnation %d, promised %d", n, h.raised)
	}
	return h.inventory(s)
}

func (h *history) readsRight(s *chunk.Store, i int, gen honeyant.Generation) error {
	want := content(i, h.length[i])
	info, err := s.Stat(idOf(i), gen)
	if err != nil {
		return err
	}
	if i%7 == 6 || info.Sum != chunk.SumOf(idOf(i), want) {
		return fmt.Errorf("FAULT: wrong sum")
	}
	got := make([]byte, len(want))
	if len(want) > 0 {
		if _, err := s.ReadAt(idOf(i), gen, got, 0); err != nil {
			return err
		}
	}
	if !bytes.Equal(got, want) {
		return fmt.Errorf("FAULT: wrong bytes")
	}
	return nil
}

// inventory checks the buckets against the lists, and that the promised ones are listed.
func (h *history) inventory(s *chunk.Store) error {
	listed := map[honeyant.ChunkID]honeyant.Generation{}
	for n, xor := range s.Buckets() {
		if xor == 0 {
			continue
		}
		for _, info := range s.Bucket(n) {
			xor ^= chunk.InventoryHash(info.ID, info.Generation)
			listed[info.ID] = info.Generation
		}
		if xor != 0 {
			return fmt.Errorf("bucket %d does not match its list", n)
		}
	}
	for i, gen := range h.gens {
		if listed[idOf(i)] != gen {
			return fmt.Errorf("chunk %d is not listed with its generation", i)
		}
	}
	return nil
}

// settle repeats what was in doubt, as its client would, and wants it right from then on.
func (h *history) settle(s *chunk.Store) error {
	for i, gen := range h.doubt {
		delete(h.doubt, i)
		if gen != 0 {
			if err := s.Delete(ctx, idOf(i), gen); err != nil {
				return err
			}
			h.deleted[i] = true
		} else if err := h.put(s, i, h.length[i]); err != nil {
			return err
		}
	}
	return nil
}

var seeds = flag.Uint64("seeds", 2, "how many workloads TestCrash runs; each is cut at every step")

// TestCrash cuts the power at every step of a workload, loses what was not synced, and
// looks whether the promises hold; twice in a row [C1, C2, C4, C5; rules 5, 7, 8].
func TestCrash(t *testing.T) {
	stride := 1
	if testing.Short() {
		stride = 7
	}
	for seed := range *seeds {
		t.Run(fmt.Sprint("seed", seed), func(t *testing.T) {
			t.Parallel()
			for cut := 1; crashOnce(t, seed, int64(cut)); cut += stride {
			}
		})
	}
}

// crashOnce is false once the cut lies behind the end of the workload.
func crashOnce(t *testing.T, seed uint64, cut int64) bool {
	rng := rand.New(rand.NewPCG(seed, 1))
	fs := disk.NewMemory(0)
	fs.CutPower(cut)
	h := newHistory()
	run := func(n int) bool {
		s, err := chunk.Open(fs, small)
		if err != nil {
			return false
		}
		defer s.Close()
		if err = h.work(s, rng, n); err != nil && bytes.HasPrefix([]byte(err.Error()), []byte("FAULT")) {
			t.Fatalf("seed %d cut %d: %v", seed, cut, err)
		}
		return err == nil
	}
	whole := run(25) && run(10)
	crashes := rand.New(rand.NewPCG(seed, uint64(cut)))
	for round := range 2 {
		fs = fs.Crash(crashes)
		s, err := chunk.Open(fs, small)
		if err != nil {
			t.Fatalf("seed %d cut %d round %d: open: %v", seed, cut, round, err)
		}
		if err := h.verify(s); err != nil {
			t.Fatalf("seed %d cut %d round %d: %v", seed, cut, round, err)
		}
		if err := h.settle(s); err != nil {
			t.Fatalf("seed %d cut %d round %d: settle: %v", seed, cut, round, err)
		}
		if err := h.verify(s); err != nil {
			t.Fatalf("seed %d cut %d round %d: after settling: %v", seed, cut, round, err)
		}
		if round == 0 {
			if err := h.work(s, rng, 10); err != nil {
				t.Fatalf("seed %d cut %d: goes on: %v", seed, cut, err)
			}
			defer s.Close() // only now: the crash comes first
			continue
		}
		if err := s.Close(); err != nil {
			t.Fatalf("seed %d cut %d: close: %v", seed, cut, err)
		}
	}
	return !whole
}

// Many writers and deleters at once, the power gone at a moment of its own: whoever was answered before
// that moment was told the truth [C1].
func TestCrashAmidConcurrentWork(t *testing.T) {
	for seed := range uint64(40) {
		fs := disk.NewMemory(0)
		s := open(t, fs, chunk.Options{SegmentSize: 1 << 20, ReserveStep: 128 << 10})
		var mu sync.Mutex
		acked, deleted := map[int]honeyant.Generation{}, map[int]bool{}
		length := func(i int) int { return []int{100, 9000, 70_000, 400_000}[i%4] }
		var wg sync.WaitGroup
		crash, acks := make(chan struct{}), 0
		for worker := range 6 {
			wg.Go(func() {
				for k := 0; k < 8; k++ {
					i := worker*100 + k
					gen, err := put(s, idOf(i), content(i, length(i)))
					if err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					acked[i] = gen
					if acks++; acks == 5+int(seed)%30 {
						close(crash)
					}
					mu.Unlock()
					if k%3 != 2 {
						continue
					}
					mu.Lock()
					delete(acked, i-1)
					mu.Unlock()
					if err := s.Delete(ctx, idOf(i-1), 0); err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					deleted[i-1] = true
					mu.Unlock()
				}
			})
		}
		done := make(chan struct{})
		go func() { wg.Wait(); close(done) }()
		select {
		case <-crash:
		case <-done:
		}
		mu.Lock()
		told, gone := maps.Clone(acked), maps.Clone(deleted)
		crashed := fs.Crash(rng(seed)) // nobody is told anything meanwhile
		mu.Unlock()
		after := open(t, crashed, chunk.Options{})
		for i, gen := range told {
			check(t, after, idOf(i), gen, content(i, length(i)))
		}
		for i := range gone {
			if _, err := after.Stat(idOf(i), 0); !errors.Is(err, honeyant.NotExist) {
				t.Fatalf("seed %d: deleted chunk %d: %v", seed, i, err)
			}
		}
		<-done
	}
}
