package volume

import (
	"context"
	"sync"

	"github.com/honeyant/honeyant"
)

// readAhead watches how a File is read. Kernel requests of one sequential reader arrive a little
// out of order, so "sequential" leaves some slack.
type readAhead struct {
	mu     sync.Mutex // guards what follows
	next   int64      // where a sequential reader goes on
	streak int        // sequential reads in a row
	window int64      // how far ahead to read, grows with the streak
	until  int64      // up to where it has been asked for
}

const (
	aheadSlack = 1 << 20
	aheadFirst = 1 << 20
	aheadMost  = 8 << 20
)

// step notes a read and tells which range to ask for now; empty: none.
func (r *readAhead) step(off int64, n int, most int64) span {
	r.mu.Lock()
	defer r.mu.Unlock()
	end := off + int64(n)
	if off < r.next-aheadSlack || off > r.next+aheadSlack {
		r.next, r.streak, r.window, r.until = end, 0, 0, 0
		return span{}
	}
	r.next = max(r.next, end)
	if r.streak++; r.streak < 2 {
		return span{}
	}
	if r.until <= r.next+r.window/2 { // half of it is used up: ask for more
		r.window = min(max(2*r.window, aheadFirst), most)
		s := span{max(r.until, r.next), r.next + r.window}
		r.until = max(r.until, s.to)
		return s
	}
	return span{}
}

// reached corrects step: only up to here extents are known, or the file ends here.
func (r *readAhead) reached(to int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.until = min(r.until, to)
}

// readAhead starts loading what a sequential reader will want soon.
func (f *File) readAhead(off int64, n int) {
	if f.f.Direct {
		return
	}
	v := f.v
	want := f.ahead.step(off, n, min(aheadMost, v.o.ReadMemory*3/4))
	if want.from >= want.to {
		return
	}
	in := f.in
	in.mu.Lock()
	want.to = min(want.to, int64(in.attr.Size), in.ext.knownFrom(want.from))
	var one [8]chunkPart
	pieces := in.ext.chunksOf(want, one[:0])
	in.mu.Unlock()
	f.ahead.reached(want.to)
	for _, p := range pieces {
		v.load(p.ref, int(p.off), int(p.off)+int(p.length))
	}
}

// part of a chunk that a file range needs.
type chunkPart struct {
	ref         honeyant.ChunkRef
	off, length uint32
}

// load starts loading the pieces of a chunk that [from, to) touches, as far as there is room.
func (v *Volume) load(ref honeyant.ChunkRef, from, to int) {
	size := v.cache.size
	for i := from / size; i*size < to; i++ {
		n := min(size, int(ref.Sum.Length)-i*size)
		if n <= 0 {
			return
		}
		e := v.cache.begin(pieceKey{ref.ID, uint32(i)}, n)
		if e == nil {
			continue
		}
		v.stats.readAheads.Add(1)
		started := v.start(func() {
			defer v.stats.readAheads.Add(-1)
			ctx, cancel := context.WithTimeoutCause(v.ctx, v.o.Deadline, errDeadline)
			defer cancel()
			v.cache.loaded(e, v.o.Chunks.Read(ctx, ref, e.buf.b[:n], uint32(i*size)))
		})
		if !started {
			v.stats.readAheads.Add(-1)
			v.cache.loaded(e, errClosed)
		}
	}
}
