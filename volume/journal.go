package volume

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/internal/spin"
	"github.com/honeyant/honeyant/meta"
	"github.com/honeyant/honeyant/meta/remote"
)

// A Holder is a Leaser that can hold exclusive leases too, under which a volume makes changes itself and tells
// the leader later.
type Holder interface {
	Leaser
	// WatchExclusive says who answers for exclusive leases; before Watch, once only.
	WatchExclusive(h remote.ExclusiveHandler)
	// Return gives exclusive leases back.
	Return(ctx context.Context, files []meta.OpenFile) error
	// ExclusiveEra numbers the time in which no exclusive lease was lost; ok false if none may be used now.
	ExclusiveEra() (n uint64, ok bool)
}

// journal is what this volume has changed under exclusive leases. Changes are evaluated over the shadow, which is
// what it holds, and answered at once; their records go to the leader in order, many in one Flush. A flush is due
// when a record is almost a FlushInterval old, when somebody waits for it (fsync, a recall, a change that only the
// leader can make), and when the records take much room. Safe for concurrent use.
type journal struct {
	v *Volume
	journalBounds
	off bool

	// Its lock is taken after nameCache.mu and before session.mu; nothing else is asked while it is held.
	mu      spin.Mutex
	owner   *session
	shadow  *meta.Shadow
	pending map[honeyant.Ino]int // records that change the inode
	base    map[honeyant.Ino]uint64
	records []*journalRecord // not acknowledged, in order
	oldest  time.Time        // the least of their at
	sent    int              // of these, under way to the leader in one Flush
	bytes   int64            // of records
	made    uint64           // records so far
	done    uint64           // of these, acknowledged or lost
	wanted  uint64           // somebody waits for this one
	moved   chan struct{}    // closed when done grows; nil: nobody waits
	spare   inodeNumbers
	refused map[honeyant.Ino]refusal
	taking  map[honeyant.Ino]chan struct{} // leases being asked for; closed when that is over
	emptying
	leaving map[honeyant.Ino]int // being given back: not to be taken meanwhile

	// Dropped here, while the leader may still count on the lease: an answer that it says to be covered is so only until then.
	returning map[honeyant.Ino]int
	full      time.Time // until then the leader is asked for changes that need room for metadata

	wake chan struct{} // holds 1

	stats journalCounters
}

type journalCounters struct {
	local, taken, flushes, recalls atomic.Uint64
	lost                           atomic.Uint64
	slowest                        atomic.Int64 // flush, in nanoseconds
}

// journalBounds depend on the memory that a volume has.
type journalBounds struct {
	max    int64 // bytes of the shadow
	enough int64 // bytes of records from which on they are flushed at once
}

// journalRecord is a change that the leader does not know yet.
type journalRecord struct {
	rec     meta.JournalRecord
	seq     uint64
	at      time.Time // when it was made, of a commit when its oldest bytes were written
	size    int64
	touched []meta.Touched
	chunks  []honeyant.ChunkID
}

// Bounds of the journal.
const (
	journalBatch     = 1024      // records of one Flush: the more, the fewer commits; the leader evaluates nothing else for some 30 ms
	journalBatchSize = 384 << 10 // bytes of one Flush, about
	journalMost      = 4 << 20   // bytes of records from which on changes wait
	journalLeast     = 512 << 10 // the least journalBounds.enough; half of journalMost is the most
	journalRecordMin = 160       // bytes that a record takes besides what is in it
	journalLate      = 2         // flush intervals after which changes wait
)

func newJournal(v *Volume, most int64) *journal {
	enough := min(max(journalLeast, most/8), journalMost/2)
	j := &journal{v: v, journalBounds: journalBounds{most, enough}, wake: make(chan struct{}, 1), taking: map[honeyant.Ino]chan struct{}{}}
	j.clear()
	return j
}

// clear forgets everything. j.mu is held, or j is new.
func (j *journal) clear() {
	j.shadow = meta.NewShadow(j.v.o.Volume, j.v.isOpen, j.spare.take)
	j.pending, j.base = map[honeyant.Ino]int{}, map[honeyant.Ino]uint64{}
	j.refused, j.leaving, j.returning = map[honeyant.Ino]refusal{}, map[honeyant.Ino]int{}, map[honeyant.Ino]int{}
	j.records, j.oldest, j.bytes, j.sent = nil, time.Time{}, 0, 0
	j.done = j.made
	j.notify()
}

// isOpen tells whether an inode is in use here beyond its names.
func (v *Volume) isOpen(ino honeyant.Ino) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	in := v.inodes[ino]
	return in != nil && in.opens > 0
}

// adopt makes s the session under which leases are held.
func (j *journal) adopt(s *session) {
	h, ok := s.meta.(Holder)
	j.mu.Lock()
	j.clear()
	j.spare = inodeNumbers{}
	j.owner = nil
	if ok && !j.off {
		j.owner, s.holder = s, h
	}
	j.mu.Unlock()
	if s.holder != nil {
		h.WatchExclusive(remote.ExclusiveHandler{
			Recall: func(files []meta.OpenFile) { j.recalled(s, files) },
			Held:   func() []meta.ReclaimedFile { return j.held(s) },
			Lost:   func(files []meta.OpenFile) { j.lostLeases(s, files) },
		})
	}
}

// usable tells whether s is the owner and its exclusive leases may be used. j.mu is held.
func (j *journal) usable(s *session) bool {
	if j.owner != s || s.holder == nil || s.dead.Load() {
		return false
	}
	_, ok := s.holder.ExclusiveEra()
	return ok
}

// holds tells whether an inode is held exclusively, so that closing need not commit and nobody else has it open.
func (j *journal) holds(ino honeyant.Ino) bool {
	if j == nil {
		return false
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.owner != nil && j.shadow.Holds(ino) && j.usable(j.owner)
}

// commits tells whether the journal takes commits of an inode: it is held, if only until its bytes are committed.
func (j *journal) commits(ino honeyant.Ino) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.owner != nil && j.shadow.Has(ino) && j.usable(j.owner)
}

// attr is the attributes of an inode that is held. Used with nameCache.mu held.
func (j *journal) attr(ino honeyant.Ino) (honeyant.Attr, bool) {
	if j == nil {
		return honeyant.Attr{}, false
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.owner == nil || !j.usable(j.owner) {
		return honeyant.Attr{}, false
	}
	return j.shadow.Attr(ino)
}

// holdsAttr is attr for an inode that is held exclusively and not about to be given back. Used with nameCache.mu held.
func (j *journal) holdsAttr(ino honeyant.Ino) (honeyant.Attr, bool) {
	if j == nil {
		return honeyant.Attr{}, false
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.owner == nil || !j.shadow.Holds(ino) || !j.usable(j.owner) {
		return honeyant.Attr{}, false
	}
	return j.shadow.Attr(ino)
}

// has tells whether the journal, and not the memory of shared leases, answers for an inode. Used with nameCache.mu held.
func (j *journal) has(ino honeyant.Ino) bool {
	if j == nil {
		return false
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.shadow.Has(ino)
}

// isReturning tells whether the lease on an inode is being given back. Used with nameCache.mu held.
func (j *journal) isReturning(ino honeyant.Ino) bool {
	if j == nil {
		return false
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.returning[ino] > 0
}

// endReturning is called when the leader has the leases back, or the session is over. nameCache.mu is held.
func (j *journal) endReturning(inos []honeyant.Ino) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, ino := range inos {
		if j.returning[ino]--; j.returning[ino] <= 0 {
			delete(j.returning, ino)
		}
	}
}

// append records a change. j.mu is held.
func (j *journal) append(s *session, l meta.Local, touched []meta.Touched) {
	changed := false
	for _, t := range touched {
		if t.Changed {
			changed = true
			j.pending[t.Ino]++
		}
	}
	if !changed {
		return
	}
	j.made++
	r := &journalRecord{
		rec: meta.JournalRecord{Now: l.Now, Ino: l.Ino, Op: l.Op}, seq: j.made, at: time.Now(), size: journalRecordMin, touched: touched,
	}
	r.rec.Closed = j.closes(touched)
	switch op := l.Op.(type) {
	case *meta.Commit:
		if !op.Written.IsZero() {
			r.at = op.Written
		}
		for i := range op.Extents {
			r.size += int64(len(op.Extents[i].Inline)) + 48
		}
		for i := range op.Chunks {
			r.size += 64
			r.chunks = append(r.chunks, op.Chunks[i].ID)
			s.keep(op.Chunks[i].ID)
		}
	case *meta.SetXattr:
		r.size += int64(len(op.Value))
	case *meta.Make:
		r.size += int64(len(op.Target))
	}
	j.records = append(j.records, r)
	j.bytes += r.size
	older := len(j.records) == 1 || r.at.Before(j.oldest)
	if older {
		j.oldest = r.at
	}
	if older || j.bytes >= j.enough {
		j.kick()
	}
}

// closes tells whether nothing of what lost its last name is open here. j.mu is held.
func (j *journal) closes(touched []meta.Touched) bool {
	for _, t := range touched {
		if !t.Changed {
			continue
		}
		if a, ok := j.shadow.Attr(t.Ino); (t.Version == 0 || ok && a.Nlink == 0) && j.v.isOpen(t.Ino) {
			return false
		}
	}
	return true
}

func (j *journal) kick() {
	select {
	case j.wake <- struct{}{}:
	default:
	}
}

// throttle makes changes wait while the leader is behind with them, so that no more than what was done lately is lost
// with this machine.
func (j *journal) throttle(ctx context.Context, s *session) error {
	for {
		j.mu.Lock()
		late := j.owner == s && len(j.records) > 0 &&
			(j.bytes > journalMost || time.Since(j.records[0].at) > journalLate*j.v.o.FlushInterval)
		moved := j.whenMoved(late)
		j.mu.Unlock()
		if !late {
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// whenMoved is closed when records are acknowledged or lost. j.mu is held.
func (j *journal) whenMoved(wanted bool) <-chan struct{} {
	if wanted && j.moved == nil {
		j.moved = make(chan struct{})
	}
	return j.moved
}

func (j *journal) notify() {
	if j.moved != nil {
		close(j.moved)
		j.moved = nil
	}
}

// drop lets go of inodes of which nothing is pending; false if something is.
func (j *journal) drop(s *session, inos []honeyant.Ino) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.owner != s {
		return true
	}
	for _, ino := range inos {
		if j.pending[ino] > 0 {
			return false
		}
	}
	for _, ino := range inos {
		j.shadow.Drop(ino)
		delete(j.base, ino)
	}
	return true
}

// settleData commits the dirty bytes of a file, to the journal if it is held.
func (j *journal) settleData(ctx context.Context, ino honeyant.Ino) error {
	in := j.v.peek(ino)
	if in == nil {
		return nil
	}
	defer in.release()
	if err := in.enter(ctx); err != nil { // who appends has seen that the file is held, or sees that it is not
		return err
	}
	in.write.give()
	return in.flush(ctx)
}

// madeHere tells whether an inode was made by the journal of this session.
func (j *journal) madeHere(ino honeyant.Ino) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, r := range j.spare.ranges {
		if int64(ino) >= r.from && int64(ino) < r.to {
			return true
		}
	}
	return false
}

// open tells the attributes of an inode that is held; ok false: it has to be opened at the leader. So has one without a
// name, which may be deleted there as one that nobody has open (closes).
func (j *journal) open(ino honeyant.Ino) (a honeyant.Attr, ok bool) {
	if j.holds(ino) {
		a, ok = j.attr(ino)
	}
	return a, ok && a.Nlink > 0
}

// closed is called when nobody here has the inode open any more: one without a name is given back then.
func (j *journal) closed(ino honeyant.Ino) {
	j.mu.Lock()
	a, ok := j.shadow.Attr(ino)
	s := j.owner
	j.mu.Unlock()
	if ok && a.Nlink == 0 && s != nil {
		j.recalled(s, []meta.OpenFile{{Volume: j.v.o.Volume, Ino: ino}})
	}
}

// policyAt is the directory whose policy holds for an inode that is held, 0 for the default of the volume.
func (j *journal) policyAt(ino honeyant.Ino) (honeyant.Ino, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.shadow.PolicyAt(ino)
}

// replacing commits the bytes of a file that is about to take the place of another one, or that others may see under
// its new name: who replaces a file by a new one finds the old or the new one whole after a crash. [20]
func (j *journal) replacing(ctx context.Context, op *meta.Rename) error {
	j.mu.Lock()
	source, _, known := j.shadow.Child(op.OldParent, op.OldName)
	_, _, taken := j.shadow.Child(op.NewParent, op.NewName)
	inside := j.shadow.Holds(op.OldParent) && j.shadow.Holds(op.NewParent) && j.shadow.Knows(op.NewParent, op.NewName)
	idle := j.shadow.Len() == 0
	j.mu.Unlock()
	switch {
	case idle || inside && !taken:
		return nil
	case known:
		return j.settleData(ctx, source)
	}
	return j.v.settleLingering(ctx)
}

// settleLingering commits the bytes of all files that were closed without it.
func (v *Volume) settleLingering(ctx context.Context) error {
	for _, in := range v.allInodes() {
		in.mu.Lock()
		lingering := in.lingering
		in.mu.Unlock()
		if lingering {
			if err := v.journal.settleData(ctx, in.ino); err != nil {
				return err
			}
		}
	}
	return nil
}

// report tells, once to each who counts in told, that changes were lost.
func (j *journal) report(told *atomic.Uint64) error {
	lost := j.stats.lost.Load()
	if was := told.Swap(lost); lost == was {
		return nil
	}
	return honeyant.E("volume.Sync", honeyant.Unavailable, "", errors.New("changes of names or attributes were lost; the log says which"))
}

// child is what a name in a directory that is held stands for, 0 for nothing; ok false if the directory is not held, or not known so
// far. Used with nameCache.mu held.
func (j *journal) child(dir honeyant.Ino, name string) (ino honeyant.Ino, ok bool) {
	if j == nil {
		return 0, false
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.owner == nil || !j.shadow.Holds(dir) || !j.shadow.Knows(dir, name) || !j.usable(j.owner) {
		return 0, false
	}
	ino, _, _ = j.shadow.Child(dir, name)
	return ino, true
}
