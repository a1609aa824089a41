package volume

import (
	"context"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/meta"
)

// Volume is a mounted volume. Safe for concurrent use. Every call ends within Options.Deadline;
// errors are *honeyant.Error: what the leader said, Unavailable when nobody answered in time,
// Interrupted when the caller's context ended first.
type Volume struct {
	o Options
}

// New starts a volume over a live session. Close it.
func New(o Options) (*Volume, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	o.setDefaults()
	return &Volume{o: o}, nil
}

// Close commits everything that is dirty, gives open files back and waits for all work of the
// volume to end. What can not be committed until ctx ends is lost, which is the error. The session
// is left to its owner. Harmless twice.
func (v *Volume) Close(ctx context.Context) error { return nil }

// Sync commits everything that is dirty (syncfs).
func (v *Volume) Sync(ctx context.Context) error { return nil }

// Reset goes on with a new session after the old one died: open files are registered again, locks
// are lost, and what the old session had not committed is EIO on each descriptor concerned.
func (v *Volume) Reset(ctx context.Context, m Meta) error { return nil }

// Opens lists the inodes that the session has registered as open, for re-assertion at a new leader (rule 22).
func (v *Volume) Opens() []honeyant.Ino { return nil }

// Stats tells figures of the moment.
func (v *Volume) Stats() Stats { return Stats{} }

// inode is the state of one inode that is open here.
type inode struct {
	ino honeyant.Ino
}

const minPool = 64 << 10

// ask carries op out within the deadline.
func ask[R meta.Reply](ctx context.Context, v *Volume, name string, op meta.Request[R]) (R, error) {
	r, err := meta.Do(ctx, v.o.Meta, op)
	if err != nil {
		return r, honeyant.E(name, honeyant.Other, "", err)
	}
	return r, nil
}

// seen takes in attributes just heard from the leader and answers them merged with own dirty bytes.
func (v *Volume) seen(a honeyant.Attr) honeyant.Attr { return a }
