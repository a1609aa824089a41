package volume

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/meta"
)

// File is an open file description. Safe for concurrent use.
type File struct {
	v     *Volume
	in    *inode
	f     OpenFlags
	ahead readAhead
	made  bool        // this Create made the file
	eager atomic.Bool // see WithoutFlush
	told  int         // how many of the inode's lost flushes this File has told; guarded by inode.mu

	mu     sync.Mutex // guards closed
	closed bool
}

// Open opens a regular file: what was closed or fsynced anywhere before is seen from now on. The
// File must be released, whatever happens.
func (v *Volume) Open(ctx context.Context, ino honeyant.Ino, f OpenFlags) (*File, error) {
	in := v.hold(ino)
	file := in.newFile(f)
	if err := in.register(ctx); err != nil {
		file.giveBack(ctx)
		return nil, err
	}
	in.mu.Lock()
	kind := in.attr.Mode & honeyant.ModeType
	in.mu.Unlock()
	var err error
	switch {
	case kind == honeyant.ModeDir:
		err = honeyant.E("volume.Open", honeyant.IsDir, file.object(), nil)
	case kind != honeyant.ModeFile:
		err = honeyant.E("volume.Open", honeyant.Invalid, file.object(), fmt.Errorf("not a regular file"))
	case f.Truncate:
		_, err = v.SetAttr(ctx, &meta.SetAttr{Ino: ino, Valid: meta.SetSize})
	}
	if err != nil {
		file.giveBack(ctx)
		return nil, err
	}
	return file, nil
}

// Create makes a regular file and opens it, in one atomic step. If the name exists it is Exist
// when exclusive, otherwise the existing file is opened.
func (v *Volume) Create(ctx context.Context, n NewNode, f OpenFlags, exclusive bool) (honeyant.Attr, *File, error) {
	n.Mode = n.Mode&^honeyant.ModeType | honeyant.ModeFile
	sent, s := time.Now(), v.link.current()
	r, err := ask(ctx, v, "volume.Create", v.makeOp(n, exclusive, true))
	if err != nil {
		return honeyant.Attr{}, nil, err
	}
	in := v.hold(r.Attr.Ino)
	file := in.newFile(f)
	if r.Existed {
		return file.created(ctx, r.Attr)
	}
	file.made = true
	local := v.journal.madeHere(r.Attr.Ino)
	in.mu.Lock()
	in.learn(r.Attr, sent)
	in.parent = n.Parent
	if !local {
		in.registeredBy(s)
	}
	in.mu.Unlock()
	if local && in.openLeased() || !local && v.link.still(s) {
		return r.Attr, file, nil
	}
	// As in sendOpen.
	if err := in.register(ctx); err != nil {
		file.giveBack(ctx)
		return honeyant.Attr{}, nil, err
	}
	return r.Attr, file, nil
}

// Made tells whether the Create that opened the file made it.
func (f *File) Made() bool { return f.made }

// created ends a Create that found the file there.
func (f *File) created(ctx context.Context, a honeyant.Attr) (honeyant.Attr, *File, error) {
	err := f.in.register(ctx)
	if err == nil && f.f.Truncate {
		a, err = f.v.SetAttr(ctx, &meta.SetAttr{Ino: f.in.ino, Valid: meta.SetSize})
	}
	if err != nil {
		f.giveBack(ctx)
		return honeyant.Attr{}, nil, err
	}
	f.in.mu.Lock()
	defer f.in.mu.Unlock()
	return f.in.merged(f.in.newest(a)), f, nil
}

// newFile makes a File; it takes over the caller's hold on the inode.
func (in *inode) newFile(f OpenFlags) *File {
	in.v.mu.Lock()
	in.opens++
	in.v.mu.Unlock()
	in.v.stats.openings.Add(1)
	in.mu.Lock()
	defer in.mu.Unlock()
	return &File{v: in.v, in: in, f: f, told: in.errs}
}

// register tells the leader that the inode is open here, unless it knows, and refreshes what is
// remembered of it.
func (in *inode) register(ctx context.Context) error {
	v := in.v
	ctx, cancel := v.within(ctx)
	defer cancel()
	if err := in.reg.take(ctx); err != nil {
		return v.fault(ctx, "volume.Open", in.object(), err)
	}
	defer in.reg.give()
	if in.openLeased() {
		return nil
	}
	in.mu.Lock()
	registered := in.registered
	in.mu.Unlock()
	if registered != nil && registered == v.link.current() {
		_, err := in.fetch(ctx, "volume.Open", 0, openExtents)
		return err
	}
	return in.sendOpen(ctx)
}

// registerNow tells the leader that the inode is open here, unless it knows.
func (in *inode) registerNow(ctx context.Context) error {
	if err := in.reg.take(ctx); err != nil {
		return err
	}
	defer in.reg.give()
	in.mu.Lock()
	registered := in.registered
	in.mu.Unlock()
	if registered != nil && registered == in.v.link.current() {
		return nil
	}
	return in.sendOpen(ctx)
}

const openExtents = 64

// sendOpen registers the inode at the leader. in.reg is held.
func (in *inode) sendOpen(ctx context.Context) error {
	v := in.v
	for {
		s, err := v.link.live(ctx)
		if err != nil {
			return v.fault(ctx, "volume.Open", in.object(), err)
		}
		sent := time.Now()
		r, err := ask(ctx, v, "volume.Open", in.openOp())
		if err != nil {
			return err
		}
		in.opened(r, s, sent)
		if v.link.still(s) {
			return nil
		}
		// It died meanwhile: the answer may be of the next one, and Reset may have passed by already.
	}
}

func (in *inode) openOp() *meta.Open {
	return &meta.Open{Volume: in.v.o.Volume, Ino: in.ino, Limit: openExtents}
}

// opened takes in the answer to openOp.
func (in *inode) opened(r *meta.ExtentsReply, s *session, sent time.Time) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.registeredBy(s)
	in.learnOpen(r, sent)
}

// registeredBy notes that the session has counted one more open of the inode. in.mu is held.
func (in *inode) registeredBy(s *session) {
	if in.registered != s {
		in.registered, in.counted = s, 0
	}
	in.counted++
}

// learnOpen takes in what an open tells. in.mu is held.
func (in *inode) learnOpen(r *meta.ExtentsReply, sent time.Time) {
	in.learn(r.Attr, sent)
	if r.Attr.Version == in.attr.Version && r.Until > 0 {
		in.ext.Add(0, int64(min(r.Until, honeyant.MaxFileSize)), r.Extents, r.Chunks)
	}
}

// reregister registers an open inode under a new session that nobody else uses yet. It does not
// take in.reg: who holds it may be waiting for the new session.
func (in *inode) reregister(ctx context.Context, s *session) error {
	in.mu.Lock()
	needed := in.registered != s && (in.registered != nil || in.v.isOpen(in.ino)) // or open under a lease that is gone
	in.mu.Unlock()
	if !needed {
		return nil
	}
	sent := time.Now()
	r, err := meta.Do(ctx, s.meta, in.openOp())
	switch honeyant.KindOf(err) {
	case honeyant.NotExist, honeyant.Stale:
		return nil
	}
	if err != nil {
		return err
	}
	in.opened(r, s, sent)
	in.v.mu.Lock()
	open := in.opens > 0
	in.v.mu.Unlock()
	if open {
		return nil
	}
	in.mu.Lock() // the last File was released meanwhile
	in.registered = nil
	in.mu.Unlock()
	_, err = meta.Do(ctx, s.meta, &meta.Release{Volume: in.v.o.Volume, Ino: in.ino})
	return err
}

func (in *inode) object() string { return fmt.Sprintf("inode %d", in.ino) }
func (f *File) object() string   { return f.in.object() }

// Ino is the inode number.
func (f *File) Ino() honeyant.Ino { return f.in.ino }

// Flags are those it was opened with.
func (f *File) Flags() OpenFlags { return f.f }

// Mode is the mode of the inode as far as it is known here, 0: it is not.
func (f *File) Mode() uint32 {
	f.in.mu.Lock()
	defer f.in.mu.Unlock()
	return f.in.attr.Mode
}

// report tells the last lost flush, once per File.
func (f *File) report() error {
	f.in.mu.Lock()
	defer f.in.mu.Unlock()
	if f.told == f.in.errs {
		return nil
	}
	f.told = f.in.errs
	return f.in.err
}

// Flush is close(2) of one descriptor: it commits what the file has dirty, reports a lost write
// if this File has not told yet, and gives back lockOwner's POSIX locks (0: none). Free of
// requests if there is nothing to do.
func (f *File) Flush(ctx context.Context, lockOwner uint64) error {
	var err error
	if !f.in.mayLinger() {
		err = f.in.flush(ctx)
	}
	if err != nil {
		err = f.v.fault(ctx, "volume.Flush", f.object(), err)
	}
	if lockOwner != 0 && f.in.locked() {
		if e := f.v.unlock(ctx, "volume.Flush", f.in, wholeFile(meta.LockPosix, lockOwner)); err == nil {
			err = e
		}
	}
	if told := f.report(); told != nil {
		return told
	}
	return err
}

// WithoutFlush tells whether the File's descriptors may be closed without Flush: the file was just made, and nobody else can see
// it before a lease on it was recalled, which commits its bytes. From now on each write commits by itself as soon as that is no longer so,
// or when there is so little room that errors must not come late.
func (f *File) WithoutFlush() bool {
	if !f.made || !f.in.unseen() {
		return false
	}
	f.eager.Store(true)
	return true
}

// unseen tells whether nobody else sees what is written before it was asked for, and there is room for it.
func (in *inode) unseen() bool { return in.v.journal.holds(in.ino) && !in.v.room.scarce() }

// Fsync commits what the file has dirty: on return data and attributes are on stable storage.
// dataOnly (fdatasync) is the same at present.
func (f *File) Fsync(ctx context.Context, dataOnly bool) error {
	if err := f.in.sync(ctx); err != nil {
		return f.v.fault(ctx, "volume.Fsync", f.object(), err)
	}
	return f.report()
}

// Release ends the File, after its last Flush. flockOwner's flock locks (0: none) are given back.
// What is still dirty is committed first; errors are returned, but the File is gone all the same.
func (f *File) Release(ctx context.Context, flockOwner uint64) error {
	f.mu.Lock()
	closed := f.closed
	f.closed = true
	f.mu.Unlock()
	if closed {
		return honeyant.E("volume.Release", honeyant.BadHandle, f.object(), nil)
	}
	ctx = context.WithoutCancel(ctx)
	var err error
	if !f.in.mayLinger() {
		err = f.in.flush(ctx)
	}
	if flockOwner != 0 && f.in.locked() {
		if e := f.v.unlock(ctx, "volume.Release", f.in, wholeFile(meta.LockFlock, flockOwner)); err == nil {
			err = e
		}
	}
	if told := f.report(); told != nil {
		err = told
	}
	if e := f.giveBack(ctx); err == nil {
		err = e
	}
	return err
}

// giveBack takes the registration back if this is the last File, and lets the inode go.
func (f *File) giveBack(ctx context.Context) error {
	in, v := f.in, f.v
	v.stats.openings.Add(-1)
	defer in.release()
	v.mu.Lock()
	in.opens--
	last := in.opens == 0
	v.mu.Unlock()
	if !last {
		return nil
	}
	ctx, cancel := v.within(context.WithoutCancel(ctx))
	defer cancel()
	if err := in.reg.take(ctx); err != nil {
		return v.fault(ctx, "volume.Release", in.object(), err)
	}
	defer in.reg.give()
	in.mu.Lock()
	v.mu.Lock() // in one step: a Create may be about to count
	last = in.opens == 0
	v.mu.Unlock()
	s, counted := in.registered, in.counted
	if last {
		in.registered = nil
	}
	in.mu.Unlock()
	if last {
		v.journal.closed(in.ino)
	}
	if !last || s == nil || s != v.link.current() {
		return nil
	}
	if opener, ok := s.leaser.(leasedOpener); ok {
		for range counted {
			opener.CloseLeased(meta.OpenFile{Volume: v.o.Volume, Ino: in.ino})
		}
		return nil
	}
	for range counted { // of these the session tells the leader once
		if _, err := ask(ctx, v, "volume.Release", &meta.Release{Volume: v.o.Volume, Ino: in.ino}); err != nil {
			return err
		}
	}
	return nil
}
