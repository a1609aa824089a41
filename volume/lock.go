package volume

import (
	"context"
	"math"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/meta"
)

// lockPoll is how often a waiting SetLock asks again, at first and at most.
const (
	lockPollFirst = 2 * time.Millisecond
	lockPollMost  = 250 * time.Millisecond
)

// GetLock tells whether lock would be granted, and if not, one lock that stands in the way (F_GETLK).
func (v *Volume) GetLock(ctx context.Context, ino honeyant.Ino, lock meta.FileLock) (granted bool, conflict meta.FileLock, err error) {
	r, err := ask(ctx, v, "volume.GetLock", &meta.GetLock{Volume: v.o.Volume, Ino: ino, Lock: lock})
	if err != nil {
		return false, meta.FileLock{}, err
	}
	return r.Granted, r.Conflict, nil
}

// SetLock takes a lock or changes its type, after this volume's dirty bytes of the file are
// committed; once it is granted, what other nodes committed before is seen. Without wait a lock
// that somebody else holds is Conflict; with wait the call ends when ctx does (Interrupted). The
// deadline of other calls does not count while waiting: F_SETLKW waits as long as the program does.
func (v *Volume) SetLock(ctx context.Context, ino honeyant.Ino, lock meta.FileLock, wait bool) error {
	const name = "volume.SetLock"
	in := v.hold(ino)
	defer in.release()
	if err := in.flush(ctx); err != nil {
		return v.fault(ctx, name, in.object(), err)
	}
	in.mu.Lock()
	in.locks++ // before the answer: a lost answer may have granted it
	in.mu.Unlock()
	for poll := lockPollFirst; ; poll = min(2*poll, lockPollMost) {
		// Only the pauses end with ctx: a lock that is granted to somebody who has stopped listening stays.
		r, err := ask(context.WithoutCancel(ctx), v, name, &meta.Lock{Volume: v.o.Volume, Ino: ino, Lock: lock})
		switch {
		case err != nil:
			return err
		case r.Granted:
			in.granted()
			return nil
		case !wait:
			return honeyant.E(name, honeyant.Conflict, in.object(), nil)
		}
		if err := pause(ctx, poll); err != nil {
			return honeyant.E(name, honeyant.Interrupted, in.object(), err)
		}
	}
}

// Unlock commits the file's dirty bytes and gives the owner's locks in the range back.
func (v *Volume) Unlock(ctx context.Context, ino honeyant.Ino, lock meta.FileLock) error {
	in := v.hold(ino)
	defer in.release()
	return v.unlock(ctx, "volume.Unlock", in, lock)
}

func (v *Volume) unlock(ctx context.Context, name string, in *inode, lock meta.FileLock) error {
	flushed := in.flush(ctx)
	if _, err := ask(ctx, v, name, &meta.Unlock{Volume: v.o.Volume, Ino: in.ino, Lock: lock}); err != nil {
		return err
	}
	if flushed != nil {
		return v.fault(ctx, name, in.object(), flushed)
	}
	return nil
}

// wholeFile is the range of all locks of one owner.
func wholeFile(kind meta.LockKind, owner uint64) meta.FileLock {
	return meta.FileLock{Kind: kind, Owner: owner, End: math.MaxInt64}
}

// locked tells whether any lock has been taken here since the inode was opened; only then closing
// must give locks back.
func (in *inode) locked() bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.locks > 0
}

// Locked tells whether a lock of the file may be held on this node, through whichever File.
func (f *File) Locked() bool { return f.in.locked() }

// granted notes a lock, and makes the next read ask the leader first, whatever answers are still on their way.
func (in *inode) granted() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.checked, in.forgotten = time.Time{}, time.Now()
	in.locks++ // again: the session that was asked first may have died since, and its locks with it
}
