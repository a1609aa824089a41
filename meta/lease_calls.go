package meta

import (
	"context"
	"errors"
	"fmt"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/kv"
)

// ReclaimedFile is an inode that a session says it holds exclusively.
type ReclaimedFile struct {
	OpenFile
	Version uint64 // Attr.Version as of its last flush that was answered, or of the Take; 0: it is not flushed yet

	// A Flush that concerns it is under way, of which the session does not know whether it was carried out: then the
	// inode's version and ctime are these, or it is deleted if Next is 0.
	InFlight  bool
	Next      uint64
	NextCtime honeyant.Time
}

// SetInFlight says what the Flush that is under way leaves of the inode.
func (f *ReclaimedFile) SetInFlight(t *Touched) {
	if f.InFlight = true; !t.Deleted {
		f.Next, f.NextCtime = t.Version, t.Ctime
	}
}

// leftBy tells whether an inode is as the session left it: nobody else has changed it. there is false if it does not exist.
func (f *ReclaimedFile) leftBy(a *honeyant.Attr, there bool) bool {
	if !there {
		return f.Version == 0 || f.InFlight && f.Next == 0
	}
	if f.InFlight && f.Next == 0 && a.Nlink == 0 {
		return true // held inodes count as open: what was deleted stays until it is given back, unless the session said it is closed
	}
	return a.Version == f.Version || f.InFlight && a.Version == f.Next && a.Ctime == f.NextCtime
}

// Claim is a part of what a session holds exclusively, as said to the leader of Epoch.
type Claim struct {
	Epoch uint64
	Stamp uint64
	Files []ReclaimedFile
	Last  bool // there is no more
}

// Holder is a session with a lease on an inode.
type Holder struct {
	Session   honeyant.SessionID
	Exclusive bool
	Recalled  bool // it was asked to give the lease back
}

// Return gives exclusive leases of a session back, each unless it was taken after stamp. Those that it does not have are
// left alone.
func (l *Leader) Return(ctx context.Context, s honeyant.SessionID, stamp uint64, files []OpenFile) error {
	t, err := l.tenure()
	if err != nil {
		return err
	}
	if t.sessions.hear(s) == nil {
		_, err := t.fenced(ctx, s)
		return err
	}
	t.leases.giveBack(s, stamp, files)
	for _, f := range files {
		t.releasedOrphan(f)
	}
	return nil
}

// Reclaim tells what a session holds exclusively, after a change of the epoch or of its term, and answers what of
// that it has lost. Stale: the epoch is another by now; begin again.
func (l *Leader) Reclaim(ctx context.Context, s honeyant.SessionID, c Claim) (lost []OpenFile, err error) {
	t, err := l.tenure()
	if err != nil {
		return nil, err
	}
	if t.sessions.hear(s) == nil {
		_, err := t.fenced(ctx, s)
		return nil, err
	}
	if t.epoch != c.Epoch {
		return nil, honeyant.E("meta.Reclaim", honeyant.Stale, "", fmt.Errorf("epoch is %d, not %d", t.epoch, c.Epoch))
	}
	var fault error
	e := l.state.consistent(func(r kv.Reader) {
		tx := newTx(r, Env{})
		lost = t.leases.reclaim(s, &c, func(f OpenFile) (*honeyant.Attr, bool) {
			var i Inode
			ok := tx.load(inoKey(tabInode, f.Volume, f.Ino), i.fields)
			return &i.Attr, ok
		})
		fault = tx.err
	})
	if err := errors.Join(e, fault); err != nil {
		return nil, err
	}
	// What a leader says that is none any more is worth nothing.
	return lost, t.verifier.verify(ctx)
}

// Holders lists who has leases on an inode; nil if this node does not lead.
func (l *Leader) Holders(f OpenFile) []Holder {
	t, err := l.tenure()
	if err != nil {
		return nil
	}
	return t.leases.holders(f)
}
