package fuse

import (
	"os"
	"time"

	"github.com/honeyant/honeyant"
)

// A program that reads 4 KiB here and there asks for 4 KiB at a time, but what comes over the network is the frame they lie in, which is
// checked as a whole. The rest of the frame is put into the kernel's pages (FUSE_NOTIFY_STORE), so that the next read that
// falls into it asks for nothing.
//
// The kernel overwrites with that whatever it has, so it must never come late. What is put there was read after the lease on the
// file was seen to be held, and since then nothing of the file was dropped (kept), nobody has opened it, and nobody has it open for
// writing, or cuts it; and those who do wait until what is on its way is there.

const (
	storesMost  = 8                  // that are under way
	storeBytes  = honeyant.FrameSize // of each
	storedReads = 16 << 10           // the largest reads that bring the rest of a frame along
)

// stores are the pages on their way to the kernel.
type stores struct {
	under   map[honeyant.Ino]int // under way
	writers map[honeyant.Ino]int // files open for writing, and changes of a file's size under way: nothing is stored
	ended   chan struct{}        // closed when one ends; nil: nobody waits
	barred  [keptSlots]uint64    // generation; nothing is stored that was asked for before
	late    uint64               // times that somebody has waited for too long
	free    chan []byte          // buffers
	made    int                  // of these
}

// buffer is room for a frame; nil if too much is under way.
func (k *kept) buffer() []byte {
	select {
	case b := <-k.free:
		return b
	default:
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.made == storesMost {
		return nil
	}
	k.made++
	return make([]byte, storeBytes)
}

// mayStore tells whether it is worth while to read more than was asked for.
func (k *kept) mayStore(ino honeyant.Ino, lease func() time.Duration) bool {
	if !k.attrsOn.Load() {
		return false
	}
	k.mu.Lock()
	written := k.writers[ino] > 0
	k.mu.Unlock()
	return !written && lease() >= keptLeast
}

// store puts what was read of a file by a request that began at since, data from off on, into the kernel's pages, but for those from skip
// to upto, for which a program waits. It returns when that is done, or was not to be done.
func (k *kept) store(ino honeyant.Ino, since uint64, off int64, data []byte, skip, upto int64) {
	k.mu.Lock()
	if !k.attrsOn.Load() || max(k.attrs.dropped[keptSlot(ino)], k.barred[keptSlot(ino)]) > since || k.writers[ino] > 0 {
		k.mu.Unlock()
		return
	}
	k.under[ino]++
	late := k.late
	k.mu.Unlock()
	page := int64(os.Getpagesize())
	part := func(from, to int64) {
		if from, to = (from+page-1)/page*page, to/page*page; from < to {
			_ = k.storePages(uint64(ino), from, data[from-off:to-off]) // what is not there is asked for
		}
	}
	part(off, skip)
	part((upto+page-1)/page*page, off+int64(len(data)))
	k.mu.Lock()
	late = k.late - late
	k.mu.Unlock()
	if late > 0 {
		_ = k.expirePages(uint64(ino), off, int64(len(data)))
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.under[ino]--; k.under[ino] == 0 {
		delete(k.under, ino)
	}
	if k.ended != nil {
		close(k.ended)
		k.ended = nil
	}
}

// awaitStores returns when nothing of the inodes, nil: of any, is on its way. If the kernel takes too long, what is on its way is taken
// back when it is there.
func (k *kept) awaitStores(inos []honeyant.Ino) {
	var deadline *time.Timer
	for {
		k.mu.Lock()
		any := inos == nil && len(k.under) > 0
		for _, ino := range inos {
			any = any || k.under[ino] > 0
		}
		if !any {
			k.mu.Unlock()
			return
		}
		if k.ended == nil {
			k.ended = make(chan struct{})
		}
		ended := k.ended
		k.mu.Unlock()
		if deadline == nil {
			deadline = time.NewTimer(tellDeadline)
			defer deadline.Stop()
		}
		select {
		case <-ended:
		case <-deadline.C:
			k.mu.Lock()
			k.late++
			k.mu.Unlock()
			return
		}
	}
}

// storing tells whether anything is on its way.
func (k *kept) storing() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.under) > 0
}

// writes is for who opens a file for writing, or is about to change its size: until wrote nothing is stored.
func (k *kept) writes(ino honeyant.Ino) {
	k.mu.Lock()
	k.writers[ino]++
	k.mu.Unlock()
	k.bar(ino)
}

// bar makes sure that nothing is stored any more of what was asked for before. An open may find a newer state than a read that is under
// way, and tell the kernel to drop its pages.
func (k *kept) bar(ino honeyant.Ino) {
	k.mu.Lock()
	k.gen++
	k.barred[keptSlot(ino)] = k.gen
	k.mu.Unlock()
	k.awaitStores([]honeyant.Ino{ino})
}

func (k *kept) wrote(ino honeyant.Ino) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.writers[ino]--; k.writers[ino] <= 0 {
		delete(k.writers, ino)
	}
}
