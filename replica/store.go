package replica

import (
	"context"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/chunk"
)

// ChunkStore is a store of this process. *chunk.Store is one by Wrap; its documentation says
// what the methods do. Safe for concurrent use.
type ChunkStore interface {
	Create(id honeyant.ChunkID, length uint32) (Writer, error)
	ReadAt(id honeyant.ChunkID, gen honeyant.Generation, p []byte, off uint32) (int, error)
	ReadFrames(id honeyant.ChunkID, gen honeyant.Generation, first uint32, p []byte) (chunk.FrameRange, error)
	Stat(id honeyant.ChunkID, gen honeyant.Generation) (chunk.Info, error)
	Verify(ctx context.Context, id honeyant.ChunkID, gen honeyant.Generation) (honeyant.ChunkSum, error)
	Delete(ctx context.Context, id honeyant.ChunkID, gen honeyant.Generation) error
	Buckets() [chunk.Buckets]uint64
	Bucket(n int) []chunk.Info
	Incarnation() uint32
	RaiseIncarnation(n uint32) error
}

// expecter is a store that can fetch from its disk what is about to be read.
type expecter interface {
	Expect(id honeyant.ChunkID, gen honeyant.Generation, first, n uint32)
}

var _ expecter = wrapped{}

// Writer takes one chunk into a store; it belongs to one goroutine.
type Writer interface {
	Write(p []byte) (int, error)
	WriteFrame(data []byte, crc uint32) error
	Commit(ctx context.Context) (honeyant.Generation, honeyant.ChunkSum, error)
	Abort()
}

// Local finds the stores of this process.
type Local interface {
	Store(id honeyant.StoreID) (ChunkStore, bool)
}

// Wrap makes a *chunk.Store a ChunkStore.
func Wrap(s *chunk.Store) ChunkStore { return wrapped{s} }

type wrapped struct{ *chunk.Store }

// Create begins a chunk.
func (w wrapped) Create(id honeyant.ChunkID, length uint32) (Writer, error) {
	cw, err := w.Store.Create(id, length)
	if err != nil {
		return nil, err // not a nil *chunk.Writer in a Writer
	}
	return cw, nil
}
