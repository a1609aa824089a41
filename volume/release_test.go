package volume_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/volume"
	"github.com/honeyant/honeyant/volume/volumetest"
)

// releasedChunks remembers the replicas that were written and not removed.
type releasedChunks struct {
	*volumetest.Chunks
	mu   sync.Mutex // guards held
	held map[honeyant.Replica]honeyant.ChunkID
}

func (w *releasedChunks) Write(ctx context.Context, id honeyant.ChunkID, data []byte, targets []honeyant.StoreID,
	next func([]honeyant.StoreID) (honeyant.StoreID, bool)) (honeyant.ChunkRef, error) {
	ref, err := w.Chunks.Write(ctx, id, data, targets, next)
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range ref.Replicas {
		w.held[r] = id
	}
	return ref, err
}

func (w *releasedChunks) Delete(_ context.Context, store honeyant.StoreID, id honeyant.ChunkID, gen honeyant.Generation) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	r := honeyant.Replica{Store: store, Generation: gen}
	if w.held[r] != id {
		return honeyant.E("test", honeyant.NotExist, id.String(), nil)
	}
	delete(w.held, r)
	return nil
}

// A chunk that too few stores take is given up; what the others have taken of it used to stay
// until an inventory found it, and in a small full colony was soon more than that deletes.
func TestGivenUpChunksAreReleased(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := volumetest.NewCluster(t, 3, 1<<30) // three nodes: two copies are the least
		watched := &releasedChunks{Chunks: c.Chunks, held: map[honeyant.Replica]honeyant.ChunkID{}}
		v := c.Open(t, func(o *volume.Options) { o.Chunks, o.Deadline = watched, 10*time.Second })
		c.Chunks.Fail(2, true)
		c.Chunks.Fail(3, true)
		f := create(t, v, "f")
		write(t, f, pattern(10_000, 1), 0)
		kindIs(t, f.Fsync(bg, false), honeyant.Unavailable)
		if n := c.Chunks.Writes.Load(); n == 0 {
			t.Fatal("nothing was tried")
		}
		watched.mu.Lock()
		left := len(watched.held)
		watched.mu.Unlock()
		if left != 0 {
			t.Errorf("%d replicas that no commit lists were left", left)
		}
		closeFile(t, f)
	})
}
