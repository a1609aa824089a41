package meta

import (
	"context"
	"errors"

	"github.com/honeyant/honeyant"
)

// ReclaimedFile is an inode that a session says it holds exclusively.
type ReclaimedFile struct {
	OpenFile
	Version uint64 // Attr.Version as of its last flush that was answered, or of the Take
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

// Return gives exclusive leases of a session back, each unless it was taken after stamp.
func (l *Leader) Return(ctx context.Context, s honeyant.SessionID, stamp uint64, files []OpenFile) error {
	_, err := l.tenure()
	return err
}

// Reclaim tells what a session holds exclusively, after a change of the epoch or of its term, and answers what of
// that it has lost.
func (l *Leader) Reclaim(ctx context.Context, s honeyant.SessionID, c Claim) (lost []OpenFile, err error) {
	t, err := l.tenure()
	if err != nil {
		return nil, err
	}
	if t.epoch != c.Epoch {
		return nil, honeyant.E("meta.Reclaim", honeyant.Stale, "", errors.New("another epoch"))
	}
	for _, f := range c.Files {
		lost = append(lost, f.OpenFile)
	}
	return lost, nil
}

// Holders lists who has leases on an inode.
func (l *Leader) Holders(f OpenFile) []Holder { return nil }
