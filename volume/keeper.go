package volume

import (
	"context"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/meta"
)

// A Keeper is told what must not be kept outside of the volume any more, as a kernel keeps what it was answered:
// these inodes, their names and attributes, nil for all. Of the commit of what was written it is
// told only if that changes what it may have been told (see inode.committed), and then after it. It is called without locks, from many goroutines, and returns when they are gone;
// recalls are acknowledged and own changes are sent only after that.
type Keeper func(ctx context.Context, inos []honeyant.Ino, why Cause)

// Cause is why something must not be kept.
type Cause int

const (
	// ByOthers: somebody else wants it, or has changed it.
	ByOthers Cause = iota
	// ByOwn: a call that the keeper's own user has made (see Keep) with ctx has changed it, under an exclusive lease: nobody else has seen it.
	ByOwn
	// ForRoom: the volume lets go of what was not used lately.
	ForRoom
)

// keeperKey is under which a context names the Keeper whose user makes a call.
type keeperKey struct{}

// leftLeaser is a Leaser that tells for how long its leases are in force still.
type leftLeaser interface {
	LeaseLeft() (era uint64, left time.Duration)
}

// Keep tells keeper from now on what must be dropped; with the same volume at several mounts each has one. Calls with
// a context that was given through are its user's. stop ends it.
func (v *Volume) Keep(keeper Keeper) (through func(context.Context) context.Context, stop func()) {
	if v.names == nil {
		return func(ctx context.Context) context.Context { return ctx }, func() {}
	}
	n := v.names
	n.keepMu.Lock()
	defer n.keepMu.Unlock()
	var all []*Keeper
	if old := n.keepers.Load(); old != nil {
		all = append(all, *old...)
	}
	mine := &keeper
	all = append(all, mine)
	n.keepers.Store(&all)
	through = func(ctx context.Context) context.Context { return context.WithValue(ctx, keeperKey{}, mine) }
	return through, func() {
		n.keepMu.Lock()
		defer n.keepMu.Unlock()
		var rest []*Keeper
		for _, k := range *n.keepers.Load() {
			if k != mine {
				rest = append(rest, k)
			}
		}
		n.keepers.Store(&rest)
	}
}

// kept tells whether anything is kept outside.
func (n *nameCache) kept() bool {
	all := n.keepers.Load()
	return all != nil && len(*all) > 0
}

// tell makes all keepers drop inodes; nil: all.
func (n *nameCache) tell(inos []honeyant.Ino, why Cause) {
	if all := n.keepers.Load(); all != nil {
		for _, k := range *all {
			(*k)(context.Background(), inos, why)
		}
	}
}

// tellOthers is tell for what a call with ctx has changed, but for the keeper whose user has made it: that is told of
// own as its own changes.
func (n *nameCache) tellOthers(ctx context.Context, inos, own []honeyant.Ino) {
	all := n.keepers.Load()
	if all == nil {
		return
	}
	from, _ := ctx.Value(keeperKey{}).(*Keeper)
	for _, k := range *all {
		if k != from {
			(*k)(ctx, inos, ByOthers)
		} else if len(own) > 0 {
			(*k)(ctx, own, ByOwn)
		}
	}
}

// tellChanged is tell for what a call with ctx has changed under an exclusive lease. What is gone its own kernel knows.
func (n *nameCache) tellChanged(ctx context.Context, changed []meta.Touched) {
	if len(changed) == 0 {
		return
	}
	inos := make([]honeyant.Ino, 0, 8)
	there := make([]honeyant.Ino, 0, 8)
	for _, t := range changed {
		if t.Changed {
			inos = append(inos, t.Ino)
		}
		if t.Changed && t.Version != 0 {
			there = append(there, t.Ino)
		}
	}
	n.tellOthers(ctx, inos, there)
}

// tellWritten is tell for what a call with ctx has written: its own kernel knows, but for pages that are written back,
// which do not raise the inode's attr_version.
func (n *nameCache) tellWritten(ctx context.Context, ino honeyant.Ino, back bool) {
	inos, own := []honeyant.Ino{ino}, []honeyant.Ino(nil)
	if back {
		own = inos
	}
	n.tellOthers(ctx, inos, own)
}

// NameLease tells for how long from now it is certain that a name stands for ino (0: for nothing), if no Keeper is told
// otherwise; 0: not at all.
func (v *Volume) NameLease(parent honeyant.Ino, name string, ino honeyant.Ino) time.Duration {
	return v.leased(func(n *nameCache) bool { return n.leasedName(parent, name, ino) })
}

// leasedName tells whether a name stands for ino, and stays that. n.mu is held.
func (n *nameCache) leasedName(parent honeyant.Ino, name string, ino honeyant.Ino) bool {
	if name == "." || name == ".." {
		return false
	}
	if child, held := n.journal.child(parent, name); held {
		return child == ino
	}
	dir := n.usable(parent)
	if dir == nil {
		return false
	}
	e, ok := dir.entries[name]
	return e.ino == ino && (ok || dir.complete)
}

// AttrLease tells for how long from now it is certain that an inode's attributes are a, if no Keeper is told otherwise;
// 0: not at all. With bytes that are not committed it is if the inode is held, for committing them changes nothing that is seen (see committed).
func (v *Volume) AttrLease(a *honeyant.Attr) time.Duration {
	in, done := v.look(a.Ino)
	defer done()
	return v.leased(func(n *nameCache) bool {
		b, ok := n.leasedAttr(a.Ino, in)
		return ok && b == *a
	})
}

// EntryLease tells what is remembered of what a name stands for, and for how long from now it is certain that these are its
// attributes, and the name stands for it, if no Keeper is told otherwise; 0: not at all, or it would have to be asked for.
func (v *Volume) EntryLease(parent honeyant.Ino, name string, ino honeyant.Ino) (a honeyant.Attr, left time.Duration) {
	in, done := v.look(ino)
	defer done()
	left = v.leased(func(n *nameCache) (ok bool) {
		a, ok = n.leasedAttr(ino, in)
		return ok && n.leasedName(parent, name, ino) && n.inodes[ino].givenAway()
	})
	return a, left
}

// look locks what is open, or written, of an inode; nil if nothing is.
func (v *Volume) look(ino honeyant.Ino) (in *inode, done func()) {
	if in = v.peek(ino); in == nil {
		return nil, func() {}
	}
	in.mu.Lock()
	return in, func() {
		in.mu.Unlock()
		in.release()
	}
}

// leasedAttr tells the attributes that an inode, of which in is open, has, and keeps; ok false: not certain. n.mu and in.mu are held.
func (n *nameCache) leasedAttr(ino honeyant.Ino, in *inode) (a honeyant.Attr, ok bool) {
	a, held := n.journal.holdsAttr(ino)
	if !held {
		k := n.usable(ino)
		if k == nil || !k.known {
			return a, false
		}
		a = k.attr
	}
	if in == nil {
		return a, true
	}
	if _, any := in.unflushed(); any && (!held || in.asking()) {
		return a, false
	}
	return in.merged(a), in.newest(a) == a
}

// InodeLease tells for how long from now it is certain that nobody else changes an inode, or a directory's names, if no Keeper is told
// otherwise; 0: not at all.
func (v *Volume) InodeLease(ino honeyant.Ino) time.Duration {
	return v.leased(func(n *nameCache) bool {
		if _, held := v.journal.holdsAttr(ino); held {
			return true
		}
		k := n.usable(ino)
		return k != nil && k.known
	})
}

func (v *Volume) leased(known func(*nameCache) bool) time.Duration {
	n := v.names
	if n == nil {
		return 0
	}
	s := v.link.current()
	l, ok := s.leaser.(leftLeaser)
	if !ok || s.dead.Load() {
		return 0
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	era, left := l.LeaseLeft()
	if n.owner != s || n.era != era || !known(n) { // left is of other leases, or nothing is known under them
		return 0
	}
	return left
}

// inodesOf lists the inodes of a recall.
func inodesOf(files []meta.OpenFile) []honeyant.Ino {
	inos := make([]honeyant.Ino, len(files))
	for i, f := range files {
		inos[i] = f.Ino
	}
	return inos
}
