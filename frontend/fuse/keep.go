package fuse

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/honeyant/honeyant"
)

// kept knows what the kernel may answer without asking: names below a directory, and attributes, as long as the
// volume vouches for them, and takes that back.
//
// A request that begins at a moment (begin) may be answered with a timeout only if nothing that it speaks of was
// dropped since; the check and the entry in the table are one step. A drop first marks what it drops, then looks at the
// table, then makes the kernel forget. So whatever the kernel is told later was either entered before the drop looked, and
// the kernel throws it away when it arrives (F8), or is answered without a timeout, or was asked after the drop.
type kept struct {
	on    atomic.Bool
	quiet time.Duration
	tells chan struct{} // a turn: drops talk to the kernel one after the other
	kernel

	mu      sync.Mutex // guards what follows
	gen     uint64
	dropped [keptSlots]uint64
	calm    [keptSlots]time.Time       // until then no timeouts, since it changes
	names   map[honeyant.Ino]time.Time // directories with names that the kernel may use until then
	attrs   map[honeyant.Ino]time.Time // inodes with attributes, likewise
	acls    map[honeyant.Ino]struct{}  // inodes with ACLs, which the kernel keeps without a timeout
	last    time.Time                  // the latest of all these times

	expiries, invalidations, given atomic.Uint64
}

// kernel is what a transport can tell the kernel. Each call returns when it is done, and may hang with the kernel.
type kernel interface {
	// expireNames makes the kernel ask for every name again, those included whose answers are on their way.
	expireNames() error
	// expireAttrs makes it ask for an inode's attributes again, likewise; an inode that it does not know is no error.
	expireAttrs(ino uint64) error
}

const (
	keptSlots = 1024
	keptMost  = 16 << 10 // of each table
	// keptFor is the longest timeout, keptLeast the shortest that is worth while.
	keptFor   = time.Second
	keptLeast = 20 * time.Millisecond
	// keptSlack is how long after its timeout an answer is still in the table: the kernel counts from when the
	// program that asked has taken the answer in.
	keptSlack = 5 * time.Second
	// calmFor is Options.Calm unless it says otherwise.
	calmFor = 500 * time.Millisecond
	// tellDeadline is how long the kernel may take; after that nothing is given any more.
	tellDeadline = time.Second
)

func newKept(calm time.Duration) *kept {
	return &kept{
		quiet: calm,
		tells: make(chan struct{}, 1), names: map[honeyant.Ino]time.Time{}, attrs: map[honeyant.Ino]time.Time{},
		acls: map[honeyant.Ino]struct{}{},
	}
}

func keptSlot(ino honeyant.Ino) uint64 { return uint64(ino) * 0x9e3779b97f4a7c15 >> 54 }

// begin is to be called when a request begins.
func (k *kept) begin() uint64 {
	if !k.on.Load() {
		return 0
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.gen
}

// give tells how long the kernel may use an answer about ino to a request that began at since, 0: not at all; lease
// tells how long the answer is good.
func (k *kept) give(table map[honeyant.Ino]time.Time, ino honeyant.Ino, since uint64, lease func() time.Duration) time.Duration {
	if !k.on.Load() {
		return 0
	}
	now := time.Now()
	left := min(lease(), keptFor)
	if left < keptLeast {
		return 0
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	slot := keptSlot(ino)
	if !k.on.Load() || k.dropped[slot] > since || now.Before(k.calm[slot]) {
		return 0
	}
	until, had := table[ino]
	if !had && len(table) >= keptMost {
		return 0
	}
	end := now.Add(left)
	if end.After(until) {
		table[ino] = end
	}
	if end.After(k.last) {
		k.last = end
	}
	k.given.Add(1)
	return left
}

// asked notes that the kernel is about to learn an ACL. It keeps that until it looks the name up again or is told, so this
// is called before the ACL is read.
func (k *kept) asked(ino honeyant.Ino) {
	if !k.on.Load() {
		return
	}
	k.mu.Lock()
	if len(k.acls) >= keptMost {
		k.mu.Unlock()
		k.drop(nil)
		k.mu.Lock()
	}
	k.acls[ino] = struct{}{}
	k.mu.Unlock()
}

// changing keeps what has just been made from being given for a while: more will follow.
func (k *kept) changing(ino honeyant.Ino) {
	if !k.on.Load() {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.calm[keptSlot(ino)] = time.Now().Add(k.quiet)
}

// drop returns when the kernel does not use what it was told of the inodes; nil: of any.
func (k *kept) drop(inos []honeyant.Ino) {
	if !k.on.Load() {
		k.outlast()
		return
	}
	if !k.mark(inos) {
		k.settle() // somebody else may be telling the kernel just now
		return
	}
	deadline := time.NewTimer(tellDeadline)
	defer deadline.Stop()
	select {
	case k.tells <- struct{}{}:
	case <-deadline.C:
		k.giveUp()
		return
	}
	done := make(chan bool, 1) // 1: it may end when nobody waits any more
	go func() {                // a kernel that hangs must not hang the caller, see tellDeadline
		ok := k.expire(inos)
		if !ok {
			k.on.Store(false) // before others, who find nothing in the tables any more, go on
		}
		<-k.tells
		done <- ok
	}()
	select {
	case ok := <-done:
		if !ok {
			k.giveUp()
		}
	case <-deadline.C:
		k.giveUp()
	}
}

// mark keeps answers that are on their way from being given a timeout, and tells whether the kernel may use any.
func (k *kept) mark(inos []honeyant.Ino) (any bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.gen++
	if inos == nil {
		for i := range k.dropped {
			k.dropped[i] = k.gen
		}
		return len(k.names)+len(k.attrs)+len(k.acls) > 0
	}
	calm := time.Now().Add(k.quiet)
	for _, ino := range inos {
		slot := keptSlot(ino)
		k.dropped[slot], k.calm[slot] = k.gen, calm
		_, name := k.names[ino]
		_, attr := k.attrs[ino]
		_, acl := k.acls[ino]
		any = any || name || attr || acl
	}
	return any
}

// settle waits until nobody is telling the kernel anything.
func (k *kept) settle() {
	deadline := time.NewTimer(tellDeadline)
	defer deadline.Stop()
	select {
	case k.tells <- struct{}{}:
		<-k.tells
		if !k.on.Load() {
			k.outlast()
		}
	case <-deadline.C:
		k.giveUp()
	}
}

// expire tells the kernel. What was given from now on stays in the tables.
func (k *kept) expire(inos []honeyant.Ino) bool {
	k.mu.Lock()
	var attrs []honeyant.Ino
	names := inos == nil && len(k.names) > 0
	if inos == nil {
		for ino := range k.attrs {
			attrs = append(attrs, ino)
		}
		for ino := range k.acls {
			if _, ok := k.attrs[ino]; !ok {
				attrs = append(attrs, ino)
			}
		}
	}
	for _, ino := range inos {
		_, attr := k.attrs[ino]
		_, acl := k.acls[ino]
		if attr || acl {
			attrs = append(attrs, ino)
		}
		if _, ok := k.names[ino]; ok {
			names = true
		}
	}
	for _, ino := range attrs {
		delete(k.attrs, ino)
		delete(k.acls, ino)
	}
	if names {
		clear(k.names)
	}
	k.mu.Unlock()
	ok := true
	if names {
		k.expiries.Add(1)
		ok = k.expireNames() == nil
	}
	for _, ino := range attrs {
		k.invalidations.Add(1)
		ok = k.expireAttrs(uint64(ino)) == nil && ok
	}
	return ok
}

// giveUp gives nothing any more and waits until all that was given has run out.
func (k *kept) giveUp() {
	k.on.Store(false)
	k.outlast()
}

// outlast waits until all that was given has run out, once nothing is given any more.
func (k *kept) outlast() {
	k.mu.Lock()
	left := time.Until(k.last)
	k.mu.Unlock()
	if left > 0 {
		time.Sleep(left) // at most keptFor
	}
}

// prune forgets what has run out long ago.
func (k *kept) prune() {
	k.mu.Lock()
	defer k.mu.Unlock()
	past := time.Now().Add(-keptSlack)
	for _, table := range []map[honeyant.Ino]time.Time{k.names, k.attrs} {
		for ino, end := range table {
			if end.Before(past) {
				delete(table, ino)
			}
		}
	}
}

// KeptStats tell what the kernel was let keep.
type KeptStats struct {
	On            bool
	Given         uint64 // answers with a timeout
	Expiries      uint64 // times that all names were expired
	Invalidations uint64 // inodes whose attributes were
}

// Kept tells about it.
func (fs *FS) Kept() KeptStats {
	k := fs.kept
	return KeptStats{On: k.on.Load(), Given: k.given.Load(), Expiries: k.expiries.Load(), Invalidations: k.invalidations.Load()}
}
