package volume_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/volume"
	"github.com/honeyant/honeyant/volume/volumetest"
)

// settled is a colony of which a holds the directory d, with nothing to tell anybody, and b nothing.
func settled(t *testing.T) (c *volumetest.Cluster, a, b *volume.Volume, d honeyant.Ino) {
	t.Helper()
	c = volumetest.NewCluster(t, 3, 1<<30)
	a, _ = c.OpenLeased(t, nil)
	b, _ = c.OpenLeased(t, nil)
	d = mkdir(t, a, honeyant.RootIno, "d")
	save(t, a, d, "first", pattern(100, 1))
	time.Sleep(3 * time.Second) // fake, like all in here
	return c, a, b, d
}

// sees checks the bytes of a file.
func sees(t *testing.T, v *volume.Volume, dir honeyant.Ino, name string, want []byte) {
	t.Helper()
	if got := load(t, v, lookup(t, v, dir, name).Ino); !bytes.Equal(got, want) {
		t.Fatalf("%s: %d bytes, not the right %d", name, len(got), len(want))
	}
}

// Many small files that are sent together share chunks, and few goroutines carry them: with one for each they queued for the
// journal's lock, and the changes of programs behind them for milliseconds.
func TestManySmallFilesTravelTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, a, b, d := settled(t)
		let := make(chan struct{})
		wait := func(ctx context.Context, _ honeyant.ChunkID, _ int) error {
			select {
			case <-let:
			case <-ctx.Done():
			}
			return nil
		}
		c.Chunks.BeforeWrite.Store(&wait)
		before, stored := runtime.NumGoroutine(), c.Chunks.Writes.Load()
		const files = 600
		for n := range files {
			save(t, a, d, fmt.Sprint("f", n), pattern(4096, n))
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if more := runtime.NumGoroutine() - before; more > 30 {
			t.Errorf("%d goroutines for %d files on their way", more, files)
		}
		if flying := a.Stats().FlyingBytes; flying != files*4096 {
			t.Errorf("%d bytes on their way", flying)
		}
		close(let)
		time.Sleep(2 * time.Second)
		if chunks := c.Chunks.Writes.Load() - stored; chunks > 8 {
			t.Errorf("%d chunks for %d files", chunks, files)
		}
		for n := range files {
			sees(t, b, d, fmt.Sprint("f", n), pattern(4096, n))
		}
	})
}

// Closing a file that nobody else can see does not wait for bytes that happen to be on their way.
func TestCloseDoesNotWaitForAFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, a, b, d := settled(t)
		slow := func(context.Context, honeyant.ChunkID, int) error { time.Sleep(5 * time.Second); return nil }
		c.Chunks.BeforeWrite.Store(&slow)
		_, f, err := a.Create(bg, volume.NewNode{Parent: d, Name: "f", Mode: 0o644}, volume.OpenFlags{Write: true}, true)
		if err != nil {
			t.Fatal(err)
		}
		write(t, f, pattern(40<<10, 1), 0)
		time.Sleep(time.Second)
		if flying := a.Stats().FlyingBytes; flying != 40<<10 {
			t.Fatalf("%d bytes on their way", flying)
		}
		began := time.Now()
		if err := errors.Join(f.Flush(bg, 0), f.Release(bg, 0)); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took > time.Millisecond {
			t.Errorf("closing took %v", took)
		}
		sees(t, b, d, "f", pattern(40<<10, 1)) // waits for the bytes
	})
}

// A new file may be closed without Flush: others see each write, since what was written before they opened it is committed by the recall,
// and what is written after that before the write returns.
func TestClosedWithoutFlush(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, a, b, d := settled(t)
		_, f, err := a.Create(bg, volume.NewNode{Parent: d, Name: "f", Mode: 0o644}, volume.OpenFlags{Write: true}, true)
		if err != nil {
			t.Fatal(err)
		}
		if !f.WithoutFlush() {
			t.Fatal("a new file needs Flush")
		}
		want := pattern(9000, 1)
		write(t, f, want[:3000], 0)
		if a.Stats().DirtyBytes != 3000 {
			t.Error("a write was committed that nobody can see")
		}
		sees(t, b, d, "f", want[:3000])
		write(t, f, want[3000:], 3000)
		if dirty := a.Stats().DirtyBytes; dirty != 0 {
			t.Errorf("%d bytes are not committed, though no Flush will come", dirty)
		}
		sees(t, b, d, "f", want)
		fail := func(context.Context, honeyant.ChunkID, int) error { return errors.New("no") }
		c.Chunks.BeforeWrite.Store(&fail)
		if _, err := f.WriteAt(bg, pattern(9000, 2), 9000, volume.WriteFlags{}); err == nil {
			t.Error("the write did not tell that its bytes were lost")
		}
		c.Chunks.BeforeWrite.Store(nil)
		if err := f.Release(bg, 0); err != nil {
			t.Error(err)
		}
		sees(t, b, d, "f", want)

		g, err := a.Open(bg, lookup(t, a, d, "first").Ino, volume.OpenFlags{Write: true})
		if err != nil {
			t.Fatal(err)
		}
		defer g.Release(bg, 0)
		if g.WithoutFlush() {
			t.Error("a file that was there needs no Flush")
		}
	})
}

// Small files whose chunk finds no store are lost when time is up, those behind them as well, and each of their writers is told.
func TestSmallFilesGiveUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := volumetest.NewCluster(t, 3, 1<<30)
		const deadline = 20 * time.Second
		a, _ := c.OpenLeased(t, func(o *volume.Options) { o.Deadline = deadline })
		d := mkdir(t, a, honeyant.RootIno, "d")
		save(t, a, d, "first", pattern(100, 1))
		time.Sleep(3 * time.Second)
		hang := func(ctx context.Context, _ honeyant.ChunkID, _ int) error {
			<-ctx.Done()
			return ctx.Err()
		}
		c.Chunks.BeforeWrite.Store(&hang)
		const files = 40 // of 64 KiB: many packs, behind the two that are under way
		var all []*volume.File
		for n := range files {
			_, f, err := a.Create(bg, volume.NewNode{Parent: d, Name: fmt.Sprint("f", n), Mode: 0o644}, volume.OpenFlags{Write: true}, true)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Release(bg, 0)
			write(t, f, pattern(64<<10, n), 0)
			all = append(all, f)
		}
		time.Sleep(3 * deadline)
		if s := a.Stats(); s.FlyingBytes != 0 || s.DirtyBytes != 0 {
			t.Errorf("%d bytes are on their way still, %d to go", s.FlyingBytes, s.DirtyBytes)
		}
		c.Chunks.BeforeWrite.Store(nil)
		for n, f := range all {
			if err := f.Fsync(bg, false); err == nil {
				t.Errorf("the writer of f%d is not told", n)
			}
			if err := f.Fsync(bg, false); err != nil {
				t.Errorf("f%d is told twice: %v", n, err)
			}
		}
		save(t, a, d, "after", pattern(4096, 5))
	})
}

// Files that are made in turns in several directories are read directory by directory with few requests for few bytes more
// than they have, by who has little memory too; and by who has written them without any.
func TestPacksAreReadByDirectory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := volumetest.NewCluster(t, 3, 1<<30)
		little := func(o *volume.Options) { o.ReadMemory = 2 << 20 }
		a, _ := c.OpenLeased(t, nil)
		b, _ := c.OpenLeased(t, little)
		const dirs, files, size = 20, 60, 4096
		var parents [dirs]honeyant.Ino
		for d := range dirs {
			parents[d] = mkdir(t, a, honeyant.RootIno, fmt.Sprint("d", d))
		}
		for n := range files {
			for d := range dirs {
				save(t, a, parents[d], fmt.Sprintf("f%03d", n), pattern(size, d*files+n))
			}
		}
		time.Sleep(3 * time.Second)
		for _, who := range []struct {
			v            *volume.Volume
			reads, bytes int64
		}{
			{a, 0, 0},
			{b, dirs * files / 8, 2 * dirs * files * size},
		} {
			reads, bytesRead := c.Chunks.Reads.Load(), c.Chunks.ReadBytes.Load()
			for d := range dirs {
				dir := lookup(t, who.v, honeyant.RootIno, fmt.Sprint("d", d)).Ino
				for n := range files {
					time.Sleep(time.Millisecond)
					got := load(t, who.v, lookup(t, who.v, dir, fmt.Sprintf("f%03d", n)).Ino)
					if !bytes.Equal(got, pattern(size, d*files+n)) {
						t.Fatalf("d%d/f%03d is wrong", d, n)
					}
				}
				synctest.Wait()
			}
			reads, bytesRead = c.Chunks.Reads.Load()-reads, c.Chunks.ReadBytes.Load()-bytesRead
			t.Logf("%d reads of %d bytes", reads, bytesRead)
			if reads > who.reads || bytesRead > who.bytes {
				t.Errorf("%d reads, %d bytes, not %d and %d", reads, bytesRead, who.reads, who.bytes)
			}
		}
	})
}

// Files that others ask for right after they were made go to the stores together, not one after the other.
func TestRecalledFilesTravelTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, a, b, d := settled(t)
		slow := func(context.Context, honeyant.ChunkID, int) error { time.Sleep(20 * time.Millisecond); return nil }
		c.Chunks.BeforeWrite.Store(&slow)
		stored := c.Chunks.Writes.Load()
		const files = 100
		for n := range files {
			save(t, a, d, fmt.Sprint("f", n), pattern(20_000, n))
		}
		began := time.Now()
		for n := range files {
			sees(t, b, d, fmt.Sprint("f", n), pattern(20_000, n))
		}
		took, chunks := time.Since(began), c.Chunks.Writes.Load()-stored
		t.Logf("%v, %d chunks", took, chunks)
		if took > 500*time.Millisecond || chunks > 20 {
			t.Errorf("%d files took %v and %d chunks", files, took, chunks)
		}
	})
}

// Stores that refuse chunks now and then delay packs, and lose nothing of them.
func TestPacksOfUnwillingStores(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := volumetest.NewCluster(t, 3, 1<<30)
		a, _ := c.OpenLeased(t, nil)
		b, _ := c.OpenLeased(t, nil)
		d := mkdir(t, a, honeyant.RootIno, "d")
		var calls atomic.Int64
		unwilling := func(context.Context, honeyant.ChunkID, int) error {
			time.Sleep(time.Millisecond)
			if calls.Add(1)%3 == 0 {
				return honeyant.E("store", honeyant.Unavailable, "", nil)
			}
			return nil
		}
		c.Chunks.BeforeWrite.Store(&unwilling)
		const files = 300
		for n := range files {
			save(t, a, d, fmt.Sprint("f", n), pattern(1000+20*n, n))
			if n%40 == 0 {
				time.Sleep(300 * time.Millisecond)
			}
		}
		for n := range files {
			sees(t, b, d, fmt.Sprint("f", n), pattern(1000+20*n, n))
		}
		if err := a.Sync(bg); err != nil {
			t.Error(err)
		}
	})
}

// A volume that is closed while stores hang gives up in time, and tells what is lost.
func TestCloseWithHangingPacks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := volumetest.NewCluster(t, 3, 1<<30)
		a, _ := c.OpenLeased(t, nil)
		d := mkdir(t, a, honeyant.RootIno, "d")
		save(t, a, d, "first", pattern(100, 1))
		time.Sleep(3 * time.Second)
		hang := func(ctx context.Context, _ honeyant.ChunkID, _ int) error {
			<-ctx.Done()
			return ctx.Err()
		}
		c.Chunks.BeforeWrite.Store(&hang)
		for n := range 200 {
			save(t, a, d, fmt.Sprint("f", n), pattern(10_000, n))
		}
		ctx, cancel := context.WithTimeout(bg, 2*time.Second)
		defer cancel()
		began := time.Now()
		if err := a.Close(ctx); err == nil {
			t.Error("nothing is told")
		}
		if took := time.Since(began); took > 3*time.Second {
			t.Errorf("took %v", took)
		}
		if s := a.Stats(); s.FlyingBytes != 0 {
			t.Errorf("%d bytes are on their way still", s.FlyingBytes)
		}
	})
}

// Who reads small files waits for what is loaded around them no longer than its caller does.
func TestCompanyIsNotWaitedForTooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := volumetest.NewCluster(t, 3, 1<<30)
		a, _ := c.OpenLeased(t, func(o *volume.Options) { o.ReadMemory = 128 << 10 })
		d := mkdir(t, a, honeyant.RootIno, "d")
		const files = 60
		var inos []honeyant.Ino
		for n := range files {
			inos = append(inos, save(t, a, d, fmt.Sprint("f", n), pattern(4096, n)))
		}
		time.Sleep(5 * time.Second)
		var hung atomic.Int64
		hang := func(ctx context.Context, _ honeyant.ChunkRef, n int, _ uint32) error {
			if n <= 4096 {
				return nil
			}
			hung.Add(1)
			<-ctx.Done()
			return ctx.Err()
		}
		c.Chunks.BeforeRead.Store(&hang)
		for _, ino := range inos {
			f, err := a.Open(bg, ino, volume.OpenFlags{Read: true})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(bg, time.Second)
			began := time.Now()
			_, err = f.ReadAt(ctx, make([]byte, 4096), 0)
			if took := time.Since(began); took > 1100*time.Millisecond {
				t.Fatalf("a read that had a second took %v, and said %v", took, err)
			}
			cancel()
			if err := f.Release(bg, 0); err != nil {
				t.Fatal(err)
			}
		}
		if hung.Load() == 0 {
			t.Error("nothing was loaded around them")
		}
	})
}
