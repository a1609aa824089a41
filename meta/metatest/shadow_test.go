package metatest_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/meta"
	"github.com/honeyant/honeyant/meta/metatest"
)

// shadowed is a volume of which a session evaluates what it can over a Shadow, and flushes it later.
type shadowed struct {
	*metatest.Bare
	rng     *rand.Rand
	shadow  *meta.Shadow
	records []meta.JournalRecord
	next    honeyant.Ino
	end     honeyant.Ino
	local   int // operations that needed no leader
	parts   int // further ones of directories that were held
}

// alone has every exclusive lease that there is.
type alone struct{}

func (alone) Holds(meta.OpenFile) bool               { return true }
func (alone) MayTake(meta.OpenFile, bool, bool) bool { return true }

func newShadowed(t testing.TB, seed uint64) *shadowed {
	s := &shadowed{Bare: metatest.NewBare(t, nil), rng: rand.New(rand.NewPCG(seed, 11))}
	s.Env.Leases = alone{}
	s.shadow = meta.NewShadow(honeyant.MainVolume,
		func(ino honeyant.Ino) bool { return s.IsOpen(honeyant.MainVolume, ino) },
		func() uint64 { s.next++; return uint64(s.next - 1) })
	return s
}

// Do implements the target's Do.
func (s *shadowed) Do(op meta.Op) (meta.Reply, error) {
	if s.rng.IntN(12) == 0 {
		if err := s.flush(); err != nil {
			return nil, err
		}
	}
	if s.end-s.next < 4 {
		r, err := s.Bare.Do(&meta.ReserveInodes{Count: 64})
		if err != nil {
			return nil, err
		}
		first := r.(*meta.ReservedReply).First
		s.next, s.end = first, first+64
	}
	switch o := op.(type) {
	case *meta.Make, *meta.Link, *meta.Unlink, *meta.Rmdir, *meta.Rename, *meta.SetAttr, *meta.SetXattr, *meta.RemoveXattr,
		*meta.Lookup, *meta.GetAttr, *meta.ReadDir, *meta.ReadLink, *meta.GetXattr, *meta.ListXattr, *meta.Extents:
		for range 6 {
			r, err := s.evaluate(op)
			if !errors.Is(err, meta.ErrNotHeld) {
				return r, err
			}
			if err := s.take(op); err != nil {
				return nil, err
			}
		}
	case *meta.FindExtents, *meta.Repack: // nobody is told: the shadow goes on with the extents that it knows
		return s.Bare.Do(op)
	case *meta.Commit:
		if r, err := s.evaluate(o); !o.Append && !errors.Is(err, meta.ErrNotHeld) {
			return r, err
		}
	}
	if err := s.flush(); err != nil {
		return nil, err
	}
	if !meta.ReadOnly(op) {
		s.shadow.Clear()
	}
	return s.Bare.Do(op)
}

// evaluate does an operation over the shadow.
func (s *shadowed) evaluate(op meta.Op) (meta.Reply, error) {
	if commit, ok := op.(*meta.Commit); ok && commit.Append {
		return nil, meta.ErrNotHeld
	}
	l := meta.Local{Op: op, Now: s.Env.Now}
	opens := false
	if mk, ok := op.(*meta.Make); ok {
		with := *mk
		with.Open = false
		l.Op, l.Ino, opens = &with, s.next, mk.Open
	}
	r, touched, err := s.shadow.Do(l)
	if err != nil {
		return nil, err
	}
	s.local++
	changed := false
	for _, t := range touched {
		changed = changed || t.Changed
	}
	if changed {
		s.records = append(s.records, meta.JournalRecord{Now: l.Now, Ino: l.Ino, Op: l.Op})
	}
	if e, ok := r.(*meta.EntryReply); ok && l.Ino != 0 {
		if e.Attr.Ino == l.Ino {
			s.next++
		}
		if opens {
			s.Add(0, honeyant.MainVolume, e.Attr.Ino)
		}
	}
	s.Env.Now = s.Env.Now.AfterBy1()
	return r, nil
}

// take asks for what an operation lacks.
func (s *shadowed) take(op meta.Op) error {
	var inos []honeyant.Ino
	known := map[honeyant.Ino]string{} // the name that is to be known
	name := func(dir honeyant.Ino, name string) {
		inos = append(inos, dir)
		known[dir] = name
		if child, _, ok := s.shadow.Child(dir, name); ok {
			inos = append(inos, child)
		}
	}
	switch op := op.(type) {
	case *meta.Make:
		name(op.Parent, op.Name)
	case *meta.Link:
		inos = append(inos, op.Ino)
		name(op.Parent, op.Name)
	case *meta.Unlink:
		name(op.Parent, op.Name)
	case *meta.Rmdir:
		name(op.Parent, op.Name)
	case *meta.Rename:
		name(op.OldParent, op.OldName)
		name(op.NewParent, op.NewName)
	case *meta.SetAttr:
		inos = append(inos, op.Ino)
	case *meta.SetXattr:
		inos = append(inos, op.Ino)
	default:
		return nil
	}
	for _, ino := range inos {
		take := &meta.Take{Volume: honeyant.MainVolume, Ino: ino, Children: s.rng.IntN(2) == 0, Names: uint32(s.rng.IntN(4))}
		if s.shadow.Has(ino) {
			if name, ok := known[ino]; !ok || s.shadow.Knows(ino, name) {
				continue
			}
			s.parts++
			take.From = s.shadow.Until(ino)
		}
		if err := s.flush(); err != nil {
			return err
		}
		r, err := s.Bare.Do(take)
		if honeyant.KindOf(err) == honeyant.Stale {
			return nil
		}
		if err != nil {
			return err
		}
		if _, err := s.shadow.Take(r.(*meta.TakeReply)); err != nil {
			return err
		}
		return nil
	}
	return nil
}

// flush tells the leader, which must come to the same.
func (s *shadowed) flush() error {
	if len(s.records) > 0 {
		r, err := s.Bare.Do(&meta.Flush{Volume: honeyant.MainVolume, Records: s.records})
		if err != nil {
			return err
		}
		if refused := r.(*meta.FlushReply).Refused; len(refused) > 0 {
			return fmt.Errorf("record %d of %d, %T %+v, is refused: %v", refused[0].Index, len(s.records),
				s.records[refused[0].Index].Op, s.records[refused[0].Index].Op, refused[0].Kind)
		}
		s.records = nil
	}
	var all error
	var gone []honeyant.Ino
	s.shadow.Inodes(func(ino honeyant.Ino) {
		own, _ := s.shadow.Attr(ino)
		if own.Nlink == 0 && !s.IsOpen(honeyant.MainVolume, ino) {
			gone = append(gone, ino)
			return
		}
		r, err := s.Bare.Do(&meta.GetAttr{Volume: honeyant.MainVolume, Ino: ino})
		if err != nil {
			all = errors.Join(all, err)
		} else if at := r.(*meta.AttrReply).Attr; at != own {
			all = errors.Join(all, fmt.Errorf("inode %d: leader %+v, shadow %+v", ino, at, own))
		}
	})
	for _, ino := range gone {
		s.shadow.Drop(ino)
	}
	return all
}

// What a session evaluates over its shadow is what the leader makes of the journal, and what the model expects.
func TestShadowIsTheLeader(t *testing.T) {
	seeds := []uint64{1, 2, 3, 4}
	for range 8 {
		seeds = append(seeds, rand.Uint64())
	}
	for _, seed := range seeds {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			t.Parallel()
			s := newShadowed(t, seed)
			target := s.Target()
			target.Do = s.Do
			target.Now = nil
			target.Check = func() error {
				if err := s.flush(); err != nil {
					return err
				}
				return metatest.Sound(s.DB)
			}
			metatest.Run(t, seed, target, metatest.Options{Ops: 600})
			if s.local < 100 {
				t.Errorf("only %d operations without the leader", s.local)
			}
		})
	}
}
