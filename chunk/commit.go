package chunk

import (
	"context"
	"errors"
	"fmt"

	"github.com/honeyant/honeyant"
)

// Commit ends the chunk and returns when it is on stable storage, together with all others
// that are being committed [C1]. If the store already has the chunk with the same content
// it answers that one's generation [C3].
//
// Kinds: Exist (the ID is there with other content), NoSpace, Unavailable (failing, closed, or ctx
// ended: then the chunk may yet get in). The Writer is at its end in any case.
func (w *Writer) Commit(ctx context.Context) (honeyant.Generation, honeyant.ChunkSum, error) {
	const op = "chunk.Commit"
	if w.err != nil {
		err := w.err
		w.Abort()
		return 0, honeyant.ChunkSum{}, err
	}
	if w.done {
		return 0, honeyant.ChunkSum{}, honeyant.E(op, honeyant.BadHandle, w.rec.id.String(), errors.New("the writer has ended"))
	}
	if w.inFrame > 0 {
		w.endFrame()
	}
	w.rec.sum = SumOfCRCs(w.length, w.rec.crcs)
	s := w.store
	if err := s.begin(op); err != nil {
		w.Abort()
		return 0, honeyant.ChunkSum{}, err
	}
	w.done = true
	if err := s.claim(ctx, op, w.rec.id); err != nil {
		w.drop()
		s.wg.Done()
		return 0, honeyant.ChunkSum{}, err
	}
	gen, sum := honeyant.Generation(0), w.rec.sum
	err := detached(ctx, op, w.rec.id, func() error {
		defer s.wg.Done()
		defer s.unclaim(w.rec.id)
		var err error
		gen, err = w.commit()
		return err
	})
	if err != nil {
		return 0, honeyant.ChunkSum{}, err
	}
	return gen, sum, nil
}

// detached runs work and waits for it or for the end of ctx; work goes on then.
func detached(ctx context.Context, op string, id honeyant.ChunkID, work func() error) error {
	if ctx.Done() == nil {
		return work()
	}
	result := make(chan error, 1)
	go func() { result <- work() }() // Close waits for it: work holds the wait group
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		return honeyant.E(op, honeyant.Unavailable, id.String(), context.Cause(ctx))
	}
}

// commit runs while the ID is claimed.
func (w *Writer) commit() (honeyant.Generation, error) {
	const op = "chunk.Commit"
	s := w.store
	stale, gen, err := s.present(op, w.rec.id, w.rec.sum)
	if err != nil || gen != 0 {
		w.drop()
		return gen, err
	}
	if err := w.publish(); err != nil {
		w.drop()
		return 0, err
	}
	s.mu.Lock()
	s.index.insert(hashID(w.rec.id), w.rec.gen)
	w.place.seg.live++
	s.mu.Unlock()
	rec := w.rec
	s.remember(&rec)
	s.finish(w.place)
	if stale != nil {
		// The present one was bad; ours takes its place, and only now may it go.
		if err := s.erase(stale); err != nil {
			s.log.Warn("bad record not erased", "chunk", stale.id.String(), "error", err)
		}
	}
	return w.rec.gen, nil
}

// publish puts the rest and the live state on stable storage.
func (w *Writer) publish() error {
	defer w.giveSlab()
	w.rec.status = live
	w.store.trim(&w.place, metaSectors+sectorsFor(w.length), w.written)
	if err := w.writeRest(); err != nil {
		return err
	}
	return w.store.sync(w.place.seg)
}

// writeRest writes what is not in the file yet, the live state last or together with all else.
func (w *Writer) writeRest() error {
	if !w.written {
		w.most = w.length
		if w.slab == nil { // an empty chunk
			return w.writeMeta(make([]byte, metaSize))
		}
		return w.flush()
	}
	state := make([]byte, 0, sectorSize)
	if w.slab != nil {
		if err := w.flush(); err != nil {
			return err
		}
		state = w.slab.buf[:0]
	}
	state = state[:sectorSize]
	clear(state)
	w.rec.encodeState(state, w.place.seg.seed)
	return w.writeAt(state, w.place.offset()+sectorSize)
}

// present looks whether the chunk is there already: with the same sum and whole, its
// generation; with another sum, Exist; the same but bad, the record to be replaced.
func (s *Store) present(op string, id honeyant.ChunkID, sum honeyant.ChunkSum) (*record, honeyant.Generation, error) {
	seg, rec, err := s.find(op, id, 0)
	if errors.Is(err, honeyant.NotExist) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	defer seg.release()
	if rec.status == suspect {
		return rec, 0, nil
	}
	if rec.sum != sum {
		s.log.Error("chunk put again with other content: refused", "chunk", id.String(), "present", rec.sum, "offered", sum)
		return nil, 0, honeyant.E(op, honeyant.Exist, id.String(), fmt.Errorf("it is here with other content"))
	}
	if err := s.verify(context.Background(), op, seg, rec); err != nil {
		s.log.Warn("chunk put again while the present record is bad: replaced", "chunk", id.String(), "error", err)
		return rec, 0, nil
	}
	return nil, rec.gen, nil
}
