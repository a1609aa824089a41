package fuse

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/volume"
)

func TestStoresAreOfWholePagesThatNobodyWaitsFor(t *testing.T) {
	const page = 4096
	for _, c := range []struct {
		name             string
		off, size        int64
		skip, upto       int64
		want             [][2]int64
		drop, write, was bool
		open             bool
	}{
		{name: "in the middle", off: 0, size: 4 * page, skip: page, upto: 2 * page, want: [][2]int64{{0, page}, {2 * page, 4 * page}}},
		{name: "at the start", off: 2 * page, size: 2 * page, skip: 2 * page, upto: 2*page + 10, want: [][2]int64{{3 * page, 4 * page}}},
		{name: "parts of pages", off: 100, size: 3 * page, skip: 2*page + 1, upto: 2*page + 2, want: [][2]int64{{page, 2 * page}}},
		{name: "all is waited for", off: 0, size: 2 * page, skip: 0, upto: 2 * page},
		{name: "dropped meanwhile", off: 0, size: 4 * page, skip: page, upto: 2 * page, drop: true},
		{name: "opened meanwhile", off: 0, size: 4 * page, skip: page, upto: 2 * page, open: true},
		{name: "open for writing", off: 0, size: 4 * page, skip: page, upto: 2 * page, write: true},
		{name: "written meanwhile", off: 0, size: 4 * page, skip: page, upto: 2 * page, write: true, was: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &fakeKernel{}
				k := newFake(f)
				since := k.begin()
				if c.drop {
					k.drop(t.Context(), []honeyant.Ino{7}, volume.ByOthers)
				}
				if c.open {
					k.bar(7)
				}
				if c.write {
					k.writes(7)
				}
				if c.was {
					k.wrote(7)
				}
				k.store(7, since, c.off, make([]byte, c.size), c.skip, c.upto)
				if !slices.Equal(f.stored, c.want) {
					t.Errorf("stored %v, want %v", f.stored, c.want)
				}
				if may := k.mayStore(7, good); may != (!c.write || c.was) {
					t.Errorf("may store: %v", may)
				}
				if k.mayStore(7, func() time.Duration { return 0 }) {
					t.Error("may store without a lease")
				}
			})
		})
	}
}

// Who opens a file, writes it, or takes the lease away waits for pages that are on their way to the kernel. If that takes too long they
// are taken back when they are there.
func TestStoresAreWaitedFor(t *testing.T) {
	for name, wait := range map[string]func(*kept){
		"open":  func(k *kept) { k.bar(7) },
		"write": func(k *kept) { k.writes(7) },
		"drop":  func(k *kept) { k.drop(t.Context(), []honeyant.Ino{7}, volume.ByOthers) },
		"all":   func(k *kept) { k.drop(t.Context(), nil, volume.ByOthers) },
	} {
		for _, took := range []time.Duration{time.Second, time.Minute} {
			t.Run(name+" "+took.String(), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					f := &fakeKernel{hang: make(chan struct{})}
					k := newFake(f)
					since := k.begin()
					go k.store(7, since, 0, make([]byte, 8192), 0, 4096)
					synctest.Wait()
					k.awaitStores([]honeyant.Ino{8}) // others need not wait
					if !k.storing() {
						t.Error("the kernel's device may be closed while it is written to")
					}
					start := time.Now()
					time.AfterFunc(took, func() { close(f.hang) })
					wait(k)
					if waited, want := time.Since(start), min(took, tellDeadline); waited != want {
						t.Errorf("waited %v, want %v", waited, want)
					}
					time.Sleep(2 * time.Minute)
					synctest.Wait()
					if late := took > tellDeadline; late != slices.Equal(f.unstored, [][2]int64{{0, 8192}}) || !late && f.unstored != nil {
						t.Errorf("taken back: %v", f.unstored)
					}
					if k.storing() {
						t.Errorf("still under way: %v", k.under)
					}
				})
			})
		}
	}
}
