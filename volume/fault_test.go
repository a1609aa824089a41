package volume_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/meta"
	"github.com/honeyant/honeyant/volume"
	"github.com/honeyant/honeyant/volume/volumetest"
)

func kindIs(t *testing.T, err error, kind honeyant.Kind) {
	t.Helper()
	if err == nil || honeyant.KindOf(err) != kind {
		t.Fatalf("got %v, want %v", err, kind)
	}
}

func failWrites(c *volumetest.Cluster, err error) {
	if err == nil {
		c.Chunks.BeforeWrite.Store(nil)
		return
	}
	fn := func(context.Context, honeyant.ChunkID, int) error { return err }
	c.Chunks.BeforeWrite.Store(&fn)
}

// V9: bytes that can not be stored are told once by each descriptor open at the time, and by none opened later.
func TestLostWriteIsToldOncePerDescriptor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := volumetest.NewCluster(t, 2, 1<<30)
		v := c.Open(t, nil)
		f := create(t, v, "f")
		g, idle := open(t, v, "f", readWrite), open(t, v, "f", readWrite)
		write(t, f, pattern(100_000, 1), 0)
		closeFile(t, idle) // commits, as any close does: no error so far
		write(t, f, pattern(100_000, 2), 0)
		failWrites(c, honeyant.Unavailable)
		began := time.Now()
		kindIs(t, f.Fsync(bg, false), honeyant.Unavailable)
		if took := time.Since(began); took < 9*time.Second || took > 12*time.Second {
			t.Fatalf("told after %v, the deadline is 10 s", took)
		}
		failWrites(c, nil)
		if err := f.Fsync(bg, false); err != nil {
			t.Fatalf("told twice: %v", err)
		}
		if _, err := g.WriteAt(bg, []byte("x"), 0, volume.WriteFlags{}); honeyant.KindOf(err) != honeyant.Unavailable {
			t.Fatalf("another descriptor: %v", err)
		}
		h := open(t, v, "f", readWrite)
		write(t, h, []byte("later"), 0)
		for _, file := range []*volume.File{f, g, h} {
			closeFile(t, file)
		}
		want := append([]byte("later"), pattern(100_000, 1)[5:]...)
		h = open(t, v, "f", readWrite)
		if got := readAll(t, h); !bytes.Equal(got, want) {
			t.Fatal("the lost write changed the file")
		}
		closeFile(t, h)
	})
}

// A store that fails in the middle is replaced by another; a short outage of all is waited for.
func TestStoresFailAndComeBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := volumetest.NewCluster(t, 4, 1<<30)
		v := c.Open(t, nil)
		f := create(t, v, "f")
		c.Chunks.Fail(1, true)
		c.Chunks.Fail(2, true)
		data := pattern(9<<20, 3)
		write(t, f, data, 0)
		if err := f.Fsync(bg, false); err != nil {
			t.Fatal(err)
		}
		c.Chunks.Fail(3, true)
		write(t, f, []byte("late"), 5<<20)
		copy(data[5<<20:], "late")
		time.AfterFunc(3*time.Second, func() { c.Chunks.Fail(1, false) })
		if err := f.Fsync(bg, false); err != nil {
			t.Fatal(err)
		}
		if got := readAll(t, f); !bytes.Equal(got, data) {
			t.Fatal("other bytes")
		}
		closeFile(t, f)
	})
}

func TestFullClusterIsNoSpace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := volumetest.NewCluster(t, 2, 3<<20)
		v := c.Open(t, nil)
		f := create(t, v, "f")
		var err error
		n := 0
		for ; n < 100 && err == nil; n++ {
			_, err = f.WriteAt(bg, pattern(100_000, n), int64(n)*100_000, volume.WriteFlags{})
			time.Sleep(200 * time.Millisecond) // fake: the flusher runs
		}
		kindIs(t, err, honeyant.NoSpace)
		if n < 25 {
			t.Fatalf("full after %d of 31 writes", n)
		}
		if err := f.Flush(bg, 0); err != nil {
			t.Fatalf("what write(2) refused is no error of close: %v", err)
		}
		st, err := v.StatFS(bg)
		if err != nil || st.AvailBytes > 200_000 || st.TotalBytes != 3<<20 {
			t.Fatalf("%+v %v", st, err)
		}
		if err := f.Release(bg, 0); err != nil {
			t.Fatal(err)
		}
	})
}

// Dirty bytes are sent after FlushInterval without anybody asking.
func TestFlushInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := volumetest.NewCluster(t, 2, 1<<30)
		v, w := c.Open(t, nil), c.Open(t, nil)
		f := create(t, v, "f")
		size := func() uint64 {
			a, err := w.GetAttr(bg, f.Ino())
			if err != nil {
				t.Fatal(err)
			}
			return a.Size
		}
		for i := range 3 {
			write(t, f, pattern(10_000, i), int64(i)*10_000)
			time.Sleep(500 * time.Millisecond)
			synctest.Wait()
			if got := size(); got != uint64(i)*10_000 {
				t.Fatalf("after half a second: %d", got)
			}
			time.Sleep(501 * time.Millisecond)
			synctest.Wait()
			if got := size(); got != uint64(i+1)*10_000 {
				t.Fatalf("after a second: %d", got)
			}
		}
		if d := v.Stats().DirtyBytes; d != 0 {
			t.Fatal(d)
		}
		closeFile(t, f)
	})
}

// V4: writers block when the memory is used up, and go on when the stores do.
func TestWritersWaitForMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := volumetest.NewCluster(t, 2, 1<<30)
		v := c.Open(t, func(o *volume.Options) { o.WriteMemory = 1 << 20 })
		gate := make(chan struct{})
		fn := func(ctx context.Context, _ honeyant.ChunkID, _ int) error {
			select {
			case <-gate:
				return nil
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		c.Chunks.BeforeWrite.Store(&fn)
		var wg sync.WaitGroup
		var done atomic.Int64
		for i := range 8 {
			f := create(t, v, fmt.Sprintf("f%d", i))
			wg.Go(func() {
				for off := 0; off < 1<<20; off += 10_000 {
					write(t, f, pattern(10_000, off+i), int64(off))
					done.Add(1)
				}
				closeFile(t, f)
			})
		}
		synctest.Wait()
		if s := v.Stats(); s.WriteMemory > 1<<20 || s.DirtyBytes+s.FlyingBytes > 1<<20 || done.Load() > 105 {
			t.Fatalf("%d writes, %+v", done.Load(), s)
		}
		close(gate)
		wg.Wait()
		if s := v.Stats(); s.WriteMemory != 0 || s.OpenFiles != 0 || s.LostWrites != 0 {
			t.Fatalf("%+v", s)
		}
		for i := range 8 {
			f := open(t, v, fmt.Sprintf("f%d", i), readWrite)
			for off := 0; off < 1<<20; off += 10_000 {
				p := make([]byte, 10_000)
				if n, err := f.ReadAt(bg, p, int64(off)); err != nil || n != 10_000 || !bytes.Equal(p, pattern(10_000, off+i)) {
					t.Fatalf("file %d at %d: %d, %v", i, off, n, err)
				}
			}
			closeFile(t, f)
		}
	})
}

// With no quorum every call ends at its deadline; afterwards all goes on, and what was written is not lost
// if the outage was short.
func TestNoQuorum(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := volumetest.NewCluster(t, 2, 1<<30)
		v := c.Open(t, nil)
		f := create(t, v, "f")
		write(t, f, []byte("before"), 0)
		c.CutQuorum(true)
		began := time.Now()
		_, err := v.Lookup(bg, honeyant.RootIno, "f")
		kindIs(t, err, honeyant.Unavailable)
		_, err = v.Make(bg, volume.NewNode{Parent: honeyant.RootIno, Name: "d", Mode: honeyant.ModeDir | 0o755})
		kindIs(t, err, honeyant.Unavailable)
		if took := time.Since(began); took > 21*time.Second {
			t.Fatal(took)
		}
		c.CutQuorum(false)
		time.Sleep(5 * time.Second)
		if err := f.Fsync(bg, false); err == nil {
			t.Fatal("the flush was cut off for 20 s with a deadline of 10 s: its loss must be told")
		}
		c.CutQuorum(true)
		write(t, f, []byte("during"), 0)
		time.AfterFunc(4*time.Second, func() { c.CutQuorum(false) })
		if err := f.Flush(bg, 0); err != nil {
			t.Fatal(err)
		}
		if got := readAll(t, f); string(got) != "during" {
			t.Fatalf("%q", got)
		}
		closeFile(t, f)
	})
}

// A session that is dead loses what it had not committed, says so on each descriptor, and a new one goes on.
func TestFencedSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := volumetest.NewCluster(t, 2, 1<<30)
		first := c.NewSession(t)
		fenced := make(chan volume.Meta, 10)
		v := c.Open(t, func(o *volume.Options) {
			o.Meta = first
			o.OnFenced = func(dead volume.Meta) { fenced <- dead }
		})
		f := create(t, v, "f")
		g := open(t, v, "f", readWrite)
		write(t, f, []byte("committed"), 0)
		if err := f.Fsync(bg, false); err != nil {
			t.Fatal(err)
		}
		write(t, f, []byte("lost bytes"), 0)
		first.Kill(t)
		if err := f.Fsync(bg, false); honeyant.KindOf(err) != honeyant.Unavailable || !errors.Is(err, honeyant.Unavailable) {
			t.Fatalf("fsync: %v", err)
		}
		if dead := <-fenced; dead.ID() != first.ID() {
			t.Fatal("another session")
		}
		time.AfterFunc(time.Second, func() {
			if err := v.Reset(bg, c.NewSession(t)); err != nil {
				t.Error(err)
			}
		})
		if got := readAll(t, g); string(got) != "committed" { // waits for the new session
			t.Fatalf("%q", got)
		}
		kindIs(t, g.Flush(bg, 0), honeyant.Unavailable)
		write(t, f, []byte("new bytes"), 0)
		if err := c.Open(t, nil).Unlink(bg, honeyant.RootIno, "f"); err != nil { // it is registered again: it lives on
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if got := readAll(t, g); string(got) != "new bytes" {
			t.Fatalf("%q", got)
		}
		closeFile(t, f)
		closeFile(t, g)
		if len(fenced) != 0 {
			t.Fatal("told twice")
		}
	})
}

// V6: a chunk that is gone makes the reader ask for newer extents [25].
func TestReaderRacesWithReclaim(t *testing.T) {
	c := volumetest.NewCluster(t, 2, 1<<30)
	a, b := c.Open(t, nil), c.Open(t, nil)
	f := create(t, a, "f")
	write(t, f, pattern(50_000, 1), 0)
	if err := f.Fsync(bg, false); err != nil {
		t.Fatal(err)
	}
	old := c.Chunks.IDs()
	g := open(t, b, "f", volume.OpenFlags{Read: true})
	write(t, f, pattern(50_000, 2), 0)
	if err := f.Fsync(bg, false); err != nil {
		t.Fatal(err)
	}
	for _, id := range old {
		c.Chunks.Lose(id)
	}
	if got := readAll(t, g); !bytes.Equal(got, pattern(50_000, 2)) {
		t.Fatalf("%d bytes", len(got))
	}
	for _, id := range c.Chunks.IDs() {
		c.Chunks.Lose(id)
	}
	_, err := g.ReadAt(bg, make([]byte, 10), 0)
	kindIs(t, err, honeyant.Unavailable)
	closeFile(t, f)
	closeFile(t, g)
}

// A read waits for stores that restart, and ends at its deadline if they do not.
func TestReadWaitsForStores(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := volumetest.NewCluster(t, 2, 1<<30)
		v := c.Open(t, nil)
		f := create(t, v, "f")
		write(t, f, pattern(50_000, 1), 0)
		if err := f.Fsync(bg, false); err != nil {
			t.Fatal(err)
		}
		c.Chunks.Fail(1, true)
		c.Chunks.Fail(2, true)
		time.AfterFunc(5*time.Second, func() { c.Chunks.Fail(2, false) })
		if got := readAll(t, f); !bytes.Equal(got, pattern(50_000, 1)) {
			t.Fatal("other bytes")
		}
		c.Chunks.Fail(2, true)
		began := time.Now()
		_, err := f.ReadAt(bg, make([]byte, 10), 0)
		kindIs(t, err, honeyant.Unavailable)
		if took := time.Since(began); took < 9*time.Second || took > 11*time.Second {
			t.Fatal(took)
		}
		c.Chunks.Fail(1, false)
		closeFile(t, f)
	})
}

// What is written while there is no live session waits for the next one.
func TestWritesWaitForTheNextSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := volumetest.NewCluster(t, 2, 1<<30)
		first := c.NewSession(t)
		v := c.Open(t, func(o *volume.Options) { o.Meta = first })
		f := create(t, v, "f")
		first.Kill(t)
		ctx, cancel := context.WithTimeout(bg, time.Second)
		defer cancel()
		if _, err := v.GetAttr(ctx, f.Ino()); err == nil {
			t.Fatal("a dead session answers")
		}
		write(t, f, pattern(50_000, 2), 0)
		time.AfterFunc(3*time.Second, func() {
			if err := v.Reset(bg, c.NewSession(t)); err != nil {
				t.Error(err)
			}
		})
		closeFile(t, f)
		f = open(t, v, "f", readWrite)
		if got := readAll(t, f); !bytes.Equal(got, pattern(50_000, 2)) {
			t.Fatal("other bytes")
		}
		closeFile(t, f)
	})
}

// V7: the low-water mark stays below every chunk on its way, and follows what is settled [10].
func TestLowWaterMark(t *testing.T) {
	c := volumetest.NewCluster(t, 2, 1<<30)
	s := c.NewSession(t)
	v := c.Open(t, func(o *volume.Options) { o.Meta = s })
	var mu sync.Mutex
	flying := map[uint64]bool{}
	upload := func(_ context.Context, id honeyant.ChunkID, _ int) error {
		mu.Lock()
		defer mu.Unlock()
		flying[id.Counter()] = true
		return nil
	}
	c.Chunks.BeforeWrite.Store(&upload)
	var last atomic.Uint64
	commit := func(op meta.Op) error {
		if op, ok := op.(*meta.Commit); ok {
			mu.Lock()
			defer mu.Unlock()
			for counter := range flying {
				if counter < op.LowWater {
					t.Errorf("low water %d above chunk %d, which is not committed", op.LowWater, counter)
				}
			}
			for _, chunk := range op.Chunks {
				delete(flying, chunk.ID.Counter())
			}
			last.Store(op.LowWater)
		}
		return nil
	}
	s.Before.Store(&commit)
	var wg sync.WaitGroup
	for i := range 4 {
		f := create(t, v, fmt.Sprintf("f%d", i))
		wg.Go(func() {
			for n := range 20 {
				write(t, f, pattern(10_000, n), int64(n)*10_000)
				if err := f.Fsync(bg, false); err != nil {
					t.Error(err)
				}
			}
			closeFile(t, f)
		})
	}
	wg.Wait()
	if last.Load() < 70 {
		t.Fatalf("low water %d after 80 chunks", last.Load())
	}
}

// A policy that asks for more copies than it did when a chunk was placed makes the leader refuse the
// commit: the chunk is placed anew, nothing is lost.
func TestPolicyRaisedDuringWrite(t *testing.T) {
	c := volumetest.NewCluster(t, 3, 1<<30)
	s := c.NewSession(t)
	v := c.Open(t, func(o *volume.Options) { o.Meta = s })
	set := func(copies uint8) {
		op := &meta.SetPolicy{Volume: honeyant.MainVolume, Ino: honeyant.RootIno, Policy: honeyant.Policy{Copies: copies, MinCopies: copies}}
		if _, err := meta.Do(bg, s, op); err != nil {
			t.Fatal(err)
		}
	}
	set(1)
	f := create(t, v, "f")
	write(t, f, pattern(10_000, 1), 0)
	if err := f.Fsync(bg, false); err != nil {
		t.Fatal(err)
	}
	set(3)
	write(t, f, pattern(20_000, 2), 0)
	if err := f.Fsync(bg, false); err != nil {
		t.Fatal(err)
	}
	r, err := meta.Do(bg, s, &meta.Extents{Volume: honeyant.MainVolume, Ino: f.Ino(), Length: 1 << 20})
	if err != nil || len(r.Chunks) != 1 || len(r.Chunks[0].Replicas) != 3 {
		t.Fatalf("%+v %v", r, err)
	}
	if got := readAll(t, f); !bytes.Equal(got, pattern(20_000, 2)) {
		t.Fatal("other bytes")
	}
	closeFile(t, f)
}

// Random I/O while stores refuse every fifth write and every tenth read: slower, never wrong.
func TestRandomIOOverFailingStores(t *testing.T) {
	seed := uint64(time.Now().UnixNano()) // outside: inside the clock starts at a fixed moment
	synctest.Test(t, func(t *testing.T) {
		t.Logf("seed %d", seed)
		c := volumetest.NewCluster(t, 3, 1<<30)
		small := func(o *volume.Options) { o.WriteMemory, o.ReadMemory = 256<<10, 256<<10 }
		a, b := c.Open(t, small), c.Open(t, small)
		var mu sync.Mutex // guards r
		r := rand.New(rand.NewPCG(seed, 4))
		oneIn := func(n int) error {
			mu.Lock()
			defer mu.Unlock()
			if r.IntN(n) == 0 {
				return honeyant.E("test", honeyant.Unavailable, "", nil)
			}
			return nil
		}
		writes := func(context.Context, honeyant.ChunkID, int) error { return oneIn(5) }
		reads := func(context.Context, honeyant.ChunkRef, int, uint32) error { return oneIn(10) }
		c.Chunks.BeforeWrite.Store(&writes)
		c.Chunks.BeforeRead.Store(&reads)
		volumetest.RandomIO(t, volumetest.OverVolume(a), volumetest.OverVolume(b), seed, 800, 1<<20)
		if n := a.Stats().LostWrites + b.Stats().LostWrites; n != 0 {
			t.Errorf("%d lost writes", n)
		}
	})
}

// An answer that was overtaken by the commit of own bytes must not make the file shrink: the kernel would cut its
// pages, and who seeks to the end would write into the middle.
func TestOvertakenAnswersDoNotShrinkTheFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, s, v := openSlow(t)
		f := create(t, v, "f")
		write(t, f, pattern(10_000, 1), 0)
		s.after = func(op meta.Op) {
			if _, ok := op.(*meta.Lookup); ok {
				if err := f.Fsync(bg, false); err != nil {
					t.Error(err)
				}
			}
		}
		a, err := v.Lookup(bg, honeyant.RootIno, "f")
		if err != nil || a.Size != 10_000 {
			t.Fatalf("size %d, error %v", a.Size, err)
		}
		closeFile(t, f)
	})
}

// slowMeta lets things happen while an answer is on its way.
type slowMeta struct {
	*volumetest.Session
	after func(op meta.Op)
}

// openSlow opens a volume over one.
func openSlow(t *testing.T) (*volumetest.Cluster, *slowMeta, *volume.Volume) {
	c := volumetest.NewCluster(t, 2, 1<<30)
	s := &slowMeta{Session: c.NewSession(t)}
	return c, s, c.Open(t, func(o *volume.Options) { o.Meta = s })
}

// Do implements meta.Doer.
func (s *slowMeta) Do(ctx context.Context, op meta.Op) (meta.Reply, error) {
	r, err := s.Session.Do(ctx, op)
	if s.after != nil {
		s.after(op)
	}
	if ctx.Err() != nil { // the answer comes too late
		return nil, honeyant.E("test", honeyant.Interrupted, "", context.Cause(ctx))
	}
	return r, err
}

// V10: a file that was made or opened while one session was replaced by the next is registered under the next.
func TestOpensDuringResetBelongToTheNewSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := volumetest.NewCluster(t, 2, 1<<30)
		first := &slowMeta{Session: c.NewSession(t)}
		var v *volume.Volume
		reset := func() {
			if err := v.Reset(bg, c.NewSession(t)); err != nil {
				t.Error(err)
			}
		}
		fenced := make(chan struct{})
		v = c.Open(t, func(o *volume.Options) {
			o.Meta, o.OnFenced = first, func(volume.Meta) { close(fenced) }
		})
		first.after = func(op meta.Op) {
			if _, ok := op.(*meta.Open); ok { // its answer is on its way
				first.after = nil
				first.Kill(t)
				time.AfterFunc(time.Second, reset)
				if err := v.Unlink(bg, honeyant.RootIno, "none"); err == nil { // learns that it is dead
					t.Error("the session is alive")
				}
				time.Sleep(2 * time.Second)
			}
		}
		closeFile(t, create(t, c.Open(t, nil), "old"))
		opened := open(t, v, "old", readWrite)
		<-fenced
		if n := len(v.Opens()); n != 1 {
			t.Errorf("%d of 1 opened file is registered", n)
		}
		fenced = make(chan struct{})
		second := c.NewSession(t)
		if err := v.Reset(bg, second); err != nil {
			t.Error(err)
		}
		<-fenced
		fenced = make(chan struct{})
		second.Kill(t)
		time.AfterFunc(time.Second, reset)
		if err := v.Unlink(bg, honeyant.RootIno, "none"); err == nil {
			t.Error("the session is alive")
		}
		made := create(t, v, "made") // waits for the next session
		if n := len(v.Opens()); n != 2 {
			t.Errorf("%d of 2 open files are registered", n)
		}
		closeFile(t, made)
		closeFile(t, opened)
	})
}

// A session that dies while a commit of it is being answered takes with it what was written since: the locks under
// which that was written are gone.
func TestDeathDuringCommitLosesWhatCameAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s, v := openSlow(t)
		f := create(t, v, "f")
		write(t, f, []byte("first"), 0)
		s.after = func(op meta.Op) {
			if _, ok := op.(*meta.Commit); !ok {
				return
			}
			s.after = nil
			write(t, f, []byte("second"), 0)
			s.Kill(t)
			if err := v.Unlink(bg, honeyant.RootIno, "none"); err == nil { // learns of it
				t.Error("the session is alive")
			}
		}
		kindIs(t, f.Fsync(bg, false), honeyant.Unavailable)
		if err := v.Reset(bg, c.NewSession(t)); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Minute)
		if got := readAll(t, f); string(got) != "first" {
			t.Errorf("%q", got)
		}
		closeFile(t, f)
	})
}

// What is written while the volume is being closed does not disturb a commit that is being answered.
func TestWriteDuringCloseAndCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, s, v := openSlow(t)
		f := create(t, v, "f")
		write(t, f, []byte("first"), 0)
		s.after = func(op meta.Op) {
			if _, ok := op.(*meta.Commit); !ok {
				return
			}
			s.after = nil
			closing, cancel := context.WithCancel(bg)
			cancel()
			go v.Close(closing)
			time.Sleep(time.Millisecond)
			write(t, f, []byte("second"), 0)
			kindIs(t, f.Fsync(closing, false), honeyant.Interrupted)
		}
		if err := f.Fsync(bg, false); err == nil {
			t.Error("the second bytes are lost, and nobody was told")
		}
		if err := v.Close(bg); err != nil {
			t.Error(err)
		}
	})
}

// A commit that is refused until the deadline is lost, which is no EAGAIN, and the deadline is one for all its tries.
func TestLastingConflictIsUnavailable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := volumetest.NewCluster(t, 2, 1<<30)
		s := c.NewSession(t)
		v := c.Open(t, func(o *volume.Options) { o.Meta = s })
		before := func(op meta.Op) error {
			if _, ok := op.(*meta.Commit); ok {
				return honeyant.E("test", honeyant.Conflict, "", nil)
			}
			return nil
		}
		s.Before.Store(&before)
		f := create(t, v, "f")
		write(t, f, pattern(10_000, 1), 0)
		began := time.Now()
		kindIs(t, f.Fsync(bg, false), honeyant.Unavailable)
		a := open(t, v, "f", volume.OpenFlags{Write: true, Append: true})
		_, err := a.WriteAt(bg, pattern(10_000, 1), 0, volume.WriteFlags{})
		kindIs(t, err, honeyant.Unavailable)
		if took := time.Since(began); took > 25*time.Second {
			t.Errorf("two deadlines of 10 s took %v", took)
		}
		closeFile(t, a)
		closeFile(t, f)
	})
}

// A store that fails while it is written to is never replaced by another one of a node that has a copy.
func TestReplacementIsOnAnotherNode(t *testing.T) {
	c := volumetest.NewCluster(t, 4, 1<<30)
	twoDisks := func() *honeyant.Map { // store 3 is in node 1, too
		m := c.Map()
		m.Stores[2].Node = 1
		return m
	}
	watched := &watchedChunks{Chunks: c.Chunks}
	v := c.Open(t, func(o *volume.Options) { o.Map, o.Chunks = twoDisks, watched })
	c.Chunks.Fail(2, true)
	f := create(t, v, "f")
	for i := range 40 {
		write(t, f, pattern(10_000, i), 0)
		if err := f.Fsync(bg, false); err != nil {
			t.Fatal(err)
		}
	}
	closeFile(t, f)
	for _, ref := range watched.refs {
		nodes := map[honeyant.NodeID]bool{}
		for _, r := range ref.Replicas {
			s, _ := twoDisks().Store(r.Store)
			nodes[s.Node] = true
		}
		if len(nodes) < 2 {
			t.Fatalf("both copies on one node: %v", ref.Replicas)
		}
	}
}

// watchedChunks remembers what was written where.
type watchedChunks struct {
	*volumetest.Chunks
	mu   sync.Mutex // guards refs
	refs []honeyant.ChunkRef
}

// Write implements volume.Chunks.
func (w *watchedChunks) Write(ctx context.Context, id honeyant.ChunkID, data []byte, targets []honeyant.StoreID,
	next func([]honeyant.StoreID) (honeyant.StoreID, bool)) (honeyant.ChunkRef, error) {
	ref, err := w.Chunks.Write(ctx, id, data, targets, next)
	w.mu.Lock()
	defer w.mu.Unlock()
	if err == nil {
		w.refs = append(w.refs, ref)
	}
	return ref, err
}

// The leader refuses a cut while an earlier one is being freed, and ranges with too many extents: neither is the
// program's business.
func TestCutsWaitAndAreDivided(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := volumetest.NewCluster(t, 2, 1<<30)
		s := c.NewSession(t)
		v := c.Open(t, func(o *volume.Options) { o.Meta = s })
		f := create(t, v, "f")
		write(t, f, pattern(100_000, 1), 0)
		refusals := 3
		before := func(op meta.Op) error {
			switch o := op.(type) {
			case *meta.SetAttr:
				if refusals--; refusals >= 0 {
					return honeyant.E("test", honeyant.Conflict, "", nil)
				}
			case *meta.Punch:
				if o.Length > 1000 {
					return honeyant.E("test", honeyant.OutOfRange, "", nil)
				}
			}
			return nil
		}
		s.Before.Store(&before)
		if _, err := v.SetAttr(bg, &meta.SetAttr{Ino: f.Ino(), Valid: meta.SetSize, Size: 50_000}); err != nil {
			t.Error(err)
		}
		if err := f.Allocate(bg, volume.FallocPunchHole|volume.FallocKeepSize, 100, 30_000); err != nil {
			t.Error(err)
		}
		want := pattern(100_000, 1)[:50_000]
		clear(want[100:30_100])
		if got := readAll(t, f); !bytes.Equal(got, want) {
			t.Error("other bytes")
		}
		closeFile(t, f)
	})
}

// A truncation drops what is dirty behind the new size; if it fails that must not go unsaid.
func TestFailedTruncationTellsWhatItDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := volumetest.NewCluster(t, 2, 1<<30)
		s := c.NewSession(t)
		v := c.Open(t, func(o *volume.Options) { o.Meta = s })
		f := create(t, v, "f")
		write(t, f, pattern(10_000, 1), 0)
		before := func(op meta.Op) error {
			if _, ok := op.(*meta.SetAttr); ok {
				return honeyant.E("test", honeyant.Unavailable, "", nil)
			}
			return nil
		}
		s.Before.Store(&before)
		_, err := v.SetAttr(bg, &meta.SetAttr{Ino: f.Ino(), Valid: meta.SetSize, Size: 100})
		kindIs(t, err, honeyant.Unavailable)
		kindIs(t, f.Fsync(bg, false), honeyant.Unavailable)
		closeFile(t, f)
	})
}
