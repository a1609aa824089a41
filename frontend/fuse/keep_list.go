package fuse

import (
	"context"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/volume"
)

// The kernel can keep a directory's listing (FOPEN_CACHE_DIR). Each time it lists the directory from the start it looks whether the time
// of the last change, mtime, is still the same, for which it may have to ask. That is not enough where somebody else has changed the directory
// and set its mtime back, as cp -a and tar do. So a listing is kept under the lease on the directory, and taken back with it.

// list tells whether the kernel may keep a directory's listing; lease tells how long it is good.
func (k *kept) list(dir honeyant.Ino, lease func() time.Duration) bool {
	if !k.attrsOn.Load() || lease() < keptLeast {
		return false
	}
	k.mu.Lock()
	if len(k.lists) >= keptMost {
		k.mu.Unlock()
		k.drop(context.Background(), nil, volume.ByOthers)
		k.mu.Lock()
	}
	if k.lists[dir] == nil {
		k.lists[dir] = &keptList{}
	}
	k.mu.Unlock()
	return lease() >= keptLeast // else it was dropped before it was noted
}

// keptList is what is known of a directory whose listing the kernel may keep.
type keptList struct {
	searched bool      // names were looked up in it meanwhile
	names    time.Time // until when it keeps those that came with the listing
}

// searched notes that a name was looked up that stands for something.
func (k *kept) searched(dir honeyant.Ino) {
	if !k.namesOn.Load() {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if l := k.lists[dir]; l != nil {
		l.searched = true
	}
}

// brought notes for how long the kernel keeps names that a listing has brought.
func (k *kept) brought(dir honeyant.Ino, left time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if l := k.lists[dir]; l != nil {
		l.names = time.Now().Add(left)
	}
}

// stale tells whether a listing is better asked for again, since it brings names that would be looked up one by one.
func (k *kept) stale(dir honeyant.Ino) bool {
	if !k.namesOn.Load() {
		return false
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	l := k.lists[dir]
	return l != nil && l.searched && time.Now().After(l.names)
}

// relist is for each answer to a listing that the kernel keeps.
func (k *kept) relist(dir honeyant.Ino, lease func() time.Duration) {
	if !k.list(dir, lease) {
		k.forgetListingLater(dir)
	}
}

// forgetListings makes the kernel forget listings: now, and again when answers that are on their way have been taken in.
func (k *kept) forgetListings(dirs []honeyant.Ino) bool {
	ok := true
	for _, dir := range dirs {
		k.invalidations.Add(1)
		ok = k.expireListing(uint64(dir)) == nil && ok
		k.forgetListingLater(dir)
	}
	return ok
}

func (k *kept) forgetListingLater(dir honeyant.Ino) {
	time.AfterFunc(takenIn, func() {
		if err := k.expireListing(uint64(dir)); err != nil {
			k.off()
		}
	})
}
