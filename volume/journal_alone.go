package volume

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/meta"
)

// carryOut does an operation by itself if it can, and tells the keepers. Otherwise (done false) the leader has to be
// asked, for which all is prepared: inos is what it may change of what is held here. over is to be called when it has answered.
func (j *journal) carryOut(ctx context.Context, s *session, op meta.Op) (r meta.Reply, done bool, inos []honeyant.Ino, err error) {
	if s.holder == nil {
		return nil, false, nil, nil
	}
	if evaluated(op) {
		if r, done, err := j.alone(ctx, s, op); done {
			return r, true, nil, err
		}
	}
	if meta.ReadOnly(op) {
		err := j.prepareRead(ctx, op)
		return nil, err != nil, nil, err
	}
	if inos, err = j.prepareChange(ctx, s, op); err != nil {
		j.over(inos)
		return nil, true, nil, err
	}
	return nil, false, inos, nil
}

// takes bounds the leases that are asked for to do one operation.
const takes = 4

// alone does an operation over what is held, or can be had; done false if that does not suffice.
func (j *journal) alone(ctx context.Context, s *session, op meta.Op) (r meta.Reply, done bool, err error) {
	for range takes {
		if !meta.ReadOnly(op) {
			if err := j.throttle(ctx, s); err != nil {
				return nil, true, err
			}
		}
		r, done, changed, err := j.local(s, op)
		if done {
			j.v.names.tellChanged(ctx, changed)
			if removed, ok := op.(*meta.Rmdir); ok && err == nil {
				j.goAhead(s, removed)
			}
			return r, true, err
		}
		take := j.takeFor
		if meta.ReadOnly(op) {
			take = j.takeSought
		}
		if !take(ctx, s, op) {
			break
		}
	}
	return nil, false, nil
}

// atOnce makes a commit over what is held; done false: nothing was done, and the usual way says what stands against it. It asks
// nobody, but waits while the leader is behind with what was done before.
func (j *journal) atOnce(ctx context.Context, s *session, op *meta.Commit) (r *meta.CommitReply, done bool) {
	if s == nil || s.holder == nil || !evaluated(op) || j.throttle(ctx, s) != nil {
		return nil, false
	}
	any, done, _, err := j.local(s, op)
	r, ok := any.(*meta.CommitReply)
	return r, done && err == nil && ok
}

// over is called when the leader has answered what carryOut had prepared.
func (j *journal) over(inos []honeyant.Ino) {
	if len(inos) > 0 {
		j.mu.Lock()
		defer j.mu.Unlock()
		j.left(inos)
	}
}

// evaluated tells whether an operation can be evaluated here.
func evaluated(op meta.Op) bool {
	switch op := op.(type) {
	case *meta.Make, *meta.Link, *meta.Unlink, *meta.Rmdir, *meta.Rename, *meta.SetAttr, *meta.SetXattr, *meta.RemoveXattr,
		*meta.Lookup, *meta.GetAttr, *meta.ReadDir, *meta.ReadLink, *meta.GetXattr, *meta.ListXattr, *meta.Extents:
		return true
	case *meta.Commit:
		return !op.Append
	}
	return false
}

// local evaluates an operation over what is held; done false if that does not suffice.
// changed is told only if something is kept outside of the volume.
func (j *journal) local(s *session, op meta.Op) (r meta.Reply, done bool, changed []meta.Touched, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if !j.usable(s) || !meta.ReadOnly(op) && j.spare.left() < 2 || j.refuses(op) {
		return nil, false, nil, nil
	}
	l := meta.Local{Op: op, Now: honeyant.TimeOf(time.Now())}
	switch o := op.(type) {
	case *meta.Make:
		with := *o
		with.Open = false
		l.Op, l.Ino = &with, j.spare.next
	case *meta.Commit:
		with := *o
		with.LowWater = 0 // the Flush says it
		l.Op = &with
	case *meta.SetXattr:
		with := *o
		with.Value = bytes.Clone(o.Value) // the caller's, and the record outlives the call
		l.Op = &with
	}
	var touched []meta.Touched
	r, touched, err = j.shadow.Do(l)
	if errors.Is(err, meta.ErrNotHeld) {
		return nil, false, nil, nil
	}
	if err == nil && !meta.ReadOnly(op) {
		j.append(s, l, touched)
		if _, commit := op.(*meta.Commit); !commit && j.v.names.kept() { // of commits inode.committed tells
			changed = touched
		}
		if e, ok := r.(*meta.EntryReply); ok && l.Ino != 0 && e.Attr.Ino == l.Ino {
			j.spare.take()
		}
	}
	j.stats.local.Add(1)
	return r, true, changed, err
}
