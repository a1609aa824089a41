package volume

import (
	"context"

	"github.com/honeyant/honeyant"
)

// forgetExtents is for chunks of a held file that are gone: reclaim has moved its bytes, or heal the replicas, which
// changes no file and recalls no lease. From now on the leader is asked where they are.
func (j *journal) forgetExtents(ctx context.Context, ino honeyant.Ino) {
	if j == nil {
		return
	}
	for {
		j.mu.Lock()
		held, pending := j.shadow.Has(ino), j.pending[ino] > 0
		if held && !pending {
			j.shadow.DropExtents(ino)
		}
		j.mu.Unlock()
		if !pending || !held || j.flush(ctx) != nil {
			return
		}
	}
}
