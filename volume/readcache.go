package volume

import (
	"container/list"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/volume/buffers"
)

// readCache holds parts of chunks that were read ahead, or written. Chunks are immutable, so what it holds is
// never stale; it never holds more than its pool's limit, and never waits for room.
type readCache struct {
	pool *buffers.Pool
	size int // the most bytes of an entry

	mu     sync.Mutex // guards all below
	frames map[frameKey]*cached
	used   *list.List // *cached that have been read to their end: the first to go
	unread *list.List // *cached that have not, oldest first
	missed [8]frameKey
	misses int
}

// frameKey is a frame of a chunk: what is read and checked at once, honeyant.FrameSize bytes or less at the end.
type frameKey struct {
	chunk honeyant.ChunkID
	index int
}

// cached is a number of frames of a chunk that follow each other.
type cached struct {
	chunk honeyant.ChunkID
	off   int // of the first frame
	n     int // bytes
	buf   *buffers.Buffer
	ready chan struct{} // closed when it is loaded or err is set
	err   error
	pins  int       // loading counts as one
	given int       // bytes that were read out of it, again and again included
	at    time.Time // of the load, then of the read of its last byte
	elem  *list.Element
	on    *list.List
}

const (
	unreadAge = 2 * time.Second       // after which an entry that nobody read to its end may go
	lateAge   = 50 * time.Millisecond // and one whose end was read before other parts, as the kernel's requests overtake each other
)

func newReadCache(limit int64) *readCache {
	c := &readCache{pool: buffers.New(limit), frames: map[frameKey]*cached{}, used: list.New(), unread: list.New()}
	class := 0
	for class < buffers.TopClass && buffers.ClassSize(class+1) <= min(limit/8, 1<<20) {
		class++
	}
	c.size = int(max(buffers.ClassSize(class), honeyant.FrameSize))
	return c
}

// begin makes an entry, to be loaded, of the first frames that [from, to) of a chunk of length bytes touches and that are neither
// there nor on their way. It tells where to go on, to if there is no more; room false: there is none. e is nil if there is nothing to load.
func (c *readCache) begin(chunk honeyant.ChunkID, length, from, to int) (e *cached, next int, room bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	asked := to
	to = min((to+honeyant.FrameSize-1)/honeyant.FrameSize*honeyant.FrameSize, length)
	i := from / honeyant.FrameSize
	for ; i*honeyant.FrameSize < to; i++ {
		if c.frames[frameKey{chunk, i}] == nil {
			break
		}
	}
	off := i * honeyant.FrameSize
	if off >= to {
		return nil, asked, true
	}
	end := i + 1
	for end*honeyant.FrameSize < min(to, off+c.size) && c.frames[frameKey{chunk, end}] == nil {
		end++
	}
	n := min(end*honeyant.FrameSize, to) - off
	class := buffers.FitClass(int64(n))
	if less := int(buffers.ClassSize(max(class-1, 0))); 2*n < int(buffers.ClassSize(class)) && less >= honeyant.FrameSize {
		class, n = class-1, less
	}
	b := c.pool.Try(class)
	for b == nil && c.evict() {
		b = c.pool.Try(class)
	}
	if b == nil {
		return nil, off, false
	}
	if len(b.B) < n { // a pool too small for whole frames
		c.pool.Put(b)
		return nil, off, false
	}
	e = &cached{chunk: chunk, off: off, n: n, buf: b, ready: make(chan struct{}), pins: 1, at: time.Now()}
	for j := range e.count() {
		c.frames[frameKey{chunk, i + j}] = e
	}
	c.place(e, c.unread)
	if off+n == to {
		return e, asked, true
	}
	return e, off + n, true
}

// count is how many frames an entry has.
func (e *cached) count() int { return (e.n + honeyant.FrameSize - 1) / honeyant.FrameSize }

// place moves an entry to the end of a list. c.mu is held.
func (c *readCache) place(e *cached, to *list.List) {
	if e.on != nil {
		e.on.Remove(e.elem)
	}
	e.on, e.elem = to, to.PushBack(e)
}

// evict drops one entry; false if none may go. c.mu is held.
func (c *readCache) evict() bool {
	for _, l := range []*list.List{c.used, c.unread} {
		for el := l.Front(); el != nil; el = el.Next() {
			e := el.Value.(*cached)
			if l == c.unread && time.Since(e.at) < unreadAge {
				break
			}
			if e.pins > 0 || l == c.used && e.given < e.n && time.Since(e.at) < lateAge {
				continue
			}
			c.drop(e)
			return true
		}
	}
	return false
}

// drop removes an entry that is not pinned. c.mu is held.
func (c *readCache) drop(e *cached) {
	e.on.Remove(e.elem)
	for j := range e.count() {
		delete(c.frames, frameKey{e.chunk, e.off/honeyant.FrameSize + j})
	}
	c.pool.Put(e.buf)
}

// loaded ends what begin began. An entry that could not be loaded goes at once.
func (c *readCache) loaded(e *cached, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e.err = err
	close(e.ready)
	c.unpin(e)
}

// unpin gives back one pin. c.mu is held.
func (c *readCache) unpin(e *cached) {
	e.pins--
	if e.pins == 0 && e.err != nil {
		c.drop(e)
	}
}

// has tells whether the frame at an offset of a chunk is there, or on its way.
func (c *readCache) has(chunk honeyant.ChunkID, off int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.frames[frameKey{chunk, off / honeyant.FrameSize}] != nil
}

// miss notes that a small part of a chunk is wanted that is not there, and tells whether another one near it was a moment ago; if so
// [from, to) is what lies around.
func (c *readCache) miss(chunk honeyant.ChunkID, off int) (from, to int, again bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.frames[frameKey{chunk, off / honeyant.FrameSize}] != nil {
		return 0, 0, false
	}
	key := frameKey{chunk, off / c.size}
	if slices.Contains(c.missed[:], key) {
		return key.index * c.size, (key.index + 1) * c.size, true
	}
	c.missed[c.misses%len(c.missed)] = key
	c.misses++
	return 0, 0, false
}

// keep takes the bytes of a new chunk in, as far as there is room.
func (c *readCache) keep(chunk honeyant.ChunkID, data []byte) {
	for at := 0; at < len(data); {
		e, next, room := c.begin(chunk, len(data), at, len(data))
		if !room {
			return
		}
		if e != nil {
			copy(e.buf.B, data[e.off:e.off+e.n])
			c.loaded(e, nil)
		}
		at = next
	}
}

// pin finds the entry of a frame and keeps it; nil if there is none.
func (c *readCache) pin(chunk honeyant.ChunkID, off int) *cached {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.frames[frameKey{chunk, off / honeyant.FrameSize}]
	if e != nil {
		e.pins++
	}
	return e
}

// done gives back what pin took, after n bytes were read; atEnd says that the last one was among them.
func (c *readCache) done(e *cached, n int, atEnd bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e.given += n
	if atEnd {
		e.at = time.Now()
		c.place(e, c.used)
	}
	c.unpin(e)
}

// fromCache fills what it can of p from the cache, waiting for what is being loaded, and appends the rest to cold.
func (v *Volume) fromCache(ctx context.Context, p piece, cold []piece) []piece {
	c := v.cache
	at := 0 // from here on nothing is filled
	for pos := 0; pos < len(p.dst); {
		off := int(p.off) + pos
		upto := min(len(p.dst), (off/honeyant.FrameSize+1)*honeyant.FrameSize-int(p.off))
		if e := c.pin(p.ref.ID, off); e != nil {
			upto = min(len(p.dst), e.off+e.n-int(p.off))
			ok, inside := false, off-e.off
			select {
			case <-e.ready:
				ok = e.err == nil
			case <-ctx.Done():
			}
			if ok {
				if at < pos {
					cold = append(cold, piece{dst: p.dst[at:pos], ref: p.ref, off: p.off + uint32(at)})
				}
				copy(p.dst[pos:upto], e.buf.B[inside:e.n])
				at = upto
				v.stats.cacheHits.Add(1)
				c.done(e, upto-pos, inside+upto-pos >= e.n)
			} else {
				c.done(e, 0, false)
			}
		}
		pos = upto
	}
	if at < len(p.dst) {
		v.stats.cacheMisses.Add(1)
		cold = append(cold, piece{dst: p.dst[at:], ref: p.ref, off: p.off + uint32(at)})
	}
	return cold
}
