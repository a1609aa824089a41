package volume_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/meta"
	"github.com/honeyant/honeyant/volume"
	"github.com/honeyant/honeyant/volume/volumetest"
)

// What was said of a file with bytes that are not committed stays true when they are, or its keeper is told: of its size, its
// times, its blocks, and of setuid, whatever is written, cut and set between.
func TestAttrsAreKeptOverCommits(t *testing.T) {
	for seed := range uint64(40) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { keepAttrs(t, rand.New(rand.NewPCG(seed, 1))) })
		})
	}
}

func keepAttrs(t *testing.T, rng *rand.Rand) {
	c := volumetest.NewCluster(t, 1, 1<<30)
	v, _ := c.OpenLeased(t, nil)
	other, _ := c.OpenLeased(t, nil)
	var mu sync.Mutex // guards ino and told
	var ino honeyant.Ino
	told := false
	through, stop := v.Keep(func(_ context.Context, inos []honeyant.Ino, why volume.Cause) { // of own changes it may think that it knows
		mu.Lock()
		defer mu.Unlock()
		told = told || why != volume.ByOwn && (inos == nil || slices.Contains(inos, ino))
	})
	defer stop()
	ctx := through(bg)
	d := mkdir(t, v, honeyant.RootIno, "d")
	made, f, err := v.Create(ctx, volume.NewNode{Parent: d, Name: "f", Mode: 0o6755}, readWrite, true)
	if err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	ino = made.Ino
	mu.Unlock()
	var kept honeyant.Attr
	var while int // leases on attributes of bytes that were not committed
	keep := func() {
		a, err := v.GetAttr(ctx, ino)
		if err != nil {
			t.Fatal(err)
		}
		mu.Lock()
		told = false
		mu.Unlock()
		if left := v.AttrLease(&a); left <= 0 {
			kept = honeyant.Attr{}
			return
		}
		kept = a
		if v.Stats().DirtyBytes > 0 {
			while++
		}
	}
	check := func(after string) {
		t.Helper()
		synctest.Wait() // who commits tells after that
		mu.Lock()
		good := kept.Ino != 0 && !told
		mu.Unlock()
		if !good {
			return
		}
		a, err := v.GetAttr(ctx, ino)
		if err != nil {
			t.Fatal(err)
		}
		if a.Version = kept.Version; a != kept {
			t.Fatalf("%s: the attributes are\n%+v\nand nobody was told that they are not\n%+v", after, a, kept)
		}
	}
	for range 60 {
		for range 1 + rng.IntN(3) { // calls of the keeper's own user, which it knows of
			switch rng.IntN(6) {
			default:
				if _, err := f.WriteAt(ctx, pattern(1+rng.IntN(9000), 1), int64(rng.IntN(20000)), volume.WriteFlags{KillPriv: rng.IntN(3) == 0}); err != nil {
					t.Fatal(err)
				}
			case 0:
				if _, err := v.SetAttr(ctx, &meta.SetAttr{Ino: ino, Valid: meta.SetMode, Mode: 0o6755}); err != nil {
					t.Fatal(err)
				}
			case 1:
				if _, err := v.SetAttr(ctx, &meta.SetAttr{Ino: ino, Valid: meta.SetMtime, Mtime: honeyant.TimeOf(time.Unix(int64(rng.IntN(1e9)), 0))}); err != nil {
					t.Fatal(err)
				}
			case 2:
				if _, err := v.SetAttr(ctx, &meta.SetAttr{Ino: ino, Valid: meta.SetSize, Size: uint64(rng.IntN(20000))}); err != nil {
					t.Fatal(err)
				}
			}
			if rng.IntN(3) == 0 {
				time.Sleep(time.Duration(rng.IntN(300)) * time.Millisecond)
			}
		}
		keep()
		switch rng.IntN(4) {
		case 0:
			time.Sleep(time.Duration(rng.IntN(1500)) * time.Millisecond)
			check("a while")
		case 1:
			if err := f.Fsync(ctx, false); err != nil {
				t.Fatal(err)
			}
			check("fsync")
		case 2: // recalls it
			at, err := other.Lookup(bg, honeyant.RootIno, "d")
			if err == nil {
				at, err = other.Lookup(bg, at.Ino, "f")
			}
			if err != nil || at.Ino != ino {
				t.Fatal(at, err)
			}
			check("being asked for")
		case 3:
			time.Sleep(10 * time.Millisecond)
			check("a moment")
		}
	}
	closeFile(t, f)
	if while == 0 {
		t.Fatal("no attributes of bytes that were not committed were kept")
	}
}

// Who was told of size and times with bytes that are lost then is told that they are not so.
func TestLostBytesAreToldOf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := volumetest.NewCluster(t, 1, 1<<30)
		v, _ := c.OpenLeased(t, nil)
		var mu sync.Mutex // guards told
		told := map[honeyant.Ino]bool{}
		through, stop := v.Keep(func(_ context.Context, inos []honeyant.Ino, why volume.Cause) {
			mu.Lock()
			defer mu.Unlock()
			for _, ino := range inos {
				told[ino] = told[ino] || why != volume.ByOwn
			}
		})
		defer stop()
		ctx := through(bg)
		d := mkdir(t, v, honeyant.RootIno, "d")
		made, f, err := v.Create(ctx, volume.NewNode{Parent: d, Name: "f", Mode: 0o644}, readWrite, true)
		if err != nil {
			t.Fatal(err)
		}
		c.Chunks.Fail(1, true)
		if _, err := f.WriteAt(ctx, pattern(9000, 1), 0, volume.WriteFlags{}); err != nil {
			t.Fatal(err)
		}
		a, err := v.GetAttr(ctx, made.Ino)
		if err != nil || a.Size != 9000 || v.AttrLease(&a) <= 0 {
			t.Fatal(a, err, v.AttrLease(&a))
		}
		mu.Lock()
		clear(told)
		mu.Unlock()
		if err := f.Fsync(ctx, false); err == nil {
			t.Fatal("no store takes anything, and fsync says that all is well")
		}
		synctest.Wait()
		if a, err := v.GetAttr(ctx, made.Ino); err != nil || a.Size != 0 {
			t.Fatal(a, err)
		}
		mu.Lock()
		defer mu.Unlock()
		if !told[made.Ino] {
			t.Error("the size was told as 9,000, is 0, and nobody was told")
		}
	})
}
