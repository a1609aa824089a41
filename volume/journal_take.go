package volume

import (
	"context"
	"slices"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/meta"
)

// inodeNumbers are numbers that only this session uses.
type inodeNumbers struct {
	next, end honeyant.Ino
	ranges    []span // all that were handed out to the session
}

func (n *inodeNumbers) left() int { return int(n.end - n.next) }

// take hands out a number; there must be one.
func (n *inodeNumbers) take() uint64 {
	n.next++
	return uint64(n.next - 1)
}

const (
	reserveInodes = 4096 // asked for at a time
	fewInodes     = 1024 // left when more are asked for
)

// refill asks for numbers if there are few; false if there was nothing to do, or no luck.
func (j *journal) refill(s *session) bool {
	j.mu.Lock()
	few := j.owner == s && j.shadow.Len() > 0 && j.spare.left() < fewInodes
	j.mu.Unlock()
	return few && j.reserve(j.v.ctx, s)
}

func (j *journal) reserve(ctx context.Context, s *session) bool {
	ctx, cancel := j.v.within(ctx)
	defer cancel()
	r, err := meta.Do(ctx, s.meta, &meta.ReserveInodes{Count: reserveInodes})
	if err != nil {
		return false
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.owner == s {
		j.spare.next, j.spare.end = r.First, r.First+reserveInodes
		j.spare.ranges = append(j.spare.ranges, span{int64(r.First), int64(r.First + reserveInodes)})
	}
	return true
}

// refusal says that a lease was refused, and until when it is not asked for again.
type refusal struct {
	until time.Time
	wait  time.Duration
}

// Pauses after a refused lease: while others use an inode, too, the leader carries the changes out.
const (
	refusedFirst = 50 * time.Millisecond
	refusedMost  = 2 * time.Second
	maxRefused   = 1024
)

// lack is what an operation lacks of what is held: the lease on an inode, or of a directory names, or the leases of its files.
type lack struct {
	ino      honeyant.Ino
	name     string // that is to be known of a directory that is held; its names come in parts, in the order of cookies
	children bool   // with the files from there on
	from     uint64 // the cookie to begin with
}

// takeFor asks for what an operation lacks, inode numbers or exclusive leases; false if it got none, and there is nothing else to try.
func (j *journal) takeFor(ctx context.Context, s *session, op meta.Op) bool {
	l, ok := j.lacking(s, op)
	if j.few(s) {
		return j.reserve(ctx, s)
	}
	return ok && j.takeLack(ctx, s, l)
}

// takeLack asks for it. Who finds that the same inode's leases are being asked for waits, and looks again.
func (j *journal) takeLack(ctx context.Context, s *session, l lack) bool {
	done := make(chan struct{})
	j.mu.Lock()
	underway := j.taking[l.ino]
	if underway == nil {
		j.taking[l.ino] = done
	}
	j.mu.Unlock()
	if underway != nil {
		select {
		case <-underway:
			return true
		case <-ctx.Done():
			return false
		}
	}
	defer func() {
		j.mu.Lock()
		delete(j.taking, l.ino)
		j.mu.Unlock()
		close(done)
	}()
	if l.name != "" {
		return j.takeNames(ctx, s, l)
	}
	return j.take(ctx, s, l) || l.children && j.has(l.ino) // its files can be had one by one
}

// takeNames asks for the names of a directory that is held, part after part, until one is known. It gives up, for a while, if too much
// room would be needed for those before it.
func (j *journal) takeNames(ctx context.Context, s *session, l lack) bool {
	for {
		j.mu.Lock()
		held := j.shadow.Holds(l.ino)
		l.from = j.shadow.Until(l.ino)
		ahead, whole := j.shadow.Ahead(l.ino, l.name)
		room := (j.max - j.shadow.Bytes()) / nameBytes
		// Who removes comes along in order, and what is removed takes no room any more. Who makes needs to know all names soon.
		fits := int64(whole) <= room/2 || l.children && ahead <= takeChildren && room > takeChildren
		if held && ahead > 0 && !fits {
			j.noteRefusal(l.ino, refusal{until: time.Now().Add(refusedMost), wait: refusedMost})
		}
		j.mu.Unlock()
		if held && ahead == 0 {
			return true
		}
		if !held || !fits || !j.take(ctx, s, l) {
			return false
		}
	}
}

const (
	nameBytes    = 160  // that a name in a directory that is held takes, about
	takeChildren = 1024 // names told at a time if their files are wanted, too: no more come with one answer
)

// take asks for a lease, or for more of a directory; false if that is refused.
//
// The answer does not know what the journal has not told the leader yet, but what is taken in of it is not concerned by that: of a
// directory that is held, names behind those that are known, which no record is about; and files that this session did not hold at the
// leader, so that none of those comes back which a record deletes.
func (j *journal) take(ctx context.Context, s *session, l lack) bool {
	names := j.v.o.TakeNames
	if l.children {
		names = min(names, takeChildren)
	}
	since := j.v.names.moment()
	r, _, err := s.leaser.DoLeased(ctx, &meta.Take{Volume: j.v.o.Volume, Ino: l.ino, Children: l.children, From: l.from, Names: uint32(names)}, meta.Want{})
	take, ok := r.(*meta.TakeReply)
	if err != nil || !ok {
		j.refuse(l.ino, true)
		return false
	}
	got := take.Granted && j.v.names.unchanged(s, take.Held, since, func(but []honeyant.Ino) bool {
		take.Deny(but) // the leader gives them again, one by one
		return j.taken(s, take)
	})
	j.refuse(l.ino, !got)
	if got {
		j.stats.taken.Add(uint64(len(take.Held)))
	}
	return got
}

// takeSought asks for the lease on what is looked up in a directory that is held and being changed, and on its brothers and
// sisters: to ask the leader what it is, the changes would have to be flushed, and who walks through the directory is
// likely to change each next, as rm -r does.
func (j *journal) takeSought(ctx context.Context, s *session, op meta.Op) bool {
	lookup, ok := op.(*meta.Lookup)
	if !ok {
		return false
	}
	l, ok := j.sought(s, lookup)
	if !ok {
		return false
	}
	return j.takeLack(ctx, s, l)
}

// sought tells what is lacking to answer a lookup in a directory that is held and being changed, if it may be asked for now.
func (j *journal) sought(s *session, lookup *meta.Lookup) (l lack, ok bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	dir := lookup.Parent
	if !j.usable(s) || s.unsettled.Load() != 0 || j.pending[dir] == 0 || !j.shadow.Holds(dir) {
		return lack{}, false
	}
	if !j.shadow.Knows(dir, lookup.Name) {
		return lack{ino: dir, name: lookup.Name, children: true}, j.mayTake(dir)
	}
	child, kind, there := j.shadow.Child(dir, lookup.Name)
	if !there || j.shadow.Has(child) {
		return lack{}, false
	}
	if kind == honeyant.ModeDir {
		return lack{ino: child, children: uint64(dir) == j.emptied.Load()}, j.mayTake(child)
	}
	return j.orAlone(dir, lookup.Name, child)
}

// orAlone asks for the lease on a directory's file together with those behind it, or with all if they are not many, which are
// wanted soon; but what could not be had with them is asked for alone. j.mu is held.
func (j *journal) orAlone(dir honeyant.Ino, name string, child honeyant.Ino) (l lack, ok bool) {
	if j.mayTake(dir) {
		l := lack{ino: dir, children: true}
		if j.shadow.Names(dir) > takeChildren/2 {
			l.from = meta.NameCookie(name)
		}
		return l, true
	}
	return lack{ino: child}, j.mayTake(child)
}

func (j *journal) few(s *session) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.usable(s) && j.spare.left() < 2
}

// lacking tells what an operation lacks first, if it may be asked for now.
func (j *journal) lacking(s *session, op meta.Op) (l lack, ok bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if !j.usable(s) || s.unsettled.Load() != 0 {
		return lack{}, false
	}
	_, making := op.(*meta.Make)
	if commit, ok := op.(*meta.Commit); ok && !j.shadow.Has(commit.Ino) {
		if _, before := j.refused[commit.Ino]; !before { // one commit alone is not worth a question
			j.noteRefusal(commit.Ino, refusal{})
			return lack{}, false
		}
	}
	for _, n := range namedBy(op) {
		if !j.shadow.Has(n.ino) {
			return lack{ino: n.ino, children: n.name != "" && !making}, j.mayTake(n.ino)
		}
		if n.name == "" {
			continue
		}
		if !j.shadow.Knows(n.ino, n.name) {
			return lack{ino: n.ino, name: n.name, children: !making}, j.mayTake(n.ino)
		}
		if making {
			continue
		}
		child, kind, there := j.shadow.Child(n.ino, n.name)
		if !there || j.shadow.Has(child) {
			continue
		}
		if kind == honeyant.ModeDir {
			_, rmdir := op.(*meta.Rmdir)
			return lack{ino: child, children: rmdir}, j.mayTake(child)
		}
		return j.orAlone(n.ino, n.name, child)
	}
	return lack{}, false
}

// mayTake tells whether an inode's lease was not refused lately. j.mu is held.
func (j *journal) mayTake(ino honeyant.Ino) bool {
	r, ok := j.refused[ino]
	return !ok || time.Now().After(r.until)
}

// refuse notes whether a lease was refused.
func (j *journal) refuse(ino honeyant.Ino, refused bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if !refused {
		delete(j.refused, ino)
		return
	}
	r := j.refused[ino]
	r.wait = min(max(2*r.wait, refusedFirst), refusedMost)
	r.until = time.Now().Add(r.wait)
	j.noteRefusal(ino, r)
}

func (j *journal) noteRefusal(ino honeyant.Ino, r refusal) {
	if len(j.refused) >= maxRefused {
		clear(j.refused)
	}
	j.refused[ino] = r
}

// taken takes in a granted Take, but for what is held already. nameCache.mu is held.
func (j *journal) taken(s *session, r *meta.TakeReply) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	if !j.usable(s) {
		return false
	}
	for _, ino := range r.Held {
		if j.leaving[ino] > 0 {
			return false
		}
	}
	known := j.shadow.Until(r.Held[0])
	fresh, err := j.shadow.Take(r)
	if err != nil {
		j.v.o.Log.Error("a lease that can not be used", "err", err)
		return false
	}
	further := j.shadow.Until(r.Held[0]) > known
	for _, ino := range fresh {
		j.base[ino] = j.shadow.Version(ino)
	}
	return further || len(fresh) > 0
}

// maxHeld bounds the inodes held exclusively.
const maxHeld = 12 << 10

// heldAtOnce is how many inodes are let go of in one hold of the journal's lock: programs' changes wait meanwhile.
const heldAtOnce = 64

// makeRoom gives back what was used least if much is held.
func (j *journal) makeRoom(s *session) {
	j.mu.Lock()
	if j.owner != s || j.shadow.Bytes() <= j.max && j.shadow.Len() <= maxHeld {
		j.mu.Unlock()
		return
	}
	var all []honeyant.Ino
	if j.shadow.Bytes() > j.max/2 {
		all = j.shadow.ByUse()
	}
	for some := range slices.Chunk(all, heldAtOnce) {
		if j.owner != s || j.shadow.Bytes() <= j.max/2 {
			break
		}
		for _, ino := range some {
			if j.pending[ino] == 0 { // what is on the quorum's disks can be asked for again
				j.shadow.DropExtents(ino)
			}
		}
		j.mu.Unlock()
		j.mu.LetOthers()
		j.mu.Lock()
	}
	if j.owner != s {
		j.mu.Unlock()
		return
	}
	j.shadow.Sweep()
	crowded := j.shadow.Bytes() > j.max*3/4 || j.shadow.Len() > maxHeld
	var old []honeyant.Ino
	if crowded {
		old = j.shadow.ByUse()
		old = slices.DeleteFunc(old[:len(old)/2], func(ino honeyant.Ino) bool { return j.pending[ino] > 0 })
	}
	j.mu.Unlock()
	var idle []honeyant.Ino
	for _, ino := range old {
		if in := j.v.peek(ino); in != nil { // open, or with bytes that are not committed
			in.release()
			continue
		}
		idle = append(idle, ino)
	}
	var gone []honeyant.Ino
	for some := range slices.Chunk(idle, heldAtOnce) {
		j.mu.LetOthers()
		gone = append(gone, j.v.names.forgetDropped(func() []honeyant.Ino { return j.dropIdle(s, some) })...)
	}
	if len(gone) == 0 {
		return
	}
	j.v.names.tell(gone, ForRoom)
	j.giveBack(s, gone)
	j.v.names.returned(gone)
	j.mu.Lock()
	j.left(gone)
	j.mu.Unlock()
}

// dropIdle lets go of those inodes that nobody uses, and tells which.
func (j *journal) dropIdle(s *session, inos []honeyant.Ino) (gone []honeyant.Ino) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, ino := range inos {
		if j.owner == s && j.pending[ino] == 0 && !j.v.inUse(ino) {
			j.shadow.Drop(ino)
			delete(j.base, ino)
			j.leaving[ino]++
			j.returning[ino]++
			gone = append(gone, ino)
		}
	}
	return gone
}

// inUse tells whether there is any state of an inode here.
func (v *Volume) inUse(ino honeyant.Ino) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.inodes[ino] != nil
}
