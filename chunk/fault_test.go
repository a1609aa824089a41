package chunk_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/chunk"
	"github.com/honeyant/honeyant/disk"
)

// After a failed sync or write nothing is retried and nothing unsynced is served [C6].
func TestFailedSyncAndWrite(t *testing.T) {
	for _, op := range []disk.Op{disk.OpSync, disk.OpWrite} {
		t.Run(string(op), func(t *testing.T) {
			fs := disk.NewMemory(0)
			var told []error
			o := small
			var killed *disk.Memory // as it is if the process dies the moment it knows
			o.OnFailing = func(err error) { told, killed = append(told, err), fs.Kill() }
			s := open(t, fs, o)
			good := mustPut(t, s, idOf(1), content(1, 50_000))
			remove := fs.Inject(disk.Fault{Op: op, Pattern: "*.seg", Nth: 1, Err: syscall.EIO})
			_, err := put(s, idOf(2), content(2, 50_000))
			if !errors.Is(err, honeyant.Unavailable) || !errors.Is(err, syscall.EIO) {
				t.Fatal(err)
			}
			remove()
			if len(told) != 1 {
				t.Fatal("OnFailing was called", len(told), "times")
			}
			if _, err := s.Stat(idOf(2), 0); !errors.Is(err, honeyant.NotExist) {
				t.Fatal(err)
			}
			if _, err := put(s, idOf(3), content(3, 10)); !errors.Is(err, honeyant.Unavailable) {
				t.Fatal(err)
			}
			if err := s.Delete(ctx, idOf(1), good); !errors.Is(err, honeyant.Unavailable) {
				t.Fatal(err)
			}
			if u := s.Usage(); !u.Failing || u.Available != 0 {
				t.Fatalf("%+v", u)
			}
			check(t, s, idOf(1), good, content(1, 50_000))
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			// The next process finds what is on the platter, never what only the cache had.
			for seed := range uint64(20) {
				k := killed.Kill()
				if seed%2 == 0 {
					k = fs.Kill()
				}
				s := open(t, k, small)
				check(t, s, idOf(1), good, content(1, 50_000))
				gen, err := put(s, idOf(2), content(2, 50_000))
				if err != nil {
					t.Fatal(err)
				}
				check(t, s, idOf(2), gen, content(2, 50_000))
				s = open(t, k.Crash(rng(seed)), small)
				check(t, s, idOf(1), good, content(1, 50_000))
				check(t, s, idOf(2), gen, content(2, 50_000))
			}
		})
	}
}

// All who wait for a sync that fails get the error.
func TestFailedSyncFailsAllWaiters(t *testing.T) {
	fs := disk.NewMemory(0)
	s := open(t, fs, chunk.Options{})
	mustPut(t, s, idOf(0), content(0, 100))
	fs.Inject(disk.Fault{Op: disk.OpSync, Pattern: "*.seg", Err: syscall.EIO})
	var wg sync.WaitGroup
	for i := 1; i <= 10; i++ {
		wg.Go(func() {
			if _, err := put(s, idOf(i), content(i, 5000)); err == nil {
				t.Error("acknowledged by a failed sync")
			}
		})
	}
	wg.Wait()
	if n := s.Usage().Chunks; n != 1 {
		t.Fatalf("%d chunks", n)
	}
}

func TestFailedDeleteIsNotForgotten(t *testing.T) {
	fs := disk.NewMemory(0)
	s := open(t, fs, small)
	gen := mustPut(t, s, idOf(1), content(1, 5000))
	fs.Inject(disk.Fault{Op: disk.OpSync, Pattern: "*.seg", Nth: 1, Err: syscall.EIO})
	for range 3 {
		if err := s.Delete(ctx, idOf(1), gen); !errors.Is(err, honeyant.Unavailable) {
			t.Fatalf("a delete that is not durable was confirmed: %v", err)
		}
	}
}

func TestReadError(t *testing.T) {
	fs := disk.NewMemory(0)
	s := open(t, fs, small)
	gen := mustPut(t, s, idOf(1), content(1, 5000))
	remove := fs.Inject(disk.Fault{Op: disk.OpRead, Pattern: "*.seg", Err: syscall.EIO})
	if _, err := s.ReadAt(idOf(1), gen, make([]byte, 10), 0); !errors.Is(err, honeyant.Corrupt) {
		t.Fatal(err)
	}
	remove()
	check(t, s, idOf(1), gen, content(1, 5000))
}

// A disk that does not answer at start costs nothing for good [8].
func TestUnreadableAtOpenLosesNothing(t *testing.T) {
	for first := range 6 {
		for count := 1; count < 6; count++ {
			fs := disk.NewMemory(0)
			gen := mustPut(t, open(t, fs, small), idOf(1), content(1, 5000))
			fs = fs.Crash(rng(1)) // no sidecar
			for nth := range count {
				fs.Inject(disk.Fault{Op: disk.OpRead, Pattern: "*.seg", Nth: first + nth + 1, Err: syscall.EIO})
			}
			if s, err := chunk.Open(fs, small); err == nil {
				mustPut(t, s, idOf(2), content(2, 5000))
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
			}
			check(t, open(t, fs.Kill(), small), idOf(1), gen, content(1, 5000))
		}
	}
}

// gate holds every Sync of a segment back after it did its work, while it is shut.
type gate struct {
	disk.FS
	shut        atomic.Bool
	synced, let chan struct{}
}

type gated struct {
	disk.File
	gate *gate
}

func (f gated) Sync() error {
	err := f.File.Sync()
	if f.gate.shut.Load() {
		f.gate.synced <- struct{}{}
		<-f.gate.let
	}
	return err
}

func (g *gate) Create(name string) (disk.File, error) {
	f, err := g.FS.Create(name)
	if err == nil && strings.HasSuffix(name, ".seg") {
		return gated{f, g}, nil
	}
	return f, err
}

// Who comes while a sync is under way is not answered by that one [C1].
func TestLateComerWaitsForASyncOfItsOwn(t *testing.T) {
	fs := disk.NewMemory(0)
	g := &gate{FS: fs, synced: make(chan struct{}), let: make(chan struct{})}
	s := open(t, g, small)
	mustPut(t, s, idOf(0), nil) // the segment is there now
	g.shut.Store(true)
	results := make(chan error, 2)
	commit := func(i int) {
		go func() { _, err := put(s, idOf(i), content(i, 100)); results <- err }()
	}
	commit(1)
	<-g.synced // still under way
	written := fs.Steps()
	commit(2)
	for fs.Steps() == written { // until its write is done
		runtime.Gosched()
	}
	g.let <- struct{}{}
	if err := <-results; err != nil {
		t.Fatal(err)
	}
	select {
	case <-results:
		t.Fatal("answered by a sync that began before it")
	case <-g.synced:
	}
	g.let <- struct{}{}
	if err := <-results; err != nil {
		t.Fatal(err)
	}
	g.shut.Store(false)
}

func TestFullStoreRefusesBeforeTakingDataAndDeletes(t *testing.T) {
	for _, full := range []string{"capacity", "disk", "disk without holes"} {
		t.Run(full, func(t *testing.T) {
			fs := disk.NewMemory(4 << 20)
			o := chunk.Options{SegmentSize: 1 << 20, ReserveStep: 64 << 10}
			switch full {
			case "capacity":
				fs.SetCapacity(1 << 40)
				o.Capacity = 4 << 20
			case "disk without holes":
				fs.WithoutHoles()
			}
			s := open(t, fs, o)
			gens := map[int]honeyant.Generation{}
			var err error
			for i := 0; err == nil; i++ {
				if gens[i], err = put(s, idOf(i), content(i, 50_000)); err != nil {
					delete(gens, i)
				}
			}
			if !errors.Is(err, honeyant.NoSpace) {
				t.Fatal(err)
			}
			if _, err := s.Create(idOf(1000), 50_000); !errors.Is(err, honeyant.NoSpace) {
				t.Fatalf("Create took it: %v", err)
			}
			u := s.Usage()
			if used := fs.Used(); used > 4<<20 || used < 3<<20 || u.Failing {
				t.Fatalf("%d bytes on disk, %+v", used, u)
			}
			if u.Available > 200_000 || u.Used > u.Capacity-u.Capacity/20 {
				t.Fatalf("%+v", u)
			}
			if full != "capacity" {
				fs.SetCapacity(fs.Used()) // somebody else takes the rest
			}
			for i, gen := range gens {
				if i%4 != 0 { // one in four stays
					if err := s.Delete(ctx, idOf(i), gen); err != nil {
						t.Fatalf("delete on a full disk: %v", err)
					}
				}
			}
			if full == "disk without holes" {
				return
			}
			for i := 2000; i < 2020; i++ {
				mustPut(t, s, idOf(i), content(i, 50_000))
			}
			for i, gen := range gens {
				if i%4 == 0 {
					check(t, s, idOf(i), gen, content(i, 50_000))
				}
			}
		})
	}
}

// The disk is full in the middle of things again and again: the store never turns failing,
// and what it acknowledged is there.
func TestNoSpaceInTheMiddle(t *testing.T) {
	for nth := 1; nth < 12; nth++ {
		for _, op := range []disk.Op{disk.OpWrite, disk.OpReserve} {
			fs := disk.NewMemory(0)
			if op == disk.OpWrite {
				fs.WithoutHoles()
			}
			fs.Inject(disk.Fault{Op: op, Pattern: "*.seg", Nth: nth, Err: syscall.ENOSPC})
			s := open(t, fs, small)
			h := newHistory()
			for i := range 8 {
				if err := h.put(s, i, 40_000*i/2); err != nil && !errors.Is(err, honeyant.NoSpace) {
					t.Fatal(err)
				}
			}
			if s.Usage().Failing {
				t.Fatal("a full disk is no broken disk")
			}
			if err := h.verify(s); err != nil {
				t.Fatal(err)
			}
			if err := h.settle(s); err != nil && h.settle(s) != nil { // the fault may come only now
				t.Fatal(err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if err := h.verify(open(t, fs, small)); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestAbortGivesAllBack(t *testing.T) {
	fs := disk.NewMemory(0)
	s := open(t, fs, chunk.Options{Capacity: 64 << 20})
	mustPut(t, s, idOf(0), content(0, 1000))
	w, err := s.Create(idOf(1), 4<<20)
	if err != nil {
		t.Fatal(err)
	}
	w.Abort()
	before := s.Usage().Used
	for i := range 50 {
		w, err := s.Create(idOf(1), 4<<20)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(content(1, i*20_000)); err != nil {
			t.Fatal(err)
		}
		w.Abort()
		w.Abort()
	}
	if used := s.Usage().Used; used > before+50*12<<10 {
		t.Fatalf("%d bytes lost", used-before)
	}
}

func TestCommitAndDeleteEndWithTheirContext(t *testing.T) {
	fs := disk.NewMemory(0)
	s := open(t, fs, small)
	gone, cancel := context.WithCancel(ctx)
	cancel()
	w, err := s.Create(idOf(1), 100)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = w.Write(content(1, 100))
	gen, _, err := w.Commit(gone)
	if err != nil && !errors.Is(err, honeyant.Unavailable) {
		t.Fatal(err)
	}
	if err == nil && gen == 0 {
		t.Fatal("no generation")
	}
	if err := s.Delete(gone, idOf(1), 0); err != nil && !errors.Is(err, honeyant.Unavailable) {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil { // waits for both
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"create": func() error { _, err := s.Create(idOf(5), 1); return err }(),
		"read":   func() error { _, err := s.ReadAt(idOf(1), 0, make([]byte, 1), 0); return err }(),
		"delete": s.Delete(ctx, idOf(1), 0),
		"raise":  s.RaiseIncarnation(5),
	} {
		if !errors.Is(err, honeyant.Unavailable) {
			t.Error(name, "after Close:", err)
		}
	}
}

// Puts, reads, deletes and verifies of few IDs at once: a read gives the right bytes or says
// that there are none [C7].
func TestStress(t *testing.T) {
	fs := disk.NewMemory(0)
	s := open(t, fs, chunk.Options{SegmentSize: 1 << 20, ReserveStep: 128 << 10, Capacity: 64 << 20, Streams: 4})
	const ids = 12
	length := func(i int) int { return []int{0, 3000, 70_000, 300_000}[i%4] }
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			r := rng(uint64(worker))
			for range 150 {
				i := r.IntN(ids)
				want := content(i, length(i))
				var err error
				switch r.IntN(6) {
				case 0, 1:
					_, err = put(s, idOf(i), want)
				case 2:
					err = s.Delete(ctx, idOf(i), 0)
				case 3:
					_, err = s.Verify(ctx, idOf(i), 0)
				default:
					off := uint32(r.IntN(len(want) + 1))
					got := make([]byte, r.IntN(len(want)+1-int(off)))
					if _, err = s.ReadAt(idOf(i), 0, got, off); len(got) == 0 {
						err = nil
					} else if err == nil && string(got) != string(want[off:int(off)+len(got)]) {
						err = fmt.Errorf("wrong bytes")
					}
				}
				if err != nil && !errors.Is(err, honeyant.NotExist) {
					t.Errorf("chunk %d: %v", i, err)
				}
			}
		})
	}
	wg.Wait()
	chunks := s.Usage().Chunks
	if err := newHistory().inventory(s); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	removeSidecars(t, fs)
	s = open(t, fs, chunk.Options{SegmentSize: 1 << 20})
	if n := s.Usage().Chunks; n != chunks {
		t.Fatalf("%d chunks after a restart, %d before", n, chunks)
	}
	for i := range ids {
		if info, err := s.Stat(idOf(i), 0); err == nil {
			check(t, s, idOf(i), info.Generation, content(i, length(i)))
		}
	}
}

// No file to be had is no broken disk.
func TestNoMoreFiles(t *testing.T) {
	fs := disk.NewMemory(0)
	s := open(t, fs, small)
	remove := fs.Inject(disk.Fault{Op: disk.OpCreate, Pattern: "*.seg", Err: syscall.EMFILE})
	if _, err := put(s, idOf(1), content(1, 10)); !errors.Is(err, syscall.EMFILE) {
		t.Fatal(err)
	}
	remove()
	mustPut(t, s, idOf(1), content(1, 10))
}
