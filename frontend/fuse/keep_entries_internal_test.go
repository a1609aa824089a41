package fuse

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/volume"
)

// TestListingsOnTheirWay checks that a drop of a directory expires names once more when answers to listings of it, which the kernel
// takes for new whenever they arrive, have been taken in, or that can be counted on.
func TestListingsOnTheirWay(t *testing.T) {
	const dir, other = 1, 2
	for name, test := range map[string]struct {
		drop    []honeyant.Ino
		arrives time.Duration // after the drop; 0: it is not known when
		takes   time.Duration
		expires int
	}{
		"arrives":   {drop: []honeyant.Ino{dir}, arrives: 30 * time.Millisecond, takes: 30 * time.Millisecond, expires: 2},
		"of all":    {drop: nil, arrives: 30 * time.Millisecond, takes: 30 * time.Millisecond, expires: 2},
		"never":     {drop: []honeyant.Ino{dir}, takes: takenIn, expires: 2},
		"elsewhere": {drop: []honeyant.Ino{other}, expires: 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &fakeKernel{}
				k := newFake(f)
				k.name(other, k.begin(), good)
				l := listing{dir, 7}
				if d := k.entries(l, k.begin(), good); d != keptFor {
					t.Errorf("timeout %v, want %v", d, keptFor)
				}
				if test.arrives > 0 {
					time.AfterFunc(test.arrives, func() { k.arrived(l) })
				}
				start := time.Now()
				k.drop(t.Context(), test.drop, volume.ByOthers)
				if took := time.Since(start); took < test.takes || took > test.takes+2*takenRetry {
					t.Errorf("dropped after %v, want %v", took, test.takes)
				}
				if names, _ := f.told(); names != test.expires {
					t.Errorf("names expired %d times, want %d", names, test.expires)
				}
				if test.drop == nil || test.drop[0] == dir {
					return
				}
				k.arrived(l)
				k.drop(t.Context(), []honeyant.Ino{dir}, volume.ByOthers)
				if names, _ := f.told(); names != test.expires+1 {
					t.Error("what was on its way when others were expired is not expired")
				}
			})
		})
	}
}

// TestListingsAfterADrop checks that an answer that is made of what was known before a drop brings nothing, and that no more are
// given than can be kept in mind.
func TestListingsAfterADrop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeKernel{}
		k := newFake(f)
		since := k.begin()
		k.drop(t.Context(), []honeyant.Ino{1}, volume.ByOthers)
		if d := k.entries(listing{1, 7}, since, good); d != 0 || len(k.arriving) != 0 {
			t.Errorf("timeout %v, %d on their way, want none", d, len(k.arriving))
		}
		for fh := range uint64(listingsMost) {
			if d := k.entries(listing{2, fh}, k.begin(), good); d == 0 {
				t.Fatal("not given")
			}
		}
		if d := k.entries(listing{3, 0}, k.begin(), good); d != 0 {
			t.Error("given beyond what is kept in mind")
		}
		time.Sleep(takenIn + time.Millisecond)
		if d := k.entries(listing{3, 0}, k.begin(), good); d == 0 {
			t.Error("not given though all of them have been taken in")
		}
		start := time.Now()
		k.drop(t.Context(), []honeyant.Ino{2}, volume.ByOthers)
		if took := time.Since(start); took != 0 {
			t.Errorf("dropping what was answered long ago took %v", took)
		}
	})
}

// TestListingsAskedAgain checks when the kernel is made to ask for a listing that it keeps: when its names have run out, where
// names are looked up.
func TestListingsAskedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newFake(&fakeKernel{})
		k.searched(1)
		if !k.list(1, good) || k.stale(1) {
			t.Error("a listing that is not kept yet is not stale")
		}
		k.brought(1, time.Second)
		time.Sleep(2 * time.Second)
		if k.stale(1) {
			t.Error("stale though nobody looks names up")
		}
		k.searched(1)
		if !k.stale(1) {
			t.Error("not stale though names are looked up")
		}
		k.brought(1, time.Second)
		if k.stale(1) {
			t.Error("stale though its names are kept")
		}
		time.Sleep(2 * time.Second)
		if !k.list(1, good) || !k.stale(1) {
			t.Error("not stale though its names have run out")
		}
		k.drop(t.Context(), []honeyant.Ino{1}, volume.ByOthers)
		if k.stale(1) {
			t.Error("stale after it was dropped: it is asked for in any case")
		}
	})
}
