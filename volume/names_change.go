package volume

import (
	"context"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/meta"
)

// A Leaser is a Meta that can hold shared leases, under which a volume remembers names and attributes.
type Leaser interface {
	Meta
	// Watch asks for leases from now on; forget is told what may not be remembered any more. Once only.
	Watch(forget func([]meta.OpenFile))
	// Era numbers the time in which leases are in force; ok false if none are now.
	Era() (era uint64, ok bool)
	// DoLeased is Do that asks for leases and tells which were granted.
	DoLeased(ctx context.Context, op meta.Op, w meta.Want) (meta.Reply, meta.Held, error)
}

// watch lets the session's leases keep the cache.
func (v *Volume) watch(s *session) {
	if l, ok := s.meta.(Leaser); ok && v.names != nil {
		s.leaser = l
		v.names.adopt(s)
		v.journal.adopt(s)
		l.Watch(v.names.forget)
	}
}

// call carries an operation out under a session, from memory if that is as good.
func (v *Volume) call(ctx context.Context, s *session, op meta.Op) (meta.Reply, error) {
	n := v.names
	if s.leaser == nil {
		return s.meta.Do(ctx, op)
	}
	r, done, inos, err := v.journal.carryOut(ctx, s, op)
	if done {
		return r, err
	}
	defer v.journal.over(inos)
	if !meta.ReadOnly(op) {
		return n.change(ctx, s, op, inos)
	}
	if !remembered(op) {
		return s.meta.Do(ctx, op)
	}
	if r, err, ok := n.answer(s, op); ok {
		n.hits.Add(1)
		return r, err
	}
	if n.lookAhead(ctx, s, op) {
		if r, err, ok := n.answer(s, op); ok {
			n.hits.Add(1)
			return r, err
		}
	}
	n.misses.Add(1)
	asked := op
	op = n.richer(op)
	since := n.moment()
	r, held, err := s.leaser.DoLeased(ctx, op, meta.Want{})
	n.learn(s, op, r, err, held, since)
	n.enriched(asked, op, r, err)
	if err == nil {
		v.journal.overlay(r)
	}
	return r, err
}

// remembered tells whether the answer to a read is of any use later.
func remembered(op meta.Op) bool {
	switch op.(type) {
	case *meta.Lookup, *meta.GetAttr, *meta.ReadDir, *meta.ReadLink, *meta.GetXattr, *meta.ListXattr, *meta.Open, *meta.Extents:
		return true
	}
	return false
}

// under is a Meta through the memory of names.
type under struct {
	v *Volume
	s *session
}

// Do implements meta.Doer.
func (u under) Do(ctx context.Context, op meta.Op) (meta.Reply, error) { return u.v.call(ctx, u.s, op) }

// change carries out a change with what it is known to touch set aside, more too.
func (n *nameCache) change(ctx context.Context, s *session, op meta.Op, more []honeyant.Ino) (meta.Reply, error) {
	inos, since, mine := n.setAside(s, op, more)
	if len(inos) > 0 || !mine {
		n.tell(inos, ByOthers)
	}
	w := meta.Want{Settled: func() { n.settled(s, inos) }}
	for _, ino := range inos {
		w.Cover = append(w.Cover, meta.OpenFile{Volume: n.journal.v.o.Volume, Ino: ino})
	}
	r, held, err := s.leaser.DoLeased(ctx, op, w)
	if held.Open {
		return r, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	good := n.present(s) && held.Era != 0 && held.Era == n.era
	n.takeBack(s, inos)
	e := effect{n: n, held: held, since: since}
	switch {
	case err != nil && without(err):
	case err != nil || !good:
		n.dropAll(inos)
	default:
		for _, ino := range inos {
			if !e.may(ino) {
				n.drop(ino)
			}
		}
		if !e.put(op, r) {
			n.dropAll(inos)
		}
	}
	n.bump(inos)
	return r, err
}

// without tells whether an error says that nothing was changed.
func without(err error) bool {
	switch honeyant.KindOf(err) {
	case honeyant.Exist, honeyant.NotExist, honeyant.NotDir, honeyant.IsDir, honeyant.NotEmpty, honeyant.NoAttr, honeyant.Invalid, honeyant.NotPermitted:
		return true
	}
	return false
}

// setAside keeps what the change is known to touch from being answered from memory; mine says that the memory is the
// session's.
func (n *nameCache) setAside(s *session, op meta.Op, more []honeyant.Ino) (inos []honeyant.Ino, since uint64, mine bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.owner != s {
		return nil, n.gen, false
	}
	add := func(ino honeyant.Ino) {
		for _, had := range inos {
			if had == ino {
				return
			}
		}
		if ino != 0 {
			inos = append(inos, ino)
		}
	}
	name := func(dir honeyant.Ino, name string) {
		add(dir)
		if k := n.inodes[dir]; k != nil {
			add(k.entries[name].ino)
		}
	}
	for _, ino := range more {
		add(ino)
	}
	switch op := op.(type) {
	case *meta.Make:
		add(op.Parent)
	case *meta.Link:
		add(op.Ino)
		add(op.Parent)
	case *meta.Unlink:
		name(op.Parent, op.Name)
	case *meta.Rmdir:
		name(op.Parent, op.Name)
	case *meta.Rename:
		name(op.OldParent, op.OldName)
		name(op.NewParent, op.NewName)
	case *meta.SetAttr:
		add(op.Ino)
	case *meta.SetXattr:
		add(op.Ino)
	case *meta.RemoveXattr:
		add(op.Ino)
	case *meta.Commit:
		add(op.Ino)
	}
	for _, ino := range inos {
		n.busy[ino]++
	}
	n.bump(inos)
	return inos, n.gen, true
}

func (n *nameCache) bump(inos []honeyant.Ino) {
	n.gen++
	for _, ino := range inos {
		n.changed[genSlot(ino)] = n.gen
	}
}

func (n *nameCache) takeBack(s *session, inos []honeyant.Ino) {
	if n.owner != s {
		return
	}
	for _, ino := range inos {
		if n.busy[ino]--; n.busy[ino] <= 0 {
			delete(n.busy, ino)
		}
	}
}

func (n *nameCache) dropAll(inos []honeyant.Ino) {
	for _, ino := range inos {
		n.drop(ino)
	}
}

// settled is told that a change, whose outcome had been open, can not be carried out any more, or has been.
func (n *nameCache) settled(s *session, inos []honeyant.Ino) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.owner != s {
		return
	}
	n.takeBack(s, inos)
	n.dropAll(inos)
	n.bump(inos)
}

// effect puts what a change of this volume did into what is remembered. n.mu is held.
type effect struct {
	n     *nameCache
	held  meta.Held
	since uint64
}

// may tells whether the lease lasts.
func (e *effect) may(ino honeyant.Ino) bool {
	return ino != 0 && e.n.recalled[genSlot(ino)] <= e.since && !excepted(e.held, ino) && !e.n.journal.isReturning(ino)
}

// alone tells whether no other change of this volume was under way meanwhile.
func (e *effect) alone(ino honeyant.Ino) bool { return e.n.changed[genSlot(ino)] <= e.since }

// attr takes in attributes after the change.
func (e *effect) attr(a honeyant.Attr) {
	if !e.may(a.Ino) {
		return
	}
	if k := e.n.inodes[a.Ino]; k != nil && k.known || e.alone(a.Ino) {
		e.n.setAttr(a)
	}
}

// name takes in what a name stands for after the change; dir are the directory's attributes then.
func (e *effect) name(dir *honeyant.Attr, name string, to *honeyant.Attr) {
	if !e.may(dir.Ino) {
		return
	}
	next := knownEntry{at: dir.Version}
	if to != nil {
		next.ino, next.kind = to.Ino, to.Mode&honeyant.ModeType
	}
	k := e.n.entry(dir.Ino)
	old, had := k.entries[name]
	switch {
	case had && old.at > next.at:
	case had || e.alone(dir.Ino):
		e.n.setName(dir.Ino, name, next)
	default: // a later change may have been forgotten
		k.complete, k.listed = false, false
	}
}

// xattrs forgets values, and with all also which there are not.
func (e *effect) xattrs(ino honeyant.Ino, all bool) {
	k := e.n.inodes[ino]
	if k == nil {
		return
	}
	k.names, k.allNames = nil, false
	for name, value := range k.xattrs {
		if all || value != nil {
			delete(k.xattrs, name)
		}
	}
}

// removed takes in an inode that has lost a name.
func (e *effect) removed(a honeyant.Attr) {
	if a.Nlink == 0 {
		e.n.drop(a.Ino)
	} else {
		e.attr(a)
	}
}

// put takes in the reply; false if what it says is not known well enough.
func (e *effect) put(op meta.Op, reply meta.Reply) bool {
	switch r := reply.(type) {
	case *meta.EntryReply:
		return e.entry(op, r)
	case *meta.RemovedReply:
		name := ""
		switch op := op.(type) {
		case *meta.Unlink:
			name = op.Name
		case *meta.Rmdir:
			name = op.Name
		default:
			return false
		}
		e.attr(r.Dir)
		e.name(&r.Dir, name, nil)
		e.removed(r.Attr)
		return true
	case *meta.RenameReply:
		if op, ok := op.(*meta.Rename); ok {
			e.rename(op, r)
			return true
		}
	case *meta.AttrReply:
		_, plain := op.(*meta.SetAttr)
		e.attr(r.Attr)
		e.xattrs(r.Attr.Ino, !plain)
		return true
	case *meta.CommitReply:
		e.attr(r.Attr)
		e.xattrs(r.Attr.Ino, false)
		return true
	}
	return false
}

func (e *effect) entry(op meta.Op, r *meta.EntryReply) bool {
	if r.Dir.Ino == 0 {
		return true // it was there
	}
	switch op := op.(type) {
	case *meta.Make:
		e.attr(r.Dir)
		e.name(&r.Dir, op.Name, &r.Attr)
		e.attr(r.Attr)
		if k := e.n.inodes[r.Attr.Ino]; k != nil && e.may(r.Attr.Ino) {
			k.complete = r.Attr.IsDir()
			k.target = op.Target
		}
		return true
	case *meta.Link:
		e.attr(r.Dir)
		e.name(&r.Dir, op.Name, &r.Attr)
		e.attr(r.Attr)
		return true
	}
	return false
}

func (e *effect) rename(op *meta.Rename, r *meta.RenameReply) {
	if r.OldDir.Ino == 0 {
		return // both names stood for the same inode
	}
	e.attr(r.OldDir)
	e.attr(r.NewDir)
	if op.Exchange {
		e.name(&r.OldDir, op.OldName, &r.Other)
		e.attr(r.Other)
	} else {
		e.name(&r.OldDir, op.OldName, nil)
		if r.Other.Ino != 0 {
			e.removed(r.Other)
		}
	}
	e.name(&r.NewDir, op.NewName, &r.Moved)
	e.attr(r.Moved)
}

// unchanged runs fn, unless of the first inode anything was recalled, or changed through this volume, since then, with the others of
// which that is so, and forgets what is remembered of the rest: from now on the journal answers for them. fn must not wait.
func (n *nameCache) unchanged(s *session, inos []honeyant.Ino, since uint64, fn func(but []honeyant.Ino) bool) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.present(s) {
		return false
	}
	same := make([]honeyant.Ino, 0, len(inos))
	var but []honeyant.Ino
	for i, ino := range inos {
		slot := genSlot(ino)
		switch {
		case n.recalled[slot] <= since && n.changed[slot] <= since && n.busy[ino] == 0:
			same = append(same, ino)
		case i == 0:
			return false
		default:
			but = append(but, ino) // or of one that shares its slot: two answers with a hundred inodes each have some in common
		}
	}
	if !fn(but) {
		return false
	}
	n.dropAll(same)
	n.bump(same)
	return true
}

// forgetDropped runs drop, by which the journal lets go of the inodes that it tells, and forgets what was on its way of them
// meanwhile: in one step, for that may be older than what the journal has said. drop must not wait.
func (n *nameCache) forgetDropped(drop func() []honeyant.Ino) []honeyant.Ino {
	n.mu.Lock()
	defer n.mu.Unlock()
	inos := drop()
	n.dropAll(inos)
	n.bump(inos)
	return inos
}

// child is what a name is remembered to stand for.
func (n *nameCache) child(s *session, dir honeyant.Ino, name string) (ino honeyant.Ino, known bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.present(s) {
		return 0, false
	}
	k := n.usable(dir)
	if k == nil {
		return 0, false
	}
	e, ok := k.entries[name]
	return e.ino, ok || k.complete
}
