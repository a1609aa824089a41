package volume

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/meta"
	"github.com/honeyant/honeyant/volume/buffers"
	"github.com/honeyant/honeyant/volume/dirty"
)

// WriteAt writes p at off, or at the end in append mode. It returns when the bytes are in the
// volume's buffer (committed with Sync or Append). p is not kept. If an earlier write of this file
// was lost, that error is returned, once per File.
func (f *File) WriteAt(ctx context.Context, p []byte, off int64, w WriteFlags) (int, error) {
	switch {
	case !f.f.Write && !w.Cached:
		return 0, honeyant.E("volume.Write", honeyant.BadHandle, f.object(), nil)
	case off < 0:
		return 0, honeyant.E("volume.Write", honeyant.Invalid, f.object(), fmt.Errorf("negative offset"))
	case off > honeyant.MaxFileSize-int64(len(p)):
		return 0, honeyant.E("volume.Write", honeyant.TooLarge, f.object(), nil)
	}
	if !w.Cached {
		if err := f.report(); err != nil {
			return 0, err
		}
	}
	if len(p) == 0 {
		return 0, nil
	}
	in := f.in
	admitted, err := f.v.admit(ctx, in, off, int64(len(p)))
	if err != nil {
		return 0, err
	}
	defer admitted()
	if err := in.enter(ctx); err != nil {
		return 0, f.v.fault(ctx, "volume.Write", f.object(), err)
	}
	defer in.write.give()
	if appends := (f.f.Append || w.Append) && !w.Cached && !w.At; appends && f.v.journal.holds(in.ino) {
		in.mu.Lock() // nobody else can append
		off = in.size()
		in.mu.Unlock()
	} else if appends {
		if err := in.append(ctx, p, w.KillPriv); err != nil {
			return 0, err
		}
		return len(p), nil
	}
	n, err := in.buffer(ctx, p, off, w.KillPriv)
	if f.v.names != nil && f.v.names.kept() {
		f.v.names.tellWritten(ctx, in.ino, w.Cached)
	}
	if err != nil && n == 0 {
		return 0, f.v.fault(ctx, "volume.Write", f.object(), err)
	}
	switch {
	case f.f.Sync:
		err = in.sync(ctx)
	case f.eager.Load() && !in.unseen(): // no Flush will come; looked at now, since a recall commits what was dirty when it began
		err = in.flush(ctx)
	default:
		return n, nil
	}
	if err != nil {
		return 0, f.v.fault(ctx, "volume.Write", f.object(), err)
	}
	if err := f.report(); err != nil {
		return 0, err
	}
	return n, nil
}

// enter takes the writer's turn.
func (in *inode) enter(ctx context.Context) error {
	select {
	case in.write <- struct{}{}: // free, as it mostly is: no timer needed
		return nil
	default:
	}
	ctx, cancel := in.v.within(ctx)
	defer cancel()
	return in.write.take(ctx)
}

// buffer takes p in as dirty bytes and tells how many it took. in.write is held.
func (in *inode) buffer(ctx context.Context, p []byte, off int64, killPriv bool) (int, error) {
	pool := in.v.pool
	in.mu.Lock()
	defer in.mu.Unlock()
	in.lastWrite = honeyant.TimeOf(time.Now())
	if in.timesSet { // by a program, after the bytes that are dirty were written
		in.freeze()
		in.timesSet = false
	}
	n := 0
	for n < len(p) {
		at := off + int64(n)
		took, grown := in.dirty.Write(p[n:], at)
		if took > 0 {
			in.grow(grown, killPriv)
			n += took
			in.sendFull(off + int64(n))
			continue
		}
		left := in.dirty.GapAt(at, int64(len(p)-n))
		if r := in.dirty.EndingAt(at); r != nil && r.Full() && r.Buf.Class < pool.Top() {
			if b := pool.Try(r.Buf.Class + 1); b != nil {
				copy(b.B, r.Bytes())
				pool.Put(r.Buf)
				r.Buf = b
				continue
			}
		}
		b := in.tryBuffer(at, left)
		if b == nil {
			class := in.classAt(at, left)
			in.mu.Unlock()
			var err error
			b, err = in.waitBuffer(ctx, class)
			in.mu.Lock()
			if err != nil {
				return n, err
			}
		}
		in.dirty = in.dirty.Insert(&dirty.Run{Off: at, Buf: b})
	}
	if len(in.dirty) >= maxRuns || in.dirtyBytes >= pool.Limit()/2 || pool.Waiting() {
		in.freeze()
	}
	return n, nil
}

// tryBuffer is a buffer for left bytes at an offset, without waiting; nil if there is none. in.mu is held.
func (in *inode) tryBuffer(at, left int64) *buffers.Buffer {
	return in.v.pool.Try(in.classAt(at, left))
}

// classAt is the class of a new buffer: a whole chunk where a stream of full chunks goes on, which is
// worth waiting for, else what fits. in.mu is held.
func (in *inode) classAt(at, left int64) int {
	if in.streamEnd == at {
		return buffers.TopClass
	}
	return buffers.FitClass(left)
}

func (in *inode) waitBuffer(ctx context.Context, class int) (*buffers.Buffer, error) {
	ctx, cancel := in.v.within(ctx)
	defer cancel()
	return in.v.pool.Get(ctx, class, in.v.pressure)
}

// grow counts new dirty bytes. in.mu is held.
func (in *inode) grow(grown int, killPriv bool) {
	if in.dirtyBytes == 0 {
		in.dirtySince = time.Now()
		in.v.flusher.noticeDirty()
	}
	in.dirtyBytes += int64(grown)
	in.v.stats.dirty.Add(int64(grown))
	in.killPriv = in.killPriv || killPriv
}

// sendFull sends everything as soon as the run that ends at off fills a whole chunk: the next one
// is filled while this one is on its way. in.mu is held.
func (in *inode) sendFull(off int64) {
	if r := in.dirty.EndingAt(off); r != nil && r.Full() && r.Buf.Class == in.v.pool.Top() {
		in.freeze()
		in.streamEnd = off
	}
}

// append commits p at the end of the file, wherever the leader finds that to be. in.write is held.
func (in *inode) append(ctx context.Context, p []byte, killPriv bool) error {
	const op = "volume.Append"
	v := in.v
	if err := in.flush(ctx); err != nil {
		return v.fault(ctx, op, in.object(), err)
	}
	ctx, cancel := v.within(ctx)
	defer cancel()
	in.mu.Lock()
	inline := in.size()+int64(len(p)) <= honeyant.InlineLimit
	in.mu.Unlock()
	s, err := v.link.live(ctx)
	if err != nil {
		return v.fault(ctx, op, in.object(), err)
	}
	if inline {
		err := in.appendOnce(ctx, s, nil, []honeyant.Extent{{Length: uint32(len(p)), Inline: bytes.Clone(p)}}, killPriv)
		if honeyant.KindOf(err) != honeyant.OutOfRange { // others have appended: too far for inline bytes
			return v.told(ctx, op, in, err)
		}
	}
	for {
		err := in.appendChunks(ctx, s, p, killPriv)
		if honeyant.KindOf(err) != honeyant.Conflict || pause(ctx, 100*time.Millisecond) != nil {
			return v.told(ctx, op, in, lasting(in, op, err))
		}
		v.forgetPolicies(in) // it asks for more copies by now
	}
}

// appendChunks appends p as chunks, all in one commit.
func (in *inode) appendChunks(ctx context.Context, s *session, p []byte, killPriv bool) (err error) {
	v := in.v
	var chunks []honeyant.ChunkRef
	var extents []honeyant.Extent
	sent := false
	defer func() {
		if sent && unsure(err) {
			return
		}
		for _, c := range chunks {
			s.settle(c.ID)
		}
	}()
	for n := 0; n < len(p); n += honeyant.ChunkSize {
		data := p[n:min(len(p), n+honeyant.ChunkSize)]
		id := s.newChunk()
		ref, err := v.store(ctx, in, id, data)
		if err != nil {
			s.settle(id)
			return err
		}
		chunks = append(chunks, ref)
		extents = append(extents, honeyant.Extent{Offset: uint64(n), Length: uint32(len(data)), Chunk: id})
	}
	sent = true
	return in.appendOnce(ctx, s, chunks, extents, killPriv)
}

// told is v.fault for an error that may be nil.
func (v *Volume) told(ctx context.Context, op string, in *inode, err error) error {
	if err == nil {
		return nil
	}
	return v.fault(ctx, op, in.object(), err)
}

func (in *inode) appendOnce(ctx context.Context, s *session, chunks []honeyant.ChunkRef, extents []honeyant.Extent, killPriv bool) error {
	sent := time.Now()
	reply, err := in.v.commit(ctx, s, &meta.Commit{
		Volume: in.v.o.Volume, Ino: in.ino, Chunks: chunks, Extents: extents, Append: true, KillPriv: killPriv,
	})
	if err != nil {
		return err
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	in.learn(reply.Attr, sent)
	for i := range extents {
		in.v.stats.written.Add(uint64(extents[i].Length))
		in.v.took(int64(extents[i].Length))
	}
	in.v.stats.chunksWritten.Add(uint64(len(chunks)))
	return nil
}

// unsure tells that an operation that failed may have been done all the same.
func unsure(err error) bool {
	if err == nil {
		return false
	}
	switch honeyant.KindOf(err) {
	case honeyant.Unavailable, honeyant.Interrupted, honeyant.Other, honeyant.Internal, honeyant.Fenced, honeyant.NotLeader, honeyant.Superseded:
		return true
	}
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}
