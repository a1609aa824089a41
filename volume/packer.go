package volume

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/volume/dirty"
)

// packer carries flights of few bytes. Those of files that are held share chunks: what arrives while others are being
// stored goes together, as in a group commit. One goroutine carries many, for each of them asks the journal several
// times: hundreds at once would queue for its lock, and the programs' changes behind them. Safe for concurrent use.
type packer struct {
	v *Volume

	mu      sync.Mutex // guards below
	waiting []*flight
	running int
}

const (
	// minPacked is the size in bytes below which a file's bytes always go with the metadata.
	minPacked = 512
	// maxPacked is the most bytes of a flight that shares a chunk.
	maxPacked = 128 << 10
	// maxPacking bounds the packs on their way at a time.
	maxPacking = 2
)

// small tells that a flight is the packer's.
func (p *packer) small(f *flight) bool { return f.bytes <= min(maxPacked, int64(p.v.packMax)) }

// add takes a flight; false: the volume is closed.
func (p *packer) add(f *flight) bool {
	p.mu.Lock()
	p.waiting = append(p.waiting, f)
	begin := p.running < maxPacking
	if begin {
		p.running++
	}
	p.mu.Unlock()
	if !begin || p.v.start(p.work) {
		return true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.running--
	i := slices.Index(p.waiting, f)
	if i < 0 {
		return true // another worker has it
	}
	p.waiting = slices.Delete(p.waiting, i, i+1)
	return false
}

// work carries flights until none waits.
func (p *packer) work() {
	for batch, alone := p.next(); len(batch) > 0; batch, alone = p.next() {
		p.carry(batch, alone)
	}
}

// next takes the flights that have waited longest, as many as fit into one chunk, and tells whether it is a single one and
// no other is under way. None: nobody waits, and the worker ends.
func (p *packer) next() (batch []*flight, alone bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var bytes int64
	for _, f := range p.waiting {
		if bytes += f.bytes; len(batch) > 0 && bytes > int64(p.v.packMax) {
			break
		}
		batch = append(batch, f)
	}
	p.waiting = slices.Delete(p.waiting, 0, len(batch))
	if len(batch) == 0 {
		p.running--
	}
	return batch, len(batch) == 1 && len(p.waiting) == 0 && p.running == 1
}

// pack is a number of flights of one policy.
type pack struct {
	policy  honeyant.Policy
	flights []*flight
}

// carry uploads flights and lands them. Those whose files are not held go their own way: their commits wait for the leader.
func (p *packer) carry(batch []*flight, alone bool) {
	v := p.v
	ctx, cancel := context.WithTimeoutCause(v.ctx, v.o.Deadline, errDeadline)
	defer cancel()
	s, err := v.link.live(ctx)
	if err != nil {
		for _, f := range batch {
			f.arrive(ctx, err)
		}
		return
	}
	var packs []pack
	for _, f := range batch {
		f.session = s
		switch {
		case time.Since(f.began) > v.o.Deadline: // it waited for others that long
			f.arrive(ctx, errDeadline)
		case !v.journal.commits(f.in.ino):
			if !v.start(f.fly) {
				f.fly()
			}
		case f.inline() && (f.bytes < minPacked || v.room.scarce() || alone && v.flusher.alone()):
			f.putInline()
			f.arrive(ctx, nil)
		default:
			policy, err := v.policyOf(ctx, f.in)
			if err != nil {
				f.arrive(ctx, err)
				break
			}
			i := slices.IndexFunc(packs, func(k pack) bool { return k.policy.Equal(policy) })
			if i < 0 {
				i, packs = len(packs), append(packs, pack{policy: policy})
			}
			packs[i].flights = append(packs[i].flights, f)
		}
	}
	for _, k := range packs {
		slices.SortStableFunc(k.flights, func(a, b *flight) int { return cmp.Compare(a.parent, b.parent) }) // a directory is read at once
		ref, err := p.store(ctx, s, k.flights)
		for i, f := range k.flights {
			if err == nil {
				if i > 0 {
					s.keep(ref.ID) // each flight settles it
				}
				f.chunks = []honeyant.ChunkRef{ref}
			}
		}
		for _, f := range k.flights {
			f.arrive(ctx, err)
			v.journal.mu.LetOthers()
		}
	}
}

// store puts the bytes of flights into one chunk, one after the other, and fills in their extents.
func (p *packer) store(ctx context.Context, s *session, flights []*flight) (honeyant.ChunkRef, error) {
	v := p.v
	if err := v.uploads.take(ctx); err != nil {
		return honeyant.ChunkRef{}, err
	}
	defer v.uploads.give()
	buffer, err := v.packs.Take(ctx)
	if err != nil {
		return honeyant.ChunkRef{}, err
	}
	defer v.packs.Give(buffer)
	data := buffer[:0]
	id := s.newChunk()
	for _, f := range flights {
		f.extents = extentsOf(f.runs, id, len(data))
		for _, r := range f.runs {
			data = append(data, r.Bytes()...)
		}
	}
	ref, err := v.store(ctx, flights[0].in, id, data)
	if err != nil {
		s.settle(id)
		return ref, err
	}
	v.cache.Keep(id, data) // what was unpacked is built next
	return ref, nil
}

// extentsOf says where runs are that lie one after the other in a chunk from at on.
func extentsOf(all dirty.Runs, id honeyant.ChunkID, at int) (extents []honeyant.Extent) {
	for _, r := range all {
		if n := len(extents); n > 0 && extents[n-1].End() == uint64(r.Off) {
			extents[n-1].Length += uint32(r.N)
		} else {
			extents = append(extents, honeyant.Extent{Offset: uint64(r.Off), Length: uint32(r.N), Chunk: id, ChunkOffset: uint32(at)})
		}
		at += r.N
	}
	return extents
}
