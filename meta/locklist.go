package meta

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/rpc/wire"
)

// maxLocks bounds the locks of one inode.
const maxLocks = 2048

// maxLockEnd is the end of a lock to the end of the file, however large it grows.
const maxLockEnd = 1<<63 - 1

// A lockList is the locks of an inode: ordered by start, those of one owner of one kind never
// overlap, and never touch if they are of one type.
type lockList []FileLock

func (l *lockList) fields(c *wire.Codec) {
	version(c, "lock list")
	wire.Slice(c, (*[]FileLock)(l), maxLocks, func(c *wire.Codec, f *FileLock) { f.Fields(c) })
}

// normal is the lock as it is kept: of the session that asks, flock over the whole file.
func (l FileLock) normal(op string, s honeyant.SessionID) (FileLock, error) {
	l.Session = s
	switch {
	case l.Kind == LockFlock:
		l.Start, l.End = 0, maxLockEnd
	case l.Kind != LockPosix:
		return l, honeyant.E(op, honeyant.Invalid, "", fmt.Errorf("lock kind %d", l.Kind))
	case l.Start > maxLockEnd:
		return l, honeyant.E(op, honeyant.Invalid, "", fmt.Errorf("lock from %d", l.Start))
	}
	l.End = min(l.End, maxLockEnd)
	if l.Start > l.End {
		return l, honeyant.E(op, honeyant.Invalid, "", fmt.Errorf("lock from %d to %d", l.Start, l.End))
	}
	return l, nil
}

// same tells two locks of one owner.
func (l *FileLock) same(o *FileLock) bool {
	return l.Kind == o.Kind && l.Session == o.Session && l.Owner == o.Owner
}

func (l *FileLock) overlaps(o *FileLock) bool { return l.Start <= o.End && o.Start <= l.End }

// conflict finds a lock of another owner that want can not be beside.
func (l lockList) conflict(want *FileLock) (FileLock, bool) {
	for n := range l {
		if h := &l[n]; h.Kind == want.Kind && !h.same(want) && h.overlaps(want) && (h.Write || want.Write) {
			return *h, true
		}
	}
	return FileLock{}, false
}

// release takes the range away from the owner's locks, splitting them; false if nothing changed.
func (l *lockList) release(give *FileLock) bool {
	changed := false
	var kept lockList
	for _, h := range *l {
		if !h.same(give) || !h.overlaps(give) {
			kept = append(kept, h)
			continue
		}
		changed = true
		if h.Start < give.Start {
			left := h
			left.End = give.Start - 1
			kept = append(kept, left)
		}
		if h.End > give.End {
			right := h
			right.Start = give.End + 1
			kept = append(kept, right)
		}
	}
	*l = kept
	l.sort()
	return changed
}

// add puts a lock in that overlaps none of its owner, joined with those of its type that touch it.
func (l *lockList) add(want FileLock) {
	kept := (*l)[:0]
	for _, h := range *l {
		if h.same(&want) && h.Write == want.Write && (h.End+1 == want.Start || want.End+1 == h.Start) {
			want.Start, want.End = min(h.Start, want.Start), max(h.End, want.End)
			continue
		}
		kept = append(kept, h)
	}
	*l = append(kept, want)
	l.sort()
}

func (l lockList) sort() {
	slices.SortStableFunc(l, func(a, b FileLock) int {
		return cmp.Or(cmp.Compare(a.Start, b.Start), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Session, b.Session), cmp.Compare(a.Owner, b.Owner))
	})
}

// holds tells whether a session has any lock in the list.
func (l lockList) holds(s honeyant.SessionID) bool {
	return slices.ContainsFunc(l, func(h FileLock) bool { return h.Session == s })
}

func (t *Tx) loadLocks(v honeyant.VolumeID, ino honeyant.Ino) lockList {
	var l lockList
	t.load(inoKey(tabLocks, v, ino), l.fields)
	return l
}

func (t *Tx) storeLocks(v honeyant.VolumeID, ino honeyant.Ino, l lockList) {
	if len(l) == 0 {
		t.del(inoKey(tabLocks, v, ino))
		return
	}
	t.store(inoKey(tabLocks, v, ino), l.fields)
}

// dropLocks takes all locks of a session on an inode away, for a session that is over.
func (t *Tx) dropLocks(s honeyant.SessionID, v honeyant.VolumeID, ino honeyant.Ino) {
	l := t.loadLocks(v, ino)
	if l.holds(s) {
		t.storeLocks(v, ino, slices.DeleteFunc(l, func(h FileLock) bool { return h.Session == s }))
	}
	t.del(heldKey(s, v, ino))
}
