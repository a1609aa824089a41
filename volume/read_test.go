package volume_test

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/meta"
	"github.com/honeyant/honeyant/volume"
	"github.com/honeyant/honeyant/volume/volumetest"
)

// A sequential reader is served by read-ahead, byte for byte, within the memory given; its files
// are read once, not twice.
func TestReadAhead(t *testing.T) {
	c := volumetest.NewCluster(t, 2, 1<<30)
	w := c.Open(t, nil)
	data := pattern(24<<20+12345, 7)
	f := create(t, w, "f")
	write(t, f, data, 0)
	closeFile(t, f)
	for _, memory := range []int64{64 << 10, 1 << 20, 8 << 20, 64 << 20} {
		v := c.Open(t, func(o *volume.Options) { o.ReadMemory = memory })
		before := c.Chunks.ReadBytes.Load()
		g := open(t, v, "f", volume.OpenFlags{Read: true})
		p := make([]byte, 256<<10)
		for off := 0; off < len(data); off += len(p) {
			n, err := g.ReadAt(bg, p, int64(off))
			if err != nil || !bytes.Equal(p[:n], data[off:min(off+len(p), len(data))]) {
				t.Fatalf("memory %d at %d: %d, %v", memory, off, n, err)
			}
			if s := v.Stats(); s.ReadCacheBytes > memory {
				t.Fatalf("%d bytes cached of %d", s.ReadCacheBytes, memory)
			}
		}
		s := v.Stats()
		if fetched := c.Chunks.ReadBytes.Load() - before; fetched > int64(len(data))*11/10 {
			t.Errorf("memory %d: %d bytes fetched for %d", memory, fetched, len(data))
		}
		if memory >= 8<<20 && s.CacheHits < 80 {
			t.Errorf("memory %d: %d hits, %d misses", memory, s.CacheHits, s.CacheMisses)
		}
		closeFile(t, g)
	}
}

// Random reads fetch what they need and nothing more.
func TestRandomReadsAreNotReadAhead(t *testing.T) {
	c := volumetest.NewCluster(t, 2, 1<<30)
	v := c.Open(t, nil)
	data := pattern(24<<20, 8)
	f := create(t, v, "f")
	write(t, f, data, 0)
	if err := f.Fsync(bg, false); err != nil {
		t.Fatal(err)
	}
	p := make([]byte, 4096)
	for i := range 100 {
		off := (i * 7_654_321) % (len(data) - len(p))
		if n, err := f.ReadAt(bg, p, int64(off)); err != nil || !bytes.Equal(p[:n], data[off:off+4096]) {
			t.Fatalf("at %d: %d %v", off, n, err)
		}
	}
	if got := c.Chunks.ReadBytes.Load(); got != 100*4096 {
		t.Errorf("%d bytes fetched", got)
	}
	closeFile(t, f)
}

// A small file costs one request to open and none to read.
func TestSmallFilesCostFewRequests(t *testing.T) {
	c := volumetest.NewCluster(t, 2, 1<<30)
	s := c.NewSession(t)
	v := c.Open(t, func(o *volume.Options) { o.Meta = s })
	total := func() (n int64) {
		for i := range s.Calls {
			n += s.Calls[i].Load()
		}
		return n
	}
	expect := func(what string, want int64, fn func()) {
		t.Helper()
		before := total()
		fn()
		if got := total() - before; got != want {
			t.Errorf("%s: %d requests, want %d", what, got, want)
		}
	}
	var f *volume.File
	expect("create", 1, func() { f = create(t, v, "f") })
	expect("write", 0, func() { write(t, f, pattern(4000, 1), 0) })
	expect("read back", 0, func() { _, _ = f.ReadAt(bg, make([]byte, 4000), 0) })
	expect("close", 2, func() { closeFile(t, f) }) // commit, release
	expect("open", 2, func() { f = open(t, v, "f", readWrite) })
	expect("read", 0, func() {
		if got := readAll(t, f); !bytes.Equal(got, pattern(4000, 1)) {
			t.Error("other bytes")
		}
	})
	expect("flush of nothing", 0, func() { _ = f.Flush(bg, 77) })
	expect("release", 1, func() { _ = f.Release(bg, 0) })
	if n := c.Chunks.Writes.Load(); n != 0 {
		t.Errorf("%d chunks for an inline file", n)
	}
	// Many small runs become one chunk.
	f = create(t, v, "g")
	for i := range 200 {
		write(t, f, pattern(1000, i), int64(i)*50_000)
	}
	closeFile(t, f)
	if n := c.Chunks.Writes.Load(); n != 1 {
		t.Errorf("%d chunks for 200 runs", n)
	}
}

// Full chunks are sent while the file is being written, and the memory is bounded.
func TestStreaming(t *testing.T) {
	c := volumetest.NewCluster(t, 2, 1<<30)
	v := c.Open(t, nil)
	f := create(t, v, "f")
	p := pattern(128<<10, 1)
	for off := 0; off < 64<<20; off += len(p) {
		write(t, f, p, int64(off))
	}
	if n := c.Chunks.Writes.Load(); n < 13 {
		t.Errorf("%d chunks sent before the close", n)
	}
	closeFile(t, f)
	if n := c.Chunks.Writes.Load(); n > 18 {
		t.Errorf("%d chunks for 64 MiB", n)
	}
}

// Concurrent writers, readers, flushers and truncations of one inode: what counts is the race
// detector, and that each byte is one that was written.
func TestConcurrentUseOfOneInode(t *testing.T) {
	c := volumetest.NewCluster(t, 2, 1<<30)
	v := c.Open(t, func(o *volume.Options) { o.WriteMemory = 256 << 10 })
	const files, blocks, block = 4, 40, 5000
	first := create(t, v, "f")
	var wg sync.WaitGroup
	for i := range files {
		f := open(t, v, "f", readWrite)
		wg.Go(func() {
			for n := range blocks {
				at := (n*files + i) * block
				write(t, f, bytes.Repeat([]byte{byte(i + 1)}, block), int64(at))
				if n%10 == 0 {
					if err := f.Fsync(bg, false); err != nil {
						t.Error(err)
					}
				}
				p := make([]byte, block)
				if k, err := f.ReadAt(bg, p, int64(at)); err != nil || k != block || p[0] != byte(i+1) || p[block-1] != byte(i+1) {
					t.Errorf("own block: %d %v %v", k, err, p[:1])
				}
			}
			closeFile(t, f)
		})
	}
	wg.Go(func() {
		for range 20 {
			if _, err := v.GetAttr(bg, first.Ino()); err != nil {
				t.Error(err)
			}
			if err := v.Sync(bg); err != nil {
				t.Error(err)
			}
			_, err := v.SetAttr(bg, &meta.SetAttr{Ino: first.Ino(), Valid: meta.SetSize, Size: files * blocks * block})
			if err != nil {
				t.Error(err)
			}
		}
	})
	wg.Wait()
	got := readAll(t, first)
	for i := range files * blocks {
		if want := byte(i%files + 1); !bytes.Equal(got[i*block:(i+1)*block], bytes.Repeat([]byte{want}, block)) {
			t.Fatalf("block %d", i)
		}
	}
	closeFile(t, first)
}

func TestDirectoryCookies(t *testing.T) {
	c := volumetest.NewCluster(t, 1, 1<<30)
	v := c.Open(t, nil)
	const entries = 3000
	for i := range entries {
		if _, err := v.Make(bg, volume.NewNode{Parent: honeyant.RootIno, Name: fmt.Sprint("n", i), Mode: honeyant.ModeFifo | 0o600}); err != nil {
			t.Fatal(err)
		}
	}
	d, err := v.OpenDir(bg, honeyant.RootIno)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	var all []meta.DirEntry
	list := func(from uint64, limit int, plus bool) (names []string) {
		err := d.Read(bg, from, plus, func(e meta.DirEntry) bool {
			if len(names) == limit {
				return false
			}
			if plus && (e.Attr.Ino != e.Ino || e.Attr.Mode&honeyant.ModeType != e.Type) {
				t.Fatalf("%+v", e)
			}
			names = append(names, e.Name)
			if from == 0 && limit > entries {
				all = append(all, e)
			}
			return true
		})
		if err != nil {
			t.Fatal(err)
		}
		return names
	}
	if n := len(list(0, 1<<30, true)); n != entries {
		t.Fatalf("%d entries", n)
	}
	for _, at := range []int{0, 5, 127, 128, 1500, entries - 2} { // seekdir, also backwards
		if got := list(all[at].Cookie, 1, at%2 == 0); len(got) != 1 || got[0] != all[at+1].Name {
			t.Fatalf("after entry %d: %v, want %v", at, got, all[at+1].Name)
		}
	}
	if got := list(all[entries-1].Cookie, 1, false); len(got) != 0 {
		t.Fatal(got)
	}
	// Entries go and come while it is listed: those that stay are seen once.
	seen := map[string]int{}
	cookie := uint64(0)
	for i := 0; ; i++ {
		n := 0
		err := d.Read(bg, cookie, false, func(e meta.DirEntry) bool {
			if n == 50 {
				return false
			}
			n++
			seen[e.Name]++
			cookie = e.Cookie
			return true
		})
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			break
		}
		if err := v.Unlink(bg, honeyant.RootIno, fmt.Sprint("n", i)); err != nil {
			t.Fatal(err)
		}
		if _, err := v.Make(bg, volume.NewNode{Parent: honeyant.RootIno, Name: fmt.Sprint("new", i), Mode: honeyant.ModeFifo}); err != nil {
			t.Fatal(err)
		}
	}
	for i := 100; i < entries; i++ {
		if n := seen[fmt.Sprint("n", i)]; n != 1 {
			t.Fatalf("n%d was listed %d times", i, n)
		}
	}
}

// Locks of two volumes exclude each other; a lock is a point of synchronisation; close gives it back.
func TestLocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := volumetest.NewCluster(t, 2, 1<<30)
		a, b := c.Open(t, nil), c.Open(t, nil)
		f := create(t, a, "f")
		g := open(t, b, "f", readWrite)
		lock := meta.FileLock{Kind: meta.LockPosix, Write: true, Owner: 7, PID: 70, Start: 0, End: 99}
		if err := a.SetLock(bg, f.Ino(), lock, false); err != nil {
			t.Fatal(err)
		}
		kindIs(t, b.SetLock(bg, f.Ino(), lock, false), honeyant.Conflict)
		granted, other, err := b.GetLock(bg, f.Ino(), lock)
		if err != nil || granted || other.PID != 70 {
			t.Fatalf("%v %+v %v", granted, other, err)
		}
		got := make(chan string)
		go func() {
			if err := b.SetLock(bg, f.Ino(), lock, true); err != nil {
				t.Error(err)
			}
			p := make([]byte, 100)
			n, err := g.ReadAt(bg, p, 0)
			if err != nil {
				t.Error(err)
			}
			got <- string(p[:n])
		}()
		synctest.Wait()
		write(t, f, []byte("under the lock"), 0)
		if err := f.Flush(bg, 7); err != nil { // close(2) gives the locks back, after the bytes are committed
			t.Fatal(err)
		}
		if s := <-got; s != "under the lock" {
			t.Fatalf("%q", s)
		}
		ctx, cancel := context.WithCancel(bg)
		synctest.Wait()
		cancel()
		kindIs(t, a.SetLock(ctx, f.Ino(), lock, true), honeyant.Interrupted)
		if err := b.Unlock(bg, f.Ino(), lock); err != nil {
			t.Fatal(err)
		}
		flock := meta.FileLock{Kind: meta.LockFlock, Write: true, Owner: 9, End: 1<<63 - 1}
		if err := a.SetLock(bg, f.Ino(), flock, false); err != nil {
			t.Fatal(err)
		}
		if err := f.Release(bg, 9); err != nil {
			t.Fatal(err)
		}
		if err := b.SetLock(bg, g.Ino(), flock, false); err != nil {
			t.Fatal(err)
		}
		closeFile(t, g)
	})
}

// Who has taken a lock sees what was committed before, also if somebody else here was just reading.
func TestLockIsNotUndoneByALateAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s, v := openSlow(t)
		w := c.Open(t, nil)
		f := create(t, v, "f")
		write(t, f, []byte("old"), 0)
		if err := f.Fsync(bg, false); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		lock := meta.FileLock{Kind: meta.LockFlock, Write: true, Owner: 7, End: math.MaxInt64}
		s.after = func(op meta.Op) { // the answer is on its way: another node writes, and we take the lock
			if _, ok := op.(*meta.Extents); !ok {
				return
			}
			s.after = nil
			g := open(t, w, "f", readWrite)
			write(t, g, []byte("new"), 0)
			closeFile(t, g)
			time.Sleep(time.Millisecond)
			if err := v.SetLock(bg, f.Ino(), lock, false); err != nil {
				t.Error(err)
			}
		}
		readAll(t, f)
		time.Sleep(time.Millisecond)
		if got := readAll(t, f); string(got) != "new" {
			t.Errorf("under the lock: %q", got)
		}
		closeFile(t, f)
	})
}

// A lock that was waited for while the session was replaced is given back at close like any other.
func TestLockAcrossSessionsIsGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := volumetest.NewCluster(t, 2, 1<<30)
		first := c.NewSession(t)
		v, w := c.Open(t, func(o *volume.Options) { o.Meta = first }), c.Open(t, nil)
		f := create(t, v, "f")
		lock := meta.FileLock{Kind: meta.LockPosix, Write: true, Owner: 7, End: math.MaxInt64}
		g := open(t, w, "f", readWrite)
		if err := w.SetLock(bg, g.Ino(), lock, false); err != nil {
			t.Fatal(err)
		}
		got := make(chan error)
		go func() { got <- v.SetLock(bg, f.Ino(), lock, true) }()
		time.Sleep(time.Second)
		first.Kill(t)
		if err := v.Reset(bg, c.NewSession(t)); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Second)
		closeFile(t, g)
		if err := w.Unlock(bg, g.Ino(), lock); err != nil {
			t.Error(err)
		}
		if err := <-got; err != nil {
			t.Fatal(err)
		}
		_ = f.Flush(bg, 7) // tells that locks were lost, which is right
		_ = f.Release(bg, 0)
		if granted, _, err := w.GetLock(bg, f.Ino(), lock); err != nil || !granted {
			t.Errorf("still locked after close: %v", err)
		}
	})
}

// A signal that comes while the lock is being granted must not leave it with somebody who does not know.
func TestInterruptedLockIsNotLeftBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, s, v := openSlow(t)
		f := create(t, v, "f")
		lock := meta.FileLock{Kind: meta.LockPosix, Write: true, Owner: 7, End: math.MaxInt64}
		ctx, cancel := context.WithCancel(bg)
		s.after = func(op meta.Op) {
			if _, ok := op.(*meta.Lock); ok {
				cancel()
			}
		}
		err := v.SetLock(ctx, f.Ino(), lock, true)
		s.after = nil
		other := lock
		other.Owner = 8
		granted, _, e := v.GetLock(bg, f.Ino(), other)
		if e != nil || granted != (err != nil) {
			t.Errorf("told %v, but free for others: %v (%v)", err, granted, e)
		}
		closeFile(t, f)
	})
}

func TestAppendFromThreeVolumes(t *testing.T) {
	c := volumetest.NewCluster(t, 3, 1<<30)
	closeFile(t, create(t, c.Open(t, nil), "log"))
	var wg sync.WaitGroup
	const records, size = 40, 3000
	for i := range 3 {
		v := c.Open(t, nil)
		f := open(t, v, "log", volume.OpenFlags{Write: true, Append: true})
		wg.Go(func() {
			for range records {
				write(t, f, bytes.Repeat([]byte{byte('a' + i)}, size), 0)
			}
			closeFile(t, f)
		})
	}
	wg.Wait()
	f := open(t, c.Open(t, nil), "log", readWrite)
	all := readAll(t, f)
	count := map[byte]int{}
	for ; len(all) > 0; all = all[size:] {
		if !bytes.Equal(all[:size], bytes.Repeat(all[:1], size)) {
			t.Fatal("torn record")
		}
		count[all[0]]++
	}
	if count['a'] != records || count['b'] != records || count['c'] != records {
		t.Fatal(count)
	}
	closeFile(t, f)
}

func TestClosedVolume(t *testing.T) {
	c := volumetest.NewCluster(t, 1, 1<<30)
	v := c.Open(t, nil)
	f := create(t, v, "f")
	write(t, f, []byte("kept"), 0)
	if err := v.Close(bg); err != nil {
		t.Fatal(err)
	}
	if err := v.Close(bg); err != nil {
		t.Fatal(err)
	}
	if got := readAll(t, open(t, c.Open(t, nil), "f", readWrite)); string(got) != "kept" {
		t.Fatalf("%q", got)
	}
	write(t, f, []byte("late"), 0)
	kindIs(t, f.Fsync(bg, false), honeyant.Unavailable)
}
