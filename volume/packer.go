package volume

import (
	"context"
	"sync"

	"github.com/honeyant/honeyant"
)

// packer puts the bytes of several small files into one chunk each time it stores some: what arrives while others
// are being stored goes together, as in a group commit. Safe for concurrent use.
type packer struct {
	v *Volume

	mu      sync.Mutex // guards below
	waiting []*packed
	running int
}

// packed is a flight that is to share a chunk.
type packed struct {
	f      *flight
	policy honeyant.Policy
	done   chan struct{} // closed when the outcome is there
	ref    honeyant.ChunkRef
	from   int // where its bytes begin in the chunk
	err    error
}

const (
	// minPacked is the size in bytes below which a file's bytes always go with the metadata.
	minPacked = 512
	// maxPacked is the most bytes of a flight that shares a chunk.
	maxPacked = 128 << 10
	// maxPacking bounds the packs on their way at a time.
	maxPacking = 2
)

// put stores the flight's bytes and fills in its chunk and extents.
func (p *packer) put(ctx context.Context, f *flight) error {
	policy, err := p.v.policyOf(ctx, f.in)
	if err != nil {
		return err
	}
	item := &packed{f: f, policy: policy, done: make(chan struct{})}
	p.mu.Lock()
	if f.inline() && len(p.waiting) == 0 && p.running == 0 && p.v.flusher.alone() {
		p.mu.Unlock()
		f.putInline()
		return nil
	}
	p.waiting = append(p.waiting, item)
	if p.running < maxPacking {
		p.running++
		p.mu.Unlock()
		p.work(ctx)
	} else {
		p.mu.Unlock()
	}
	select {
	case <-item.done:
	case <-ctx.Done():
		if p.withdraw(item) {
			return context.Cause(ctx)
		}
		<-item.done // it reads from the flight's buffers, for at most as long as a chunk may take
	}
	if item.err != nil {
		return item.err
	}
	f.chunks = []honeyant.ChunkRef{item.ref}
	at := item.from
	for _, r := range f.runs {
		if n := len(f.extents); n > 0 && f.extents[n-1].End() == uint64(r.off) {
			f.extents[n-1].Length += uint32(r.n)
		} else {
			f.extents = append(f.extents, honeyant.Extent{Offset: uint64(r.off), Length: uint32(r.n), Chunk: item.ref.ID, ChunkOffset: uint32(at)})
		}
		at += r.n
	}
	return nil
}

// withdraw takes a flight back that nobody works on yet.
func (p *packer) withdraw(item *packed) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, w := range p.waiting {
		if w == item {
			p.waiting = append(p.waiting[:i], p.waiting[i+1:]...)
			return true
		}
	}
	return false
}

// work stores packs until nobody waits. The one that it was called for is in the first.
func (p *packer) work(ctx context.Context) {
	for first := true; ; first = false {
		batch := p.next()
		if len(batch) == 0 {
			return
		}
		if !first { // for others, who may have more time than the first one
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeoutCause(p.v.ctx, p.v.o.Deadline, errDeadline)
			defer cancel()
		}
		p.store(ctx, batch)
	}
}

// next takes flights that may share a chunk, in the order in which they came; none: nobody waits, and the worker ends.
func (p *packer) next() (batch []*packed) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var bytes int64
	rest := p.waiting[:0]
	for _, item := range p.waiting {
		if len(batch) == 0 || item.f.session == batch[0].f.session && item.policy.Equal(batch[0].policy) && bytes+item.f.bytes <= int64(p.v.packMax) {
			batch = append(batch, item)
			bytes += item.f.bytes
		} else {
			rest = append(rest, item)
		}
	}
	clear(p.waiting[len(rest):])
	p.waiting = rest
	if len(batch) == 0 {
		p.running--
	}
	return batch
}

// store puts one pack into stores.
func (p *packer) store(ctx context.Context, batch []*packed) {
	ref, err := p.storeChunk(ctx, batch)
	for _, item := range batch {
		item.ref, item.err = ref, err
		if err == nil && item != batch[0] {
			item.f.session.keep(ref.ID) // each flight settles it
		}
		close(item.done)
	}
}

func (p *packer) storeChunk(ctx context.Context, batch []*packed) (honeyant.ChunkRef, error) {
	v, s := p.v, batch[0].f.session
	if err := v.uploads.take(ctx); err != nil {
		return honeyant.ChunkRef{}, err
	}
	defer v.uploads.give()
	buffer, err := v.packs.take(ctx)
	if err != nil {
		return honeyant.ChunkRef{}, err
	}
	defer v.packs.give(buffer)
	data := buffer[:0]
	for _, item := range batch {
		item.from = len(data)
		for _, r := range item.f.runs {
			data = append(data, r.bytes()...)
		}
	}
	id := s.newChunk()
	ref, err := v.store(ctx, batch[0].f.in, id, data)
	if err != nil {
		s.settle(id)
	}
	return ref, err
}
