package meta

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/honeyant/honeyant"
)

// everyLease grants what is asked for.
type everyLease struct{}

func (everyLease) Holds(OpenFile) bool               { return true }
func (everyLease) MayTake(OpenFile, bool, bool) bool { return true }

// What a Shadow knows of a directory told in parts: names of the parts it has are there or not there, all others are up to the
// leader; and an answer that comes late, or without those before it, changes nothing of what is known.
func TestShadowOfADirectoryInParts(t *testing.T) {
	v := newVolume(t)
	dir := v.mk(honeyant.RootIno, "d", honeyant.ModeDir)
	const files = 40
	var names []string
	for n := range files {
		name := fmt.Sprint("f", n)
		v.mk(dir, name, honeyant.ModeFile)
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		if nameHash(a) < nameHash(b) {
			return -1
		}
		return 1
	})
	part := func(from uint64) *TakeReply {
		t.Helper()
		reply, _, err := Eval(v.db, Env{Session: 9, Leases: everyLease{}}, &Take{Volume: 1, Ino: dir, Children: true, From: from, Names: 10})
		if err != nil {
			t.Fatal(err)
		}
		return reply.(*TakeReply)
	}
	next := honeyant.Ino(1000)
	s := NewShadow(1, func(honeyant.Ino) bool { return false }, func() uint64 { next++; return uint64(next) })
	look := func(name string) error {
		_, _, err := s.Do(Local{Op: &Lookup{Volume: 1, Parent: dir, Name: name}})
		return err
	}
	take := func(r *TakeReply) {
		t.Helper()
		if _, err := s.Take(r); err != nil {
			t.Fatal(err)
		}
	}
	first := part(0)
	second := part(first.Until)
	third := part(second.Until)
	take(first)
	if err := look(names[0]); err != nil {
		t.Errorf("a name of the first part: %v", err)
	}
	ahead, whole := s.Ahead(dir, names[10])
	if err := look(names[10]); !errors.Is(err, ErrNotHeld) || s.Knows(dir, names[10]) || ahead < 1 || ahead > 10 || whole < 15 || whole > 60 {
		t.Errorf("a name of the second part: %v, %d of %d names ahead", err, ahead, whole)
	}
	if _, _, err := s.Do(Local{Op: &ReadDir{Volume: 1, Dir: dir}}); !errors.Is(err, ErrNotHeld) {
		t.Errorf("listing what is known in part: %v", err)
	}
	take(third) // crossed the second
	if err := look(names[20]); !errors.Is(err, ErrNotHeld) {
		t.Errorf("a name behind a gap: %v", err)
	}
	take(second)
	if err := look(names[10]); err != nil {
		t.Errorf("a name of the second part: %v", err)
	}
	if _, _, err := s.Do(Local{Op: &Unlink{Volume: 1, Parent: dir, Name: names[10]}}); err != nil {
		t.Fatal(err)
	}
	take(second) // again, and too late
	if err := look(names[10]); !errors.Is(err, honeyant.NotExist) {
		t.Errorf("a name that was removed here: %v", err)
	}
	take(part(second.Until))
	take(part(s.Until(dir)))
	if s.Until(dir) != AllNames {
		t.Fatalf("known up to %x after all parts", s.Until(dir))
	}
	r, _, err := s.Do(Local{Op: &ReadDir{Volume: 1, Dir: dir}})
	if err != nil || len(r.(*ReadDirReply).Entries) != files-1 {
		t.Errorf("listing what is known as a whole: %v, %v", r, err)
	}
	s.Drop(dir)
	if s.Has(dir) || s.Knows(dir, names[0]) || !errors.Is(look(names[0]), ErrNotHeld) {
		t.Error("something is left of what was dropped")
	}
}

// What is used goes behind what is not, however often others were used before.
func TestShadowByUse(t *testing.T) {
	v := newVolume(t)
	const files = 20
	next := honeyant.Ino(1000)
	s := NewShadow(1, func(honeyant.Ino) bool { return false }, func() uint64 { next++; return uint64(next) })
	var want []honeyant.Ino
	for n := range files {
		ino := v.mk(honeyant.RootIno, fmt.Sprint("f", n), honeyant.ModeFile)
		reply, _, err := Eval(v.db, Env{Session: 9, Leases: everyLease{}}, &Take{Volume: 1, Ino: ino})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Take(reply.(*TakeReply)); err != nil {
			t.Fatal(err)
		}
		want = append(want, ino)
	}
	for i, ino := range want {
		for range 1 + files - i { // the first ones most often
			if _, ok := s.Attr(ino); !ok {
				t.Fatal("not held:", ino)
			}
		}
	}
	if got := s.ByUse(); !slices.Equal(got, want) {
		t.Errorf("by use %v, want %v", got, want)
	}
	s.Attr(want[0])
	if got := s.ByUse(); got[files-1] != want[0] || got[0] != want[1] {
		t.Errorf("once more used, %d is not the last of %v", want[0], got)
	}
}
