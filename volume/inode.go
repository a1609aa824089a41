package volume

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/volume/dirty"
	"github.com/honeyant/honeyant/volume/extents"
)

// inode is the state of one inode that is open here, or has bytes on their way.
type inode struct {
	v   *Volume
	ino honeyant.Ino

	write turn // one writer (or truncation, copy, append) at a time; held across I/O
	reg   turn // one registration or its taking back at a time

	refs  int // calls, Files and flights that use it; guarded by Volume.mu
	opens int // Files; guarded by Volume.mu

	mu    sync.Mutex // guards what follows
	attr  honeyant.Attr
	known bool // attr has been heard from the leader
	moments
	ext        extents.Cache
	registered *session // under which the leader knows that it is open
	counted    int      // how often it was opened there
	locks      int      // how often a lock was asked for since the inode was opened
	policy     policyAt
	parent     honeyant.Ino // directory it was created in here, for its policy; 0: not known

	unsent
	streamEnd  int64 // where the last full run ended that was sent at once, -1: none
	flights    []*flight
	committing bool

	deserted bool // without a name, and not open here: its bytes are nobody's

	errs int   // how many lost flushes there were
	err  error // the last one
}

// unsent is what was written and is not on its way yet.
type unsent struct {
	dirty      dirty.Runs
	dirtyBytes int64
	dirtySince time.Time
	lastWrite  honeyant.Time
	killPriv   bool
	timesSet   bool // the times were set after all that is dirty was written
	lingering  bool // closed with dirty bytes, which keep the inode
}

// moments say how fresh is what is remembered of an inode.
type moments struct {
	checked   time.Time // when the request was sent whose answer confirmed attr
	forgotten time.Time // what was asked before confirms nothing
}

// hold finds or makes the state and keeps it until release.
func (v *Volume) hold(ino honeyant.Ino) *inode {
	v.mu.Lock()
	defer v.mu.Unlock()
	in := v.inodes[ino]
	if in == nil {
		in = &inode{v: v, ino: ino, write: newTurn(1), reg: newTurn(1), streamEnd: -1}
		v.inodes[ino] = in
	}
	in.refs++
	return in
}

// peek finds the state if there is one and keeps it until release; nil if there is none.
func (v *Volume) peek(ino honeyant.Ino) *inode {
	v.mu.Lock()
	defer v.mu.Unlock()
	in := v.inodes[ino]
	if in != nil {
		in.refs++
	}
	return in
}

// keep takes one more hold.
func (in *inode) keep() {
	in.v.mu.Lock()
	defer in.v.mu.Unlock()
	in.refs++
}

// release gives back what hold or peek took.
func (in *inode) release() {
	in.v.mu.Lock()
	defer in.v.mu.Unlock()
	in.refs--
	if in.refs == 0 {
		delete(in.v.inodes, in.ino)
	}
}

// allInodes lists the inodes by number, which is the order in which new ones were made: what is sent in that order shares chunks with
// what was made at the same time.
func (v *Volume) allInodes() []*inode {
	v.mu.Lock()
	all := make([]*inode, 0, len(v.inodes))
	for _, in := range v.inodes {
		all = append(all, in)
	}
	v.mu.Unlock()
	slices.SortFunc(all, func(a, b *inode) int { return cmp.Compare(a.ino, b.ino) })
	return all
}

// fresh is the one place that decides whether what is remembered of the inode may be used without
// asking the leader: under a lease, and without one for a short time after an answer to a
// session that lives.
// in.mu is held.
func (in *inode) fresh() bool {
	if in.known && in.v.journal.holds(in.ino) {
		return true
	}
	return in.known && (time.Since(in.checked) < in.v.o.FlushInterval && !in.v.link.current().dead.Load() || in.v.vouches(in.ino, in.attr.Version))
}

// learn takes in attributes that the leader sent in answer to a request of the moment sent. A
// newer Version drops the extents. in.mu is held.
func (in *inode) learn(a honeyant.Attr, sent time.Time) {
	if in.known && a.Version < in.attr.Version {
		return // an answer that was overtaken
	}
	if !in.known || a.Version > in.attr.Version {
		in.ext.Reset()
	}
	in.attr, in.known = a, true
	if sent.After(in.checked) && sent.After(in.forgotten) {
		in.checked = sent
	}
}

// unflushed is the end of the bytes that are not committed. in.mu is held.
func (in *inode) unflushed() (end uint64, any bool) {
	end = uint64(in.dirty.End())
	any = len(in.dirty) > 0
	for _, f := range in.flights {
		end = max(end, uint64(f.runs.End()))
		any = true
	}
	return end, any
}

// asking tells whether the outcome of a commit is open. in.mu is held.
func (in *inode) asking() bool {
	return slices.ContainsFunc(in.flights, func(f *flight) bool { return f.asking })
}

// size is the size as this node sees it. in.mu is held.
func (in *inode) size() int64 {
	end, _ := in.unflushed()
	return int64(max(end, in.attr.Size))
}

// merged is a with the size and time of bytes that are not committed. in.mu is held.
func (in *inode) merged(a honeyant.Attr) honeyant.Attr {
	end, any := in.unflushed()
	if !any {
		return a
	}
	a.Size = max(a.Size, end)
	if !in.timesKept() {
		in.touch(&a)
	}
	pending, killPriv := in.dirtyBytes, in.killPriv
	for _, f := range in.flights {
		pending += f.bytes
		killPriv = killPriv || f.killPriv
	}
	if killPriv { // as the commit will
		if a.Mode&0o010 != 0 {
			a.Mode &^= honeyant.ModeSetgid
		}
		a.Mode &^= honeyant.ModeSetuid
	}
	a.Blocks = min(a.Blocks+uint64(pending+511)/512, max(a.Blocks, (a.Size+511)/512))
	return a
}

// touch gives a the times that committing what is dirty will give it, about. in.mu is held.
func (in *inode) touch(a *honeyant.Attr) {
	later := in.lastWrite
	if !a.Mtime.Before(later) {
		later = a.Mtime.AfterBy1()
	}
	a.Mtime = later
	if a.Ctime.Before(later) {
		a.Ctime = later
	}
}

// timesKept tells whether committing what is not committed leaves the times as they are. in.mu is held.
func (in *inode) timesKept() bool {
	for _, f := range in.flights {
		if !f.keepTimes {
			return false
		}
	}
	return in.timesSet || len(in.dirty) == 0
}

// seen takes in attributes just heard from the leader and answers them merged with own dirty
// bytes. The moment of the request is not known here, so they do not confirm what is remembered.
func (v *Volume) seen(a honeyant.Attr) honeyant.Attr {
	in := v.peek(a.Ino)
	if in == nil {
		return a
	}
	defer in.release()
	in.mu.Lock()
	defer in.mu.Unlock()
	in.learn(a, time.Time{})
	return in.merged(in.newest(a))
}

// lost records that bytes could not be committed; each File tells it once. in.mu is held.
func (in *inode) lost(err error) {
	in.errs++
	in.err = err
	in.v.stats.lostWrites.Add(1)
}
