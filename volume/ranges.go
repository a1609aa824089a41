package volume

import (
	"context"
	"fmt"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/meta"
)

// Allocate is fallocate(2) with its mode bits (Falloc...). Space is not set aside. Collapse,
// insert and unshare are Unsupported.
func (f *File) Allocate(ctx context.Context, mode uint32, off, length int64) error {
	const name = "volume.Allocate"
	in, v := f.in, f.v
	keep := mode&FallocKeepSize != 0
	var op func(off, length uint64) meta.Request[*meta.AttrReply]
	switch {
	case !f.f.Write:
		return honeyant.E(name, honeyant.BadHandle, f.object(), nil)
	case off < 0 || length <= 0:
		return honeyant.E(name, honeyant.Invalid, f.object(), fmt.Errorf("range %d+%d", off, length))
	case off > honeyant.MaxFileSize-length:
		return honeyant.E(name, honeyant.TooLarge, f.object(), nil)
	case mode&^FallocKeepSize == 0:
		op = func(off, length uint64) meta.Request[*meta.AttrReply] {
			return &meta.Allocate{Volume: v.o.Volume, Ino: in.ino, Offset: off, Length: length, KeepSize: keep}
		}
	case mode == FallocPunchHole|FallocKeepSize, mode&^FallocKeepSize == FallocZeroRange:
		op = func(off, length uint64) meta.Request[*meta.AttrReply] {
			return &meta.Punch{Volume: v.o.Volume, Ino: in.ino, Offset: off, Length: length, KeepSize: keep}
		}
	default:
		return honeyant.E(name, honeyant.Unsupported, f.object(), fmt.Errorf("mode %#x", mode))
	}
	if mode&^FallocKeepSize == 0 && !v.fits(ctx, in, length) {
		return honeyant.E(name, honeyant.NoSpace, f.object(), nil)
	}
	if err := in.enter(ctx); err != nil {
		return v.fault(ctx, name, f.object(), err)
	}
	defer in.write.give()
	if err := in.flush(ctx); err != nil {
		return v.fault(ctx, name, f.object(), err)
	}
	ctx, cancel := v.within(ctx)
	defer cancel()
	return in.inParts(ctx, name, uint64(off), uint64(length), op)
}

// inParts carries op out for a range, in parts if the leader says that it is too much at a time.
func (in *inode) inParts(ctx context.Context, name string, off, length uint64, op func(off, length uint64) meta.Request[*meta.AttrReply]) error {
	r, sent, err := askFreed(ctx, in.v, name, op(off, length))
	if honeyant.KindOf(err) == honeyant.OutOfRange && length > 1 {
		half := length / 2
		if err := in.inParts(ctx, name, off, half, op); err != nil {
			return err
		}
		return in.inParts(ctx, name, off+half, length-half, op)
	}
	if err != nil {
		return err
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	in.learn(r.Attr, sent)
	return nil
}

// askFreed is ask for what may have to wait until the bytes of an earlier cut are freed, which the leader tells
// by Conflict. sent is when the request was sent that was answered.
func askFreed[R meta.Reply](ctx context.Context, v *Volume, name string, op meta.Request[R]) (r R, sent time.Time, err error) {
	ctx, cancel := v.within(ctx)
	defer cancel()
	for wait := 10 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		sent = time.Now()
		r, err = ask(ctx, v, name, op)
		if honeyant.KindOf(err) != honeyant.Conflict {
			return r, sent, err
		}
		if pause(ctx, wait) != nil {
			return r, sent, honeyant.E(name, honeyant.Unavailable, "", err)
		}
	}
}

// Seek finds the next data (or hole) at or after off, as lseek(2) with SEEK_DATA (SEEK_HOLE).
// NoDevice at or past the end.
func (f *File) Seek(ctx context.Context, off int64, hole bool) (int64, error) {
	const name = "volume.Seek"
	if off < 0 {
		return 0, honeyant.E(name, honeyant.NoDevice, f.object(), nil)
	}
	if err := f.in.flush(ctx); err != nil {
		return 0, f.v.fault(ctx, name, f.object(), err)
	}
	r, err := ask(ctx, f.v, name, &meta.Seek{Volume: f.v.o.Volume, Ino: f.in.ino, Offset: uint64(off), Hole: hole})
	if err != nil {
		return 0, err
	}
	return int64(r.Offset), nil
}

const (
	shareFrom = 256<<10 + 1 // bytes from which it is quicker to commit that extents are shared than to copy what is known
	copyStep  = 128 << 10   // bytes
	maxCopies = 4           // at a time, with a buffer of copyStep each
)

// CopyRange copies as copy_file_range(2) and tells how many bytes, which may be fewer than length: at the end of f, or because one
// step was long enough. Fewer than shareFrom bytes are written as by WriteAt; more are shared extents, committed on return.
// Overlapping ranges of one file are Invalid.
func (f *File) CopyRange(ctx context.Context, off int64, dst *File, dstOff, length int64) (int64, error) {
	const name = "volume.CopyRange"
	v, to := f.v, dst.in
	switch {
	case !f.f.Read || !dst.f.Write || dst.f.Append:
		return 0, honeyant.E(name, honeyant.BadHandle, f.object(), nil)
	case dst.v != v:
		return 0, honeyant.E(name, honeyant.CrossDevice, f.object(), nil)
	case off < 0 || dstOff < 0 || length < 0 || f.in == to && off < dstOff+length && dstOff < off+length:
		return 0, honeyant.E(name, honeyant.Invalid, f.object(), nil)
	case dstOff > honeyant.MaxFileSize-length || off > honeyant.MaxFileSize-length:
		return 0, honeyant.E(name, honeyant.TooLarge, f.object(), nil)
	}
	if length < shareFrom {
		return f.copyBytes(ctx, off, dst, dstOff, length)
	}
	if err := to.enter(ctx); err != nil {
		return 0, v.fault(ctx, name, dst.object(), err)
	}
	defer to.write.give()
	for _, in := range []*inode{f.in, to} {
		if err := in.flush(ctx); err != nil {
			return 0, v.fault(ctx, name, in.object(), err)
		}
	}
	sent := time.Now()
	r, err := ask(ctx, v, name, &meta.Clone{
		Volume: v.o.Volume, Src: f.in.ino, SrcOffset: uint64(off), Dst: to.ino, DstOffset: uint64(dstOff), Length: uint64(length),
	})
	if err != nil {
		return 0, err
	}
	to.mu.Lock()
	defer to.mu.Unlock()
	to.learn(r.Attr, sent)
	return int64(r.Copied), nil
}

// copyBytes is CopyRange by reading and writing.
func (f *File) copyBytes(ctx context.Context, off int64, dst *File, dstOff, length int64) (done int64, err error) {
	b, err := f.v.copies.Take(ctx)
	if err != nil {
		return 0, f.v.fault(ctx, "volume.CopyRange", f.object(), err)
	}
	defer f.v.copies.Give(b)
	for done < length {
		n, err := f.ReadAt(ctx, b[:min(length-done, copyStep)], off+done)
		if err == nil && n > 0 {
			n, err = dst.WriteAt(ctx, b[:n], dstOff+done, WriteFlags{At: true, KillPriv: true})
		}
		if err != nil && done == 0 {
			return 0, err
		}
		done += int64(n)
		if err != nil || n == 0 {
			break // what was done counts; the next call meets the error
		}
	}
	return done, nil
}
