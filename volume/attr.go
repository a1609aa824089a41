package volume

import (
	"context"
	"fmt"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/meta"
)

// GetAttr tells the committed attributes, merged with size and mtime of this volume's own bytes
// that are not committed yet.
func (v *Volume) GetAttr(ctx context.Context, ino honeyant.Ino) (honeyant.Attr, error) {
	in := v.peek(ino)
	sent := time.Now()
	if in != nil {
		defer in.release()
	}
	r, err := ask(ctx, v, "volume.GetAttr", &meta.GetAttr{Volume: v.o.Volume, Ino: ino})
	if err != nil {
		return honeyant.Attr{}, err
	}
	if in == nil {
		return v.seen(r.Attr), nil // it may have been opened meanwhile
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	in.learn(r.Attr, sent)
	return in.merged(in.newest(r.Attr)), nil
}

// newest is a, or what is known if that is newer: own bytes may have been committed while the
// answer was on its way. in.mu is held.
func (in *inode) newest(a honeyant.Attr) honeyant.Attr {
	if in.known && in.attr.Version > a.Version {
		return in.attr
	}
	return a
}

// SetAttr changes attributes; see meta.SetAttr, whose Volume is filled in here. This volume's own
// dirty bytes of the file are committed first (bytes past a smaller size are dropped instead), so
// that no later flush undoes the change.
func (v *Volume) SetAttr(ctx context.Context, op *meta.SetAttr) (honeyant.Attr, error) {
	const name = "volume.SetAttr"
	with := *op
	with.Volume = v.o.Volume
	if with.Valid&meta.SetSize != 0 && with.Size > honeyant.MaxFileSize {
		return honeyant.Attr{}, honeyant.E(name, honeyant.TooLarge, fmt.Sprintf("inode %d", op.Ino), nil)
	}
	in := v.hold(op.Ino)
	defer in.release()
	if err := in.enter(ctx); err != nil {
		return honeyant.Attr{}, v.fault(ctx, name, in.object(), err)
	}
	defer in.write.give()
	var cut int64
	if with.Valid&meta.SetSize != 0 {
		in.mu.Lock()
		cut = in.trim(int64(with.Size))
		in.mu.Unlock()
	}
	var err error
	if !in.keepDirty(&with) {
		err = in.flush(ctx)
	}
	sent := time.Now()
	var r *meta.AttrReply
	if err == nil {
		r, sent, err = askFreed(ctx, v, name, &with)
	} else {
		err = v.fault(ctx, name, in.object(), err)
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	if err != nil {
		if cut > 0 { // the file may keep its size, and these bytes are nowhere any more
			in.lost(err)
		}
		return honeyant.Attr{}, err
	}
	in.learn(r.Attr, sent)
	return in.merged(in.newest(r.Attr)), nil
}

// keepDirty tells whether what is dirty may be committed after op without undoing it, and sees to that: nobody else
// changes the inode, and op does not depend on the bytes. in.write is held.
func (in *inode) keepDirty(op *meta.SetAttr) bool {
	if op.Valid&meta.SetSize != 0 || !in.v.journal.holds(in.ino) {
		return false
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	clearing := in.killPriv
	for _, f := range in.flights {
		if f.asking || f.uploaded {
			return false
		}
		clearing = clearing || f.killPriv
	}
	if clearing && op.Valid&(meta.SetMode|meta.SetUID|meta.SetGID) != 0 {
		return false
	}
	if op.Valid&(meta.SetMtime|meta.SetMtimeNow) == 0 {
		return true
	}
	for _, f := range in.flights {
		f.keepTimes = true
	}
	in.timesSet = len(in.dirty) > 0
	return true
}

// trim drops dirty bytes at or past size, which is about to be cut, and tells how many. in.mu is held.
func (in *inode) trim(size int64) (gone int64) {
	in.dirty, gone = in.dirty.Cut(size, in.v.pool.Put)
	in.dirtyBytes -= gone
	in.v.stats.dirty.Add(-gone)
	if in.lingering && len(in.dirty) == 0 {
		in.lingering = false
		in.release() // the caller holds it, too
	}
	return gone
}
