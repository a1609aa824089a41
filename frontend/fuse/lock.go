package fuse

import (
	"slices"
	"sync"
	"syscall"

	gofuse "github.com/hanwen/go-fuse/v2/fuse"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/meta"
)

// toEnd is the end of a lock that reaches to the end of the file, for the kernel and for meta.
const toEnd = 1<<63 - 1

func fileLock(in *gofuse.LkIn) meta.FileLock {
	l := meta.FileLock{
		Kind: meta.LockPosix, Write: in.Lk.Typ == syscall.F_WRLCK, Owner: in.Owner, PID: in.Lk.Pid,
		Start: in.Lk.Start, End: in.Lk.End,
	}
	if in.LkFlags&gofuse.LK_FLOCK != 0 {
		l.Kind, l.Start, l.End = meta.LockFlock, 0, toEnd
	}
	return l
}

// GetLk is F_GETLK.
func (fs *FS) GetLk(cancel <-chan struct{}, in *gofuse.LkIn, out *gofuse.LkOut) gofuse.Status {
	c := fs.begin(cancel, &in.InHeader)
	defer c.done()
	granted, other, err := fs.volume.GetLock(c.ctx, honeyant.Ino(in.NodeId), fileLock(in))
	if err != nil {
		return status(err)
	}
	if granted {
		out.Lk = gofuse.FileLock{Typ: syscall.F_UNLCK}
		return gofuse.OK
	}
	out.Lk = gofuse.FileLock{Start: other.Start, End: other.End, Typ: syscall.F_RDLCK, Pid: other.PID}
	if other.Write {
		out.Lk.Typ = syscall.F_WRLCK
	}
	return gofuse.OK
}

// SetLk is F_SETLK and flock with LOCK_NB; F_UNLCK gives back.
func (fs *FS) SetLk(cancel <-chan struct{}, in *gofuse.LkIn) gofuse.Status {
	c := fs.begin(cancel, &in.InHeader)
	defer c.done()
	return fs.setLock(c, in, false)
}

// SetLkw is F_SETLKW and flock: it waits until the lock is granted or a signal comes.
func (fs *FS) SetLkw(cancel <-chan struct{}, in *gofuse.LkIn) gofuse.Status {
	c := fs.begin(cancel, &in.InHeader)
	defer c.done()
	defer c.interruptible()()
	return fs.setLock(c, in, true)
}

func (fs *FS) setLock(c *call, in *gofuse.LkIn, wait bool) gofuse.Status {
	ino, lock := honeyant.Ino(in.NodeId), fileLock(in)
	if in.Lk.Typ == syscall.F_UNLCK {
		return status(fs.volume.Unlock(c.ctx, ino, lock))
	}
	if h, ok := fs.files.get(in.Fh); ok && h.eager && lock.Kind == meta.LockPosix {
		h.lockedBy(in.Owner)
		fs.lockable.add(ino)
	}
	return status(fs.volume.SetLock(c.ctx, ino, lock, wait))
}

// lockedBy notes who gets a POSIX lock through a file that is closed without FLUSH, which would give it back.
func (h *handle) lockedBy(owner uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !slices.Contains(h.owners, owner) {
		h.owners = append(h.owners, owner)
	}
}

// giveBackLocks gives back what lockedBy noted.
func (fs *FS) giveBackLocks(c *call, h *handle) {
	h.mu.Lock()
	owners := h.owners
	h.mu.Unlock()
	for _, owner := range owners {
		l := meta.FileLock{Kind: meta.LockPosix, Owner: owner, End: toEnd}
		if err := fs.volume.Unlock(c.ctx, h.Ino(), l); err != nil {
			fs.options.Log.Warn("fuse: release of a lock", "inode", uint64(h.Ino()), "error", err)
		}
	}
}

// lockable remembers files that were locked through a descriptor without FLUSH: whoever locked one is likely to do so
// again, and the next descriptors get FLUSH, so that closing them gives their locks back. It is a guess that costs a request,
// and is forgotten now and then.
type lockable struct {
	mu   sync.Mutex // guards what follows
	inos map[honeyant.Ino]struct{}
}

const mostLockable = 4096

func (l *lockable) add(ino honeyant.Ino) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.inos == nil || len(l.inos) >= mostLockable {
		l.inos = map[honeyant.Ino]struct{}{}
	}
	l.inos[ino] = struct{}{}
}

func (l *lockable) has(ino honeyant.Ino) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, ok := l.inos[ino]
	return ok
}
