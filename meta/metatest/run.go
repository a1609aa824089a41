package metatest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/meta"
)

// A Target is what a history runs against: one volume, empty but for its root, used by one
// session and nobody else.
type Target struct {
	Volume honeyant.VolumeID
	// Do carries out an operation for the session.
	Do func(op meta.Op) (meta.Reply, error)
	// Session and Incarnation go into the IDs of chunks, Replicas are said to hold them.
	Session     honeyant.SessionID
	Incarnation uint32
	Replicas    []honeyant.Replica
	// Now is the clock that the next operation will see; nil: times are not compared.
	Now func() honeyant.Time
	// Reaps says that the history has to do Reap itself: nobody else deletes orphans. Then it also
	// sees to it that orphans which nobody has open do go.
	Reaps bool
	// Repacks says that the history moves extents into new chunks now and then, as reclaim does.
	Repacks bool
	// Check, if set, is called after each stretch and fails if the metadata are not sound.
	Check func() error
}

// Options says how long a history is.
type Options struct {
	Ops   int // operations; 0: 400
	Every int // operations between comparisons of everything; 0: 100
}

// Run does a random history and compares target with the model at each step.
func Run(t testing.TB, seed uint64, target Target, opts Options) {
	t.Helper()
	if opts.Ops == 0 {
		opts.Ops = 400
	}
	if opts.Every == 0 {
		opts.Every = 100
	}
	h := &history{Target: target, rng: rand.New(rand.NewPCG(seed, 7))}
	if err := h.run(opts); err != nil {
		t.Fatalf("seed %d, operation %d: %v", seed, h.done, err)
	}
}

// A history is one run at work.
type history struct {
	Target
	rng     *rand.Rand
	m       *model
	counter uint64 // of chunks
	done    int
}

func (h *history) run(opts Options) error {
	reply, err := h.Do(&meta.GetAttr{Volume: h.Volume, Ino: honeyant.RootIno})
	if err != nil {
		return err
	}
	h.m = newModel(reply.(*meta.AttrReply).Attr)
	h.m.timed = h.Now != nil
	for h.done = 1; h.done <= opts.Ops; h.done++ {
		if err := h.step(h.next()); err != nil {
			return err
		}
		if h.Repacks && h.chance(12) {
			if err := h.repack(); err != nil {
				return fmt.Errorf("repacking: %w", err)
			}
		}
		if h.done%opts.Every == 0 || h.done == opts.Ops {
			if err := h.compare(); err != nil {
				return fmt.Errorf("comparing everything: %w", err)
			}
		}
	}
	return nil
}

// step does one operation on both sides.
func (h *history) step(op meta.Op) error {
	if h.Now != nil {
		h.m.now = h.Now()
	}
	before := h.sizes(op)
	got, err := h.Do(op)
	if err != nil && h.refused(op, err) {
		return nil
	}
	if got == nil {
		got = meta.NewReply(op)
	}
	kind, apply := h.expect(op, got)
	switch {
	case err != nil && kind == ok:
		return fmt.Errorf("%T %+v: %w; should work (%s)", op, op, err, before)
	case err == nil && kind != ok:
		return fmt.Errorf("%T %+v worked; should be %q", op, op, kind)
	case err != nil && !errors.Is(err, kind):
		return fmt.Errorf("%T %+v: %w; should be %q", op, op, err, kind)
	case err != nil:
		return nil
	}
	if err := apply(); err != nil {
		return fmt.Errorf("%T %+v: %w", op, op, err)
	}
	return nil
}

// sizes describes the file of an operation, for messages.
func (h *history) sizes(op meta.Op) string {
	if o, is := op.(*meta.Commit); is && h.m.nodes[o.Ino] != nil {
		return fmt.Sprintf("size %d", h.m.nodes[o.Ino].attr.Size)
	}
	return ""
}

// refused tells an answer that the documentation allows instead of doing it: a cut while one is
// pending, more extents than one operation may touch, inline data that can not be shared.
func (h *history) refused(op meta.Op, err error) bool {
	kind := honeyant.KindOf(err)
	switch o := op.(type) {
	case *meta.SetAttr:
		return o.Valid&meta.SetSize != 0 && kind == honeyant.Conflict
	case *meta.Punch:
		return kind == honeyant.Conflict || kind == honeyant.OutOfRange
	case *meta.Clone:
		return kind == honeyant.Unsupported && o.SrcOffset < honeyant.InlineLimit
	case *meta.Commit:
		return kind == honeyant.OutOfRange && len(o.Extents) > 0 && (len(o.Extents) > 100 || o.Extents[0].Inline != nil && o.Append)
	}
	return false
}

// expect asks the model.
func (h *history) expect(op meta.Op, got meta.Reply) (honeyant.Kind, func() error) {
	m := h.m
	switch o := op.(type) {
	case *meta.Make:
		return m.make(o, got.(*meta.EntryReply))
	case *meta.Link:
		return m.link(o, got.(*meta.EntryReply))
	case *meta.Unlink:
		return m.remove(o.Parent, o.Name, false, got.(*meta.RemovedReply))
	case *meta.Rmdir:
		return m.remove(o.Parent, o.Name, true, got.(*meta.RemovedReply))
	case *meta.Rename:
		return m.rename(o, got.(*meta.RenameReply))
	case *meta.SetAttr:
		return m.setattr(o, got.(*meta.AttrReply))
	case *meta.Commit:
		return m.commit(o, got.(*meta.CommitReply))
	case *meta.Punch:
		return m.punch(o, got.(*meta.AttrReply))
	case *meta.Allocate:
		return m.allocate(o, got.(*meta.AttrReply))
	case *meta.Clone:
		return m.clone(o, got.(*meta.CloneReply))
	case *meta.Seek:
		return m.seek(o, got.(*meta.SeekReply))
	case *meta.SetXattr:
		return m.setXattr(o, got.(*meta.AttrReply))
	case *meta.RemoveXattr:
		return m.removeXattr(o, got.(*meta.AttrReply))
	case *meta.GetXattr:
		return m.getXattr(o, got.(*meta.XattrReply))
	}
	return h.expectMore(op, got)
}

// expectMore is expect for locks, opens and Reap.
func (h *history) expectMore(op meta.Op, got meta.Reply) (honeyant.Kind, func() error) {
	m := h.m
	fine := func() error { return nil }
	switch o := op.(type) {
	case *meta.Lock:
		return m.lock(o.Ino, &o.Lock, true, got.(*meta.LockReply))
	case *meta.GetLock:
		return m.lock(o.Ino, &o.Lock, false, got.(*meta.LockReply))
	case *meta.Unlock:
		if n := m.nodes[o.Ino]; n != nil && n.locks != nil {
			return ok, func() error { n.locks.set(&o.Lock, 0); return nil }
		}
		return ok, fine
	case *meta.Open:
		n := m.nodes[o.Ino]
		if n == nil {
			return honeyant.Stale, nil
		}
		return ok, func() error {
			n.open = true
			return m.same("open", n, got.(*meta.ExtentsReply).Attr)
		}
	case *meta.Release:
		if n := m.nodes[o.Ino]; n != nil {
			n.open = false
			if n.attr.Nlink == 0 && !h.Reaps {
				delete(m.nodes, o.Ino)
			}
		}
		return ok, fine
	case *meta.Reap:
		return ok, func() error { return h.reaped(got.(*meta.ReapReply)) }
	}
	return honeyant.Unsupported, nil
}

// reaped checks what Reap left of the orphans: after the last slice only open ones.
func (h *history) reaped(got *meta.ReapReply) error {
	if got.Left {
		got, err := meta.Do(h.ctx(), doer(h.Do), &meta.Reap{Volume: h.Volume, Limit: 50})
		if err != nil {
			return err
		}
		return h.reaped(got)
	}
	for ino, n := range h.m.nodes {
		if n.attr.Nlink > 0 || n.open {
			continue
		}
		if _, err := h.Do(&meta.GetAttr{Volume: h.Volume, Ino: ino}); !errors.Is(err, honeyant.Stale) {
			return fmt.Errorf("orphan %d is still there: %v", ino, err)
		}
		delete(h.m.nodes, ino)
	}
	return nil
}
