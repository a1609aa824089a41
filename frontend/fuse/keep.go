package fuse

import (
	"context"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/internal/spin"
	"github.com/honeyant/honeyant/volume"
)

// kept knows what the kernel may answer without asking: names below a directory, and attributes, as long as the
// volume vouches for them, and takes that back.
//
// A request that begins at a moment (begin) may be answered with a timeout only if nothing that it speaks of was
// dropped since; the check and the entry in the table are one step. A drop first marks what it drops, then looks at the
// table, then makes the kernel forget. So whatever the kernel is told later was either entered before the drop looked, and
// the kernel throws it away when it arrives (F8), or is answered without a timeout, or was asked after the drop.
type kept struct {
	quiet time.Duration
	tells chan struct{} // a turn: drops talk to the kernel one after the other
	kernel
	epochs bool        // names can be expired at all
	below  func() bool // tells whether anything is mounted below, which expiring names would take off

	namesOn, attrsOn atomic.Bool
	tellable         atomic.Bool // kernel is there; it stays when nothing is given any more

	mu    spin.Mutex // guards what follows
	gen   uint64
	names promises                   // by directory
	attrs promises                   // by inode
	acls  map[honeyant.Ino]struct{}  // inodes with ACLs, which the kernel keeps without a timeout
	lists map[honeyant.Ino]*keptList // directories whose listings it may keep, likewise
	stores

	arriving map[listing]time.Time // listings with names that it may not have taken in yet, by when they were answered

	expiries, invalidations, given atomic.Uint64
}

// promises are of one kind, names or attributes.
type promises struct {
	of      map[honeyant.Ino]promise
	dropped [keptSlots]uint64    // generation
	calm    [keptSlots]time.Time // until then none are made, since it changes
	last    time.Time            // the latest end of all
}

// promise tells when the kernel was last let keep something, and until when.
type promise struct {
	made, ends time.Time
	by         uint32 // thread that the answers of the last half second went to, 0: several, or not known
}

// kernel is what a transport can tell the kernel. Each call returns when it is done, and may hang with the kernel.
type kernel interface {
	// expireNames makes the kernel ask for every name again, those included whose answers are on their way.
	expireNames() error
	// expireAttrs makes it ask for an inode's attributes again, likewise; known false: it has no such inode, but may
	// make one of an answer that is on its way.
	expireAttrs(ino uint64) (known bool, err error)
	// expireListing makes it forget what it keeps of a directory's listing, and its attributes. It need not know the inode.
	expireListing(ino uint64) error
	// storePages gives it whole pages of a file, expirePages takes pages from off on. It need not know the inode. Both wait for
	// requests of programs that read the pages.
	storePages(ino uint64, off int64, data []byte) error
	expirePages(ino uint64, off, length int64) error
}

const (
	keptSlots = 4096
	keptMost  = 32 << 10 // of each table
	// keptFor is the longest timeout, keptLeast the shortest that is worth while.
	keptFor   = 2 * time.Second
	keptLeast = 20 * time.Millisecond
	// keptSlack is how long after its timeout an answer is still in the table: the kernel counts from when the
	// program that asked has taken the answer in.
	keptSlack = 5 * time.Second
	// takenIn is how long after an answer the kernel may make an inode of it: until then it is asked again to forget
	// one that it does not know.
	takenIn    = 500 * time.Millisecond
	takenRetry = 5 * time.Millisecond
	// calmFor is Options.Calm unless it says otherwise.
	calmFor = 500 * time.Millisecond
	// tellDeadline is how long the kernel may take; after that nothing is given any more.
	tellDeadline = keptFor + time.Second
)

func newKept(calm time.Duration) *kept {
	return &kept{
		quiet: calm, tells: make(chan struct{}, 1), below: func() bool { return false },
		names: promises{of: map[honeyant.Ino]promise{}}, attrs: promises{of: map[honeyant.Ino]promise{}},
		acls: map[honeyant.Ino]struct{}{}, lists: map[honeyant.Ino]*keptList{}, arriving: map[listing]time.Time{},
		stores: stores{under: map[honeyant.Ino]int{}, writers: map[honeyant.Ino]int{}, free: make(chan []byte, storesMost)},
	}
}

func keptSlot(ino honeyant.Ino) uint64 { return uint64(ino) * 0x9e3779b97f4a7c15 >> 52 }

func (k *kept) on() bool { return k.namesOn.Load() || k.attrsOn.Load() }

func (k *kept) off() {
	k.namesOn.Store(false)
	k.attrsOn.Store(false)
}

// begin is to be called when a request begins.
func (k *kept) begin() uint64 {
	if !k.on() {
		return 0
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.gen
}

// name tells how long the kernel may use an answer about a name in dir to a request that began at since, 0: not at
// all; lease tells how long the answer is good.
func (k *kept) name(dir honeyant.Ino, since uint64, lease func() time.Duration) time.Duration {
	return k.give(&k.namesOn, &k.names, dir, asker{since: since}, lease)
}

// attr is name for the attributes of an inode.
func (k *kept) attr(ino honeyant.Ino, from asker, lease func() time.Duration) time.Duration {
	return k.give(&k.attrsOn, &k.attrs, ino, from, lease)
}

// asker is who waits for an answer, and since when.
type asker struct {
	since  uint64
	thread uint32 // 0: not known
}

func (k *kept) give(on *atomic.Bool, p *promises, ino honeyant.Ino, from asker, lease func() time.Duration) time.Duration {
	if !on.Load() {
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
	if !on.Load() || p.dropped[slot] > from.since || now.Before(p.calm[slot]) {
		return 0
	}
	had, ok := p.of[ino]
	if !ok && len(p.of) >= keptMost {
		return 0
	}
	next := promise{made: now, ends: now.Add(left), by: from.thread}
	if ok && had.by != next.by && now.Sub(had.made) < takenIn {
		next.by = 0
	}
	if had.ends.After(next.ends) {
		next.ends = had.ends
	}
	p.of[ino] = next
	if next.ends.After(p.last) {
		p.last = next.ends
	}
	k.given.Add(1)
	return left
}

// asked notes that the kernel is about to learn an ACL. It keeps that until it looks the name up again or is told, so this
// is called before the ACL is read.
func (k *kept) asked(ino honeyant.Ino) {
	if !k.on() {
		return
	}
	k.mu.Lock()
	if len(k.acls) >= keptMost {
		k.mu.Unlock()
		k.drop(context.Background(), nil, volume.ByOthers)
		k.mu.Lock()
	}
	k.acls[ino] = struct{}{}
	k.mu.Unlock()
}

// drop is the kernel's volume.Keeper: it returns when the kernel does not use what it was told of the inodes; nil: of any. ByOwn is a change that
// a thread of this kernel has asked for: names, ACLs and attributes are in order there itself. But of attributes it is told
// if the answer to another thread may still be on its way, since that would pass for newer than a directory's change
// (fuse_dir_changed does not raise the attr_version).
func (k *kept) drop(ctx context.Context, inos []honeyant.Ino, why volume.Cause) {
	if why == volume.ByOwn {
		k.changed(inos, threadOf(ctx))
		return
	}
	if !k.on() {
		k.outlast(&k.names, &k.attrs)
		return
	}
	any := k.mark(inos, why == volume.ByOthers)
	k.awaitStores(inos)
	if !any {
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
			k.off() // before others, who find nothing in the tables any more, go on
		}
		<-k.tells
		done <- ok
	}()
	select {
	case ok := <-done:
		if !ok || !k.on() { // somebody else may have taken it out of the table, and failed
			k.giveUp()
		}
	case <-deadline.C:
		k.giveUp()
	}
}

// changed is drop for a change that a thread of this kernel has asked for.
func (k *kept) changed(inos []honeyant.Ino, thread uint32) {
	if !k.attrsOn.Load() {
		return
	}
	var doubtful []honeyant.Ino
	k.mu.Lock()
	k.gen++
	for _, ino := range inos {
		k.attrs.dropped[keptSlot(ino)] = k.gen
		p, ok := k.attrs.of[ino]
		if ok && (thread == 0 || p.by != thread) && time.Since(p.made) < takenIn {
			doubtful = append(doubtful, ino)
		}
	}
	k.mu.Unlock()
	for _, ino := range doubtful { // the inode is in use there, and no lock is taken for its attributes
		k.invalidations.Add(1)
		if _, err := k.expireAttrs(uint64(ino)); err != nil {
			k.giveUp()
			return
		}
	}
}

// mark keeps answers that are on their way from being given a timeout, and with calm those to come for a moment, and
// tells whether the kernel may use any.
func (k *kept) mark(inos []honeyant.Ino, calm bool) (any bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.gen++
	if inos == nil {
		for i := range keptSlots {
			k.names.dropped[i], k.attrs.dropped[i] = k.gen, k.gen
		}
		return len(k.names.of)+len(k.attrs.of)+len(k.acls)+len(k.lists) > 0
	}
	until := time.Now().Add(k.quiet)
	for _, ino := range inos {
		slot := keptSlot(ino)
		k.names.dropped[slot], k.attrs.dropped[slot] = k.gen, k.gen
		if calm {
			k.names.calm[slot], k.attrs.calm[slot] = until, until
		}
		_, name := k.names.of[ino]
		_, attr := k.attrs.of[ino]
		_, acl := k.acls[ino]
		_, list := k.lists[ino]
		any = any || name || attr || acl || list
	}
	return any
}

// settle waits until nobody is telling the kernel anything.
func (k *kept) settle() {
	if !k.turn() {
		k.giveUp()
		return
	}
	<-k.tells
	if !k.on() {
		k.outlast(&k.names, &k.attrs)
	}
}

// turn takes the turn to tell the kernel something; false if it takes too long.
func (k *kept) turn() bool {
	select {
	case k.tells <- struct{}{}: // free, as it mostly is: no timer needed
		return true
	default:
	}
	deadline := time.NewTimer(tellDeadline)
	defer deadline.Stop()
	select {
	case k.tells <- struct{}{}:
		return true
	case <-deadline.C:
		return false
	}
}

// expire tells the kernel. What was given from now on stays in the tables.
func (k *kept) expire(inos []honeyant.Ino) bool {
	names, attrs, lists, late := k.take(inos)
	ok := k.forgetListings(lists)
	if names {
		ok = k.forgetNames() && ok
	}
	if len(late) > 0 {
		k.awaitListings(late)
		ok = k.forgetNames() && ok
	}
	unknown := attrs[:0]
	for _, a := range attrs {
		k.invalidations.Add(1)
		known, err := k.expireAttrs(uint64(a.ino))
		ok = ok && err == nil
		if !known && err == nil {
			unknown = append(unknown, a)
		}
	}
	for _, a := range unknown {
		ok = k.awaitInode(a.ino, a.made.Add(takenIn)) && ok
	}
	return ok
}

// forgetNames makes the kernel ask for all names again. If something is mounted below them they are not expired, which
// would take it off, but run out, and no more are given until it is gone.
func (k *kept) forgetNames() bool {
	if k.below() {
		k.namesOn.Store(false)
		k.outlast(&k.names)
		return true
	}
	k.expiries.Add(1)
	return k.expireNames() == nil
}

// givenAttr is an inode whose attributes the kernel was let keep.
type givenAttr struct {
	ino  honeyant.Ino
	made time.Time
}

// take takes out of the tables what is to be dropped; late are those directories of which names are on their way.
func (k *kept) take(inos []honeyant.Ino) (names bool, attrs []givenAttr, lists []honeyant.Ino, late map[honeyant.Ino]bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	arriving := k.underway()
	one := func(ino honeyant.Ino) {
		p, attr := k.attrs.of[ino]
		_, acl := k.acls[ino]
		if attr || acl {
			attrs = append(attrs, givenAttr{ino, p.made})
		}
		if _, list := k.lists[ino]; list {
			lists = append(lists, ino)
		}
		delete(k.attrs.of, ino)
		delete(k.acls, ino)
		delete(k.lists, ino)
	}
	if inos == nil {
		for ino := range k.lists {
			one(ino)
		}
		for ino := range k.acls {
			one(ino)
		}
		for ino := range k.attrs.of {
			one(ino)
		}
		names = len(k.names.of) > 0
	}
	for _, ino := range inos {
		one(ino)
		if _, ok := k.names.of[ino]; ok {
			names = true
		}
	}
	if names { // what arrives later is as good as new
		maps.DeleteFunc(k.names.of, func(dir honeyant.Ino, _ promise) bool { return !arriving[dir] })
	}
	if inos != nil {
		maps.DeleteFunc(arriving, func(dir honeyant.Ino, _ bool) bool { return !slices.Contains(inos, dir) })
	}
	return names, attrs, lists, arriving
}

// awaitInode makes the kernel forget attributes of an inode that it did not know when it was told first: an answer that
// it makes one of may be on its way until then.
func (k *kept) awaitInode(ino honeyant.Ino, until time.Time) bool {
	for {
		left := time.Until(until)
		if left <= 0 {
			return true
		}
		time.Sleep(min(left, takenRetry))
		if known, err := k.expireAttrs(uint64(ino)); known || err != nil {
			return err == nil
		}
	}
}

// look lets the kernel keep names unless something is mounted below.
func (k *kept) look() {
	if k.attrsOn.Load() && k.epochs {
		k.namesOn.Store(!k.below())
	}
}

// giveUp gives nothing any more and waits until all that was given has run out.
func (k *kept) giveUp() {
	k.off()
	k.outlast(&k.names, &k.attrs)
}

// outlast waits until what was given has run out, once nothing is given any more.
func (k *kept) outlast(all ...*promises) {
	for _, p := range all {
		k.mu.Lock()
		left := time.Until(p.last)
		k.mu.Unlock()
		if left > 0 {
			time.Sleep(left) // at most keptFor
		}
	}
}

// prune forgets what has run out long ago.
func (k *kept) prune() {
	k.mu.Lock()
	defer k.mu.Unlock()
	past := time.Now().Add(-keptSlack)
	for _, p := range []*promises{&k.names, &k.attrs} {
		for ino, made := range p.of {
			if made.ends.Before(past) {
				delete(p.of, ino)
			}
		}
	}
}

// KeptStats tell what the kernel was let keep.
type KeptStats struct {
	Names, Attrs  bool   // whether it is let keep them
	Given         uint64 // answers with a timeout
	Expiries      uint64 // times that all names were expired
	Invalidations uint64 // inodes whose attributes were
}

// Kept tells about it.
func (fs *FS) Kept() KeptStats {
	k := fs.kept
	return KeptStats{
		Names: k.namesOn.Load(), Attrs: k.attrsOn.Load(),
		Given: k.given.Load(), Expiries: k.expiries.Load(), Invalidations: k.invalidations.Load(),
	}
}
