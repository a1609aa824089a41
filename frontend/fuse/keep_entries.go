package fuse

import (
	"maps"
	"time"

	"github.com/honeyant/honeyant"
)

// A listing can bring what the kernel would look up next (READDIRPLUS): names that stand for something, and attributes, with timeouts. Of
// these answers the kernel reads the epoch when it takes them in, not when it asks. So an answer that is on its way would outlive a drop: a
// drop of the directory expires names once more when the answer has been taken in. That is certain when the next request on
// the same open directory comes, since listing one takes turns, or it is released.

// listing is an open directory.
type listing struct {
	dir honeyant.Ino
	fh  uint64
}

// listingsMost bounds the answers that are on their way.
const listingsMost = 1024

// entries is name for all names of an answer to a listing, which must follow without waiting for anything.
func (k *kept) entries(l listing, since uint64, lease func() time.Duration) time.Duration {
	k.mu.Lock()
	if len(k.arriving) >= listingsMost {
		k.underway() // forgets those of long ago
	}
	if len(k.arriving) >= listingsMost {
		k.mu.Unlock()
		return 0
	}
	k.arriving[l] = time.Now()
	k.mu.Unlock()
	left := k.name(l.dir, since, lease)
	if left == 0 {
		k.arrived(l)
	}
	return left
}

// arrived is called when it is certain that the kernel has taken in the answers to a listing.
func (k *kept) arrived(l listing) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.arriving, l)
}

// underway lists directories of which answers may be on their way, and forgets what certainly has arrived. k.mu is held.
func (k *kept) underway() map[honeyant.Ino]bool {
	if len(k.arriving) == 0 {
		return nil
	}
	past := time.Now().Add(-takenIn)
	maps.DeleteFunc(k.arriving, func(_ listing, answered time.Time) bool { return answered.Before(past) })
	dirs := make(map[honeyant.Ino]bool, len(k.arriving))
	for l := range k.arriving {
		dirs[l.dir] = true
	}
	return dirs
}

// awaitListings returns when answers to listings of the directories that are on their way now have been taken in.
func (k *kept) awaitListings(dirs map[honeyant.Ino]bool) {
	for start := time.Now(); time.Since(start) < takenIn; time.Sleep(takenRetry) {
		k.mu.Lock()
		waiting := false
		for l, answered := range k.arriving {
			waiting = waiting || dirs[l.dir] && !answered.After(start)
		}
		k.mu.Unlock()
		if !waiting {
			return
		}
	}
}
