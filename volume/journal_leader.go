package volume

import (
	"context"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/meta"
)

// prepareRead makes ready for the leader answering op: what it may look at is flushed.
func (j *journal) prepareRead(ctx context.Context, op meta.Op) error {
	inos := j.concerned(op)
	j.mu.Lock()
	behind := false
	for _, ino := range inos {
		behind = behind || j.pending[ino] > 0
	}
	j.mu.Unlock()
	if !behind {
		return nil
	}
	return j.flush(ctx)
}

// prepareChange makes ready for the leader carrying out op: what was changed here is flushed, and what op may change is
// not changed here any more, nor taken again, until left is called with the answer. The leader goes on counting it as
// held here until it is recalled, or taken again, so that nobody else sees a file whose bytes are not committed yet.
func (j *journal) prepareChange(ctx context.Context, s *session, op meta.Op) (inos []honeyant.Ino, err error) {
	if inos, err = j.touchedBy(ctx, s, op); err != nil {
		return nil, err
	}
	held := false
	j.mu.Lock()
	for _, ino := range inos {
		j.leaving[ino]++
		held = j.owner == s && j.shadow.Leave(ino) || held
	}
	j.mu.Unlock()
	for {
		if err := j.flush(ctx); err != nil {
			return inos, err
		}
		if !held || j.drop(s, inos) {
			return inos, nil
		}
	}
}

// touchedBy lists the inodes that a change names, with those that its names stand for: what is held of them must not
// be changed here at the same time. What nobody here knows of a name is asked for.
func (j *journal) touchedBy(ctx context.Context, s *session, op meta.Op) (inos []honeyant.Ino, err error) {
	inos = j.concerned(op)
	j.mu.Lock()
	idle := j.shadow.Len() == 0
	j.mu.Unlock()
	if _, making := op.(*meta.Make); idle || making {
		return inos, nil
	}
	for _, n := range namedBy(op) {
		j.mu.Lock()
		held := j.shadow.Knows(n.ino, n.name)
		j.mu.Unlock()
		if n.name == "" || held {
			continue
		}
		child, known := j.v.names.child(s, n.ino, n.name)
		if !known {
			r, err := j.v.call(ctx, s, &meta.Lookup{Volume: j.v.o.Volume, Parent: n.ino, Name: n.name})
			if e, ok := r.(*meta.EntryReply); ok && err == nil {
				child = e.Attr.Ino
			} else if unsure(err) {
				return nil, err
			}
		}
		if child != 0 {
			inos = append(inos, child)
		}
	}
	return inos, nil
}

// concerned lists the inodes that an operation names, and those that its names are known to stand for.
func (j *journal) concerned(op meta.Op) (inos []honeyant.Ino) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, n := range namedBy(op) {
		inos = append(inos, n.ino)
		if n.name == "" {
			continue
		}
		if child, _, ok := j.shadow.Child(n.ino, n.name); ok {
			inos = append(inos, child)
		}
	}
	return inos
}

// named is an inode, or with a name what that stands for in it as well.
type named struct {
	ino  honeyant.Ino
	name string
}

// namedBy lists what an operation names.
func namedBy(op meta.Op) []named {
	switch op := op.(type) {
	case *meta.Make:
		return []named{{op.Parent, op.Name}}
	case *meta.Link:
		return []named{{op.Ino, ""}, {op.Parent, op.Name}}
	case *meta.Unlink:
		return []named{{op.Parent, op.Name}}
	case *meta.Rmdir:
		return []named{{op.Parent, op.Name}}
	case *meta.Rename:
		return []named{{op.OldParent, op.OldName}, {op.NewParent, op.NewName}}
	case *meta.SetAttr:
		return []named{{op.Ino, ""}}
	case *meta.SetXattr:
		return []named{{op.Ino, ""}}
	case *meta.RemoveXattr:
		return []named{{op.Ino, ""}}
	case *meta.Commit:
		return []named{{op.Ino, ""}}
	case *meta.Allocate:
		return []named{{op.Ino, ""}}
	case *meta.Punch:
		return []named{{op.Ino, ""}}
	case *meta.Clone:
		return []named{{op.Src, ""}, {op.Dst, ""}}
	case *meta.Lookup:
		return []named{{op.Parent, op.Name}}
	case *meta.GetAttr:
		return []named{{op.Ino, ""}}
	case *meta.ReadDir:
		return []named{{op.Dir, ""}}
	case *meta.Extents:
		return []named{{op.Ino, ""}}
	case *meta.Open:
		return []named{{op.Ino, ""}}
	case *meta.Seek:
		return []named{{op.Ino, ""}}
	case *meta.GetLock:
		return []named{{op.Ino, ""}}
	}
	return nil
}

// overlay puts what is held into what the leader answered of the rest.
func (j *journal) overlay(r meta.Reply) {
	j.mu.Lock()
	defer j.mu.Unlock()
	put := func(a *honeyant.Attr) {
		if own, ok := j.shadow.Attr(a.Ino); ok && own.Version > a.Version {
			*a = own
		}
	}
	switch r := r.(type) {
	case *meta.EntryReply:
		put(&r.Attr)
	case *meta.AttrReply:
		put(&r.Attr)
	case *meta.ReadDirReply:
		for i := range r.Entries {
			if r.Plus {
				put(&r.Entries[i].Attr)
			}
		}
	}
}
