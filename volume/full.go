package volume

import (
	"errors"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/meta"
)

// fullPause is how long the leader is asked for what needs room for metadata, after it said that it has none left.
const fullPause = 5 * time.Second

var errMetadataFull = errors.New("the disk of the metadata is full: only deletes are possible")

// refuses tells the changes that are the leader's to refuse, since it has no room for metadata: what is answered here it can
// not refuse any more. Bytes that write(2) has taken are committed all the same. j.mu is held.
func (j *journal) refuses(op meta.Op) bool {
	if j.full.IsZero() || !meta.Grows(op) {
		return false
	}
	if _, commit := op.(*meta.Commit); commit {
		return false
	}
	return time.Now().Before(j.full)
}

// isFull tells whether bytes for a held file would have to be refused.
func (j *journal) isFull(ino honeyant.Ino) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return !j.full.IsZero() && time.Now().Before(j.full) && j.shadow.Has(ino)
}
