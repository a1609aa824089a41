package volume

import (
	"context"
	"sync"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/volume/extents"
	"github.com/honeyant/honeyant/volume/readcache"
)

// readAhead watches how a File is read. Kernel requests of one sequential reader arrive a little
// out of order, so "sequential" leaves some slack.
type readAhead struct {
	mu     sync.Mutex // guards what follows
	began  int64      // where the sequential reads in a row began
	next   int64      // where a sequential reader goes on
	streak int        // sequential reads in a row
	window int64      // how far ahead to read, grows with what was read
	until  int64      // up to where it has been asked for
}

const (
	aheadSlack = 1 << 20
	aheadFirst = 1 << 20
	aheadMost  = 32 << 20
	aheadWaste = 2       // at most so many times what was read in a row may have been fetched in vain
	aheadStep  = 1 << 20 // what is asked for at once: a piece of the cache, so that loads begin one after another
)

// step notes a read and tells which range to ask for now; empty: none. The read itself belongs to it where it was not
// asked for before: who asks for a part of a piece beside its load fetches it twice.
func (r *readAhead) step(off int64, n int, most int64) span {
	r.mu.Lock()
	defer r.mu.Unlock()
	end := off + int64(n)
	if off < r.next-aheadSlack || off > r.next+aheadSlack {
		r.began, r.next, r.streak, r.window, r.until = off, end, 0, 0, 0
		return span{}
	}
	r.next = max(r.next, end)
	if r.streak++; r.streak < 2 {
		return span{}
	}
	window := min(max(2*r.window, aheadFirst), max(aheadWaste*(r.next-r.began), aheadFirst), most)
	if r.until >= end && r.until+aheadStep > r.next+window {
		return span{}
	}
	r.window = window
	s := span{max(r.until, off), r.next + window}
	r.until = s.to
	return s
}

// goesOn tells whether a read at off goes on sequentially.
func (r *readAhead) goesOn(off int64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.streak > 0 && off >= r.next-aheadSlack && off <= r.next+aheadSlack
}

// reached corrects step: only up to here it could be asked for.
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
	want.to = min(want.to, int64(in.attr.Size), in.ext.KnownFrom(want.from))
	var one [8]extents.Part
	parts := in.ext.ChunksOf(want.from, want.to, one[:0])
	in.mu.Unlock()
	for _, p := range parts {
		if upto := v.load(p.Ref, int(p.Off), int(p.Off+p.Length)); upto < int(p.Off+p.Length) { // the rest when there is room
			want.to = p.At + max(0, int64(upto)-int64(p.Off))
			break
		}
	}
	f.ahead.reached(want.to)
}

// load starts loading the part of a chunk that [from, to) touches, in pieces that begin where the cache's do, as far as there is
// room, and tells up to where that is.
func (v *Volume) load(ref honeyant.ChunkRef, from, to int) int {
	size := v.cache.Piece()
	end := min((to+size-1)/size*size, int(ref.Sum.Length))
	for at := from / size * size; at < end; {
		e, next, room := v.cache.Begin(ref.ID, int(ref.Sum.Length), at, min(at/size*size+size, end))
		if !room {
			return next
		}
		at = next
		if e != nil && !v.start(func() { v.fetchEntry(ref, e) }) {
			v.cache.Loaded(e, errClosed)
		}
	}
	return to
}

// fetchEntry loads an entry of the cache.
func (v *Volume) fetchEntry(ref honeyant.ChunkRef, e *readcache.Entry) {
	v.stats.readAheads.Add(1)
	defer v.stats.readAheads.Add(-1)
	ctx, cancel := context.WithTimeoutCause(v.ctx, v.o.Deadline, errDeadline)
	defer cancel()
	v.cache.Loaded(e, v.o.Chunks.Read(ctx, ref, e.Data(), uint32(e.Off())))
}
