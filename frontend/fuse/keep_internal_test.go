package fuse

import (
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/honeyant/honeyant"
)

// fakeKernel notes what it is told; it hangs until hang is closed, and fails with err.
type fakeKernel struct {
	mu    sync.Mutex
	names int
	attrs []uint64
	hang  chan struct{}
	err   error
}

func (f *fakeKernel) wait() error {
	if f.hang != nil {
		<-f.hang
	}
	return f.err
}

func (f *fakeKernel) expireNames() error {
	f.mu.Lock()
	f.names++
	f.mu.Unlock()
	return f.wait()
}

func (f *fakeKernel) expireAttrs(ino uint64) error {
	f.mu.Lock()
	f.attrs = append(f.attrs, ino)
	f.mu.Unlock()
	return f.wait()
}

func (f *fakeKernel) told() (names, attrs int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.names, len(f.attrs)
}

func newFake(f *fakeKernel) *kept {
	k := newKept(calmFor)
	k.kernel = f
	k.on.Store(true)
	return k
}

func good() time.Duration { return time.Minute }

func TestKeptGives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeKernel{}
		k := newFake(f)
		since := k.begin()
		if d := k.give(k.names, 1, since, good); d != keptFor {
			t.Errorf("timeout %v, want %v", d, keptFor)
		}
		if d := k.give(k.names, 1, since, func() time.Duration { return keptLeast / 2 }); d != 0 {
			t.Errorf("timeout %v at the end of a lease", d)
		}
		k.give(k.attrs, 2, since, good)
		k.drop([]honeyant.Ino{3})
		if names, attrs := f.told(); names != 0 || attrs != 0 {
			t.Errorf("told %d and %d of what it does not keep", names, attrs)
		}
		k.drop([]honeyant.Ino{1})
		if names, attrs := f.told(); names != 1 || attrs != 0 {
			t.Errorf("told %d and %d, want names alone", names, attrs)
		}
		if d := k.give(k.names, 1, since, good); d != 0 {
			t.Errorf("timeout %v for an answer from before it was dropped", d)
		}
		if d := k.give(k.names, 1, k.begin(), good); d != 0 {
			t.Errorf("timeout %v though it has just changed", d)
		}
		time.Sleep(calmFor)
		if d := k.give(k.names, 1, since, good); d != 0 {
			t.Errorf("timeout %v for a late answer from before it was dropped", d)
		}
		if d := k.give(k.names, 1, k.begin(), good); d != keptFor {
			t.Errorf("timeout %v, want %v again", d, keptFor)
		}
		k.asked(9)
		k.drop(nil)
		if names, attrs := f.told(); names != 2 || attrs != 2 {
			t.Errorf("told %d and %d, want all: 2 and 2", names, attrs)
		}
		k.give(k.attrs, 5, k.begin(), good)
		time.Sleep(keptFor + keptSlack + time.Second)
		k.prune()
		if n := len(k.attrs); n != 0 {
			t.Errorf("%d of what ran out long ago", n)
		}
	})
}

// TestKeptWithoutTheKernelsHelp checks that a drop then lasts until the timeouts have run out, and nothing is given any more.
func TestKeptWithoutTheKernelsHelp(t *testing.T) {
	for name, f := range map[string]*fakeKernel{"hangs": {}, "fails": {err: errors.New("no")}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				if name == "hangs" {
					f.hang = make(chan struct{})
					defer close(f.hang)
				}
				k := newFake(f)
				start := time.Now()
				k.give(k.names, 1, k.begin(), good)
				var both sync.WaitGroup
				for range 2 { // the second one finds the table empty
					both.Go(func() {
						k.drop([]honeyant.Ino{1})
						if took := time.Since(start); took < keptFor {
							t.Errorf("dropped after %v, before the timeout of %v", took, keptFor)
						} else if took > keptFor+tellDeadline {
							t.Errorf("dropped after %v", took)
						}
					})
				}
				both.Wait()
				if d := k.give(k.names, 7, k.begin(), good); d != 0 {
					t.Errorf("timeout %v by a kernel that can not be told", d)
				}
			})
		})
	}
}
