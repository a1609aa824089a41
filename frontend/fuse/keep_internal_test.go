package fuse

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/internal/mountinfo"
	"github.com/honeyant/honeyant/volume"
)

// fakeKernel notes what it is told; it hangs until hang is closed, and fails with err.
type fakeKernel struct {
	mu    sync.Mutex
	names int
	attrs []uint64
	lists []uint64

	stored, unstored [][2]int64
	hang             chan struct{}
	err              error
	unknown          []uint64 // inodes that it does not know
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

func (f *fakeKernel) expireAttrs(ino uint64) (bool, error) {
	f.mu.Lock()
	f.attrs = append(f.attrs, ino)
	known := !slices.Contains(f.unknown, ino)
	f.mu.Unlock()
	return known, f.wait()
}

func (f *fakeKernel) expireListing(ino uint64) error {
	f.mu.Lock()
	f.lists = append(f.lists, ino)
	f.mu.Unlock()
	return f.wait()
}

func (f *fakeKernel) storePages(ino uint64, off int64, data []byte) error {
	f.mu.Lock()
	f.stored = append(f.stored, [2]int64{off, off + int64(len(data))})
	f.mu.Unlock()
	return f.wait()
}

func (f *fakeKernel) expirePages(ino uint64, off, length int64) error {
	f.mu.Lock()
	f.unstored = append(f.unstored, [2]int64{off, off + length})
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
	k.namesOn.Store(true)
	k.attrsOn.Store(true)
	k.tellable.Store(true)
	k.epochs = true
	return k
}

func good() time.Duration { return time.Minute }

func TestKeptGives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeKernel{}
		k := newFake(f)
		since := k.begin()
		if d := k.name(1, since, good); d != keptFor {
			t.Errorf("timeout %v, want %v", d, keptFor)
		}
		if d := k.name(1, since, func() time.Duration { return keptLeast / 2 }); d != 0 {
			t.Errorf("timeout %v at the end of a lease", d)
		}
		k.attr(2, asker{since: since}, good)
		k.drop(t.Context(), []honeyant.Ino{3}, volume.ByOthers)
		if names, attrs := f.told(); names != 0 || attrs != 0 {
			t.Errorf("told %d and %d of what it does not keep", names, attrs)
		}
		k.drop(t.Context(), []honeyant.Ino{1}, volume.ByOthers)
		if names, attrs := f.told(); names != 1 || attrs != 0 {
			t.Errorf("told %d and %d, want names alone", names, attrs)
		}
		if d := k.name(1, since, good); d != 0 {
			t.Errorf("timeout %v for an answer from before it was dropped", d)
		}
		if d := k.name(1, k.begin(), good); d != 0 {
			t.Errorf("timeout %v though it has just changed", d)
		}
		time.Sleep(calmFor)
		if d := k.name(1, since, good); d != 0 {
			t.Errorf("timeout %v for a late answer from before it was dropped", d)
		}
		if d := k.name(1, k.begin(), good); d != keptFor {
			t.Errorf("timeout %v, want %v again", d, keptFor)
		}
		k.asked(9)
		k.drop(t.Context(), nil, volume.ByOthers)
		if names, attrs := f.told(); names != 2 || attrs != 2 {
			t.Errorf("told %d and %d, want all: 2 and 2", names, attrs)
		}
		k.attr(5, asker{since: k.begin()}, good)
		time.Sleep(keptFor + keptSlack + time.Second)
		k.prune()
		if n := len(k.attrs.of); n != 0 {
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
				k.name(1, k.begin(), good)
				var both sync.WaitGroup
				for range 2 { // the second one finds the table empty
					both.Go(func() {
						k.drop(t.Context(), []honeyant.Ino{1}, volume.ByOthers)
						if took := time.Since(start); took < keptFor {
							t.Errorf("dropped after %v, before the timeout of %v", took, keptFor)
						} else if took > keptFor+tellDeadline {
							t.Errorf("dropped after %v", took)
						}
					})
				}
				both.Wait()
				if d := k.name(7, k.begin(), good); d != 0 {
					t.Errorf("timeout %v by a kernel that can not be told", d)
				}
			})
		})
	}
}

// TestKeptOwnChanges checks that the kernel is told of its own changes only if the answer to another thread may be on its way.
func TestKeptOwnChanges(t *testing.T) {
	for _, c := range []struct {
		name    string
		givenTo []uint32
		changer uint32
		later   time.Duration
		told    int
	}{
		{"the same thread", []uint32{7}, 7, 0, 0},
		{"another thread", []uint32{8}, 7, 0, 1},
		{"two threads", []uint32{8, 7}, 7, 0, 1},
		{"unknown threads", []uint32{0}, 0, 0, 1},
		{"another thread, long ago", []uint32{8}, 7, takenIn, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &fakeKernel{}
				k := newFake(f)
				since := k.begin()
				k.name(1, since, good)
				for _, thread := range c.givenTo {
					if d := k.attr(1, asker{since, thread}, good); d != keptFor {
						t.Errorf("timeout %v, want %v", d, keptFor)
					}
				}
				time.Sleep(c.later)
				from := &call{thread: c.changer, fs: &FS{calls: map[*call]struct{}{}}}
				from.Begin(t.Context())
				k.drop(from, []honeyant.Ino{1}, volume.ByOwn)
				if names, attrs := f.told(); names != 0 || attrs != c.told {
					t.Errorf("told %d and %d, want 0 and %d", names, attrs, c.told)
				}
				if d := k.attr(1, asker{since, c.changer}, good); d != 0 {
					t.Errorf("timeout %v for attributes from before the change", d)
				}
				if d := k.attr(1, asker{k.begin(), c.changer}, good); d != keptFor {
					t.Errorf("timeout %v of attributes after the change, want %v", d, keptFor)
				}
				if d := k.name(1, since, good); d != keptFor {
					t.Errorf("timeout %v for a name, want %v", d, keptFor)
				}
			})
		})
	}
}

// TestKeptAnswerOnItsWay checks that an inode that the kernel does not know yet is asked for again until no answer can be
// on its way any more.
func TestKeptAnswerOnItsWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeKernel{unknown: []uint64{7, 8}}
		k := newFake(f)
		start := time.Now()
		k.attr(7, asker{since: k.begin()}, good)
		k.attr(8, asker{since: k.begin()}, good)
		time.AfterFunc(100*time.Millisecond, func() {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.unknown = nil
		})
		k.drop(t.Context(), []honeyant.Ino{7}, volume.ByOthers)
		if took := time.Since(start); took < 100*time.Millisecond || took > 100*time.Millisecond+2*takenRetry {
			t.Errorf("dropped after %v, want when the kernel had made the inode", took)
		}
		f.mu.Lock()
		f.unknown = []uint64{8}
		f.mu.Unlock()
		k.drop(t.Context(), []honeyant.Ino{8}, volume.ByOthers)
		if took := time.Since(start); took != takenIn {
			t.Errorf("dropped after %v, want %v: no answer can be on its way any more", took, takenIn)
		}
		k.attr(8, asker{since: k.begin()}, good)
		time.Sleep(calmFor)
		start = time.Now()
		k.drop(t.Context(), []honeyant.Ino{8}, volume.ByOthers)
		if took := time.Since(start); took != 0 {
			t.Errorf("dropping what was given long ago took %v", took)
		}
	})
}

// TestKeptBelowMounts checks that names run out, and are not expired, while something is mounted below.
func TestKeptBelowMounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeKernel{}
		k := newFake(f)
		below := true
		k.below = func() bool { return below }
		start := time.Now()
		k.name(1, k.begin(), good)
		k.drop(t.Context(), []honeyant.Ino{1}, volume.ByOthers)
		if names, _ := f.told(); names != 0 {
			t.Error("names were expired")
		}
		if took := time.Since(start); took != keptFor {
			t.Errorf("dropped after %v, want %v", took, keptFor)
		}
		if d := k.name(2, k.begin(), good); d != 0 {
			t.Errorf("timeout %v while something is mounted below", d)
		}
		if d := k.attr(2, asker{since: k.begin()}, good); d != keptFor {
			t.Errorf("timeout %v of attributes, want %v", d, keptFor)
		}
		below = false
		k.look()
		if d := k.name(2, k.begin(), good); d != keptFor {
			t.Errorf("timeout %v when nothing is mounted below any more", d)
		}
	})
}

// TestCoversPartOf reads mountinfo of a mount in a mount, beside it, and of a bind mount of a part elsewhere.
func TestCoversPartOf(t *testing.T) {
	const root = "22 1 254:0 / / rw - ext4 /dev/vda rw\n30 22 0:51 / /mnt/colony rw - fuse.honeyant honeyant rw\n"
	for _, c := range []struct {
		more string
		want bool
	}{
		{"", false},
		{"31 22 0:52 / /mnt/other rw - tmpfs none rw\n", false},
		{"31 30 0:52 / /mnt/colony/a/b rw - tmpfs none rw\n", true},
		{"31 22 0:51 /a /srv rw - fuse.honeyant honeyant rw\n", false},
		{"31 22 0:51 /a /srv rw - fuse.honeyant honeyant rw\n32 31 0:52 / /srv/b rw - tmpfs none rw\n", true},
	} {
		if got := coversPartOf(mountinfo.Parse(root+c.more), 51); got != c.want {
			t.Errorf("%q: %v, want %v", c.more, got, c.want)
		}
	}
	if coversPartOf(mountinfo.Parse(root), 52) {
		t.Error("a device that is not there is covered")
	}
}

// What the volume lets go of for room may be kept again at once; what others want may not for a moment.
func TestRoomIsNotCalm(t *testing.T) {
	for _, why := range []volume.Cause{volume.ForRoom, volume.ByOthers} {
		k := newKept(time.Hour)
		k.kernel, k.epochs = &fakeKernel{}, true
		k.namesOn.Store(true)
		k.attrsOn.Store(true)
		lease := func() time.Duration { return time.Second }
		if k.name(7, k.begin(), lease) == 0 {
			t.Fatal("nothing is kept")
		}
		k.drop(t.Context(), []honeyant.Ino{7}, why)
		if again := k.name(7, k.begin(), lease) > 0; again != (why == volume.ForRoom) {
			t.Errorf("cause %d: kept again %v", why, again)
		}
	}
}
