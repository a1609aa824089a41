// Package readcache keeps frames of chunks in memory for a volume.
package readcache

import (
	"container/list"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/volume/buffers"
)

// Cache holds parts of chunks that were read ahead, or written. Chunks are immutable, so what it holds is
// never stale; it never holds more than its limit, and never waits for room. Safe for concurrent use.
type Cache struct {
	pool *buffers.Pool
	size int // the most bytes of an entry

	mu     sync.Mutex // guards all below
	frames map[frameKey]*Entry
	used   *list.List // *Entry that have been read to their end: the first to go
	unread *list.List // *Entry that have not, oldest first
	missed [8]frameKey
	misses int
}

// frameKey is a frame of a chunk: what is read and checked at once, honeyant.FrameSize bytes or less at the end.
type frameKey struct {
	chunk honeyant.ChunkID
	index int
}

// Entry is a number of frames of a chunk that follow each other. Who got it from Begin loads it, and calls Loaded.
type Entry struct {
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

// Off is where the entry begins in its chunk, and Data what is to be filled.
func (e *Entry) Off() int     { return e.off }
func (e *Entry) Data() []byte { return e.buf.B[:e.n] }

const (
	unreadAge = 2 * time.Second       // after which an entry that nobody read to its end may go
	lateAge   = 50 * time.Millisecond // and one whose end was read before other parts, as the kernel's requests overtake each other
)

// New makes a cache of at most limit bytes.
func New(limit int64) *Cache {
	c := &Cache{pool: buffers.New(limit), frames: map[frameKey]*Entry{}, used: list.New(), unread: list.New()}
	class := 0
	for class < buffers.TopClass && buffers.ClassSize(class+1) <= min(limit/8, 1<<20) {
		class++
	}
	c.size = int(max(buffers.ClassSize(class), honeyant.FrameSize))
	return c
}

// Piece is the most bytes of an entry: what is best loaded at once.
func (c *Cache) Piece() int { return c.size }

// InUse is the memory of what is cached, in bytes.
func (c *Cache) InUse() int64 { return c.pool.InUse() }

// Begin makes an entry, to be loaded, of the first frames that [from, to) of a chunk of length bytes touches and that are neither
// there nor on their way. It tells where to go on, to if there is no more; room false: there is none. e is nil if there is nothing to load.
func (c *Cache) Begin(chunk honeyant.ChunkID, length, from, to int) (e *Entry, next int, room bool) {
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
	e = &Entry{chunk: chunk, off: off, n: n, buf: b, ready: make(chan struct{}), pins: 1, at: time.Now()}
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
func (e *Entry) count() int { return (e.n + honeyant.FrameSize - 1) / honeyant.FrameSize }

// place moves an entry to the end of a list. c.mu is held.
func (c *Cache) place(e *Entry, to *list.List) {
	if e.on != nil {
		e.on.Remove(e.elem)
	}
	e.on, e.elem = to, to.PushBack(e)
}

// evict drops one entry; false if none may go. c.mu is held.
func (c *Cache) evict() bool {
	for _, l := range []*list.List{c.used, c.unread} {
		for el := l.Front(); el != nil; el = el.Next() {
			e := el.Value.(*Entry)
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
func (c *Cache) drop(e *Entry) {
	e.on.Remove(e.elem)
	for j := range e.count() {
		delete(c.frames, frameKey{e.chunk, e.off/honeyant.FrameSize + j})
	}
	c.pool.Put(e.buf)
}

// Loaded ends what Begin began. An entry that could not be loaded goes at once.
func (c *Cache) Loaded(e *Entry, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e.err = err
	close(e.ready)
	c.release(e)
}

// release takes one pin away. c.mu is held.
func (c *Cache) release(e *Entry) {
	e.pins--
	if e.pins == 0 && e.err != nil {
		c.drop(e)
	}
}

// Has tells whether the frame at an offset of a chunk is there, or on its way.
func (c *Cache) Has(chunk honeyant.ChunkID, off int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.frames[frameKey{chunk, off / honeyant.FrameSize}] != nil
}

// Miss notes that a small part of a chunk is wanted that is not there, and tells whether another one near it was a moment ago; if so
// [from, to) is what lies around.
func (c *Cache) Miss(chunk honeyant.ChunkID, off int) (from, to int, again bool) {
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

// Keep takes the bytes of a new chunk in, as far as there is room.
func (c *Cache) Keep(chunk honeyant.ChunkID, data []byte) {
	for at := 0; at < len(data); {
		e, next, room := c.Begin(chunk, len(data), at, len(data))
		if !room {
			return
		}
		if e != nil {
			copy(e.buf.B, data[e.off:e.off+e.n])
			c.Loaded(e, nil)
		}
		at = next
	}
}

// pin finds the entry of a frame and keeps it; nil if there is none.
func (c *Cache) pin(chunk honeyant.ChunkID, off int) *Entry {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.frames[frameKey{chunk, off / honeyant.FrameSize}]
	if e != nil {
		e.pins++
	}
	return e
}

// unpin gives back what pin took, after n bytes were read; atEnd says that the last one was among them.
func (c *Cache) unpin(e *Entry, n int, atEnd bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e.given += n
	if atEnd {
		e.at = time.Now()
		c.place(e, c.used)
	}
	c.release(e)
}

// Gap is a part of a read that the cache does not have.
type Gap struct {
	Dst []byte
	Off int // in the chunk
}

// Read fills what it can of dst, which stands for a chunk from off on, waiting for what is being loaded until ctx ends. It returns the rest,
// and how many entries it read from.
func (c *Cache) Read(ctx context.Context, chunk honeyant.ChunkID, off int, dst []byte) (rest []Gap, hits int) {
	filled := 0 // from here on nothing is
	for pos := 0; pos < len(dst); {
		upto := min(len(dst), ((off+pos)/honeyant.FrameSize+1)*honeyant.FrameSize-off)
		if e := c.pin(chunk, off+pos); e != nil {
			upto = min(len(dst), e.off+e.n-off)
			ok, inside := false, off+pos-e.off
			select {
			case <-e.ready:
				ok = e.err == nil
			case <-ctx.Done():
			}
			if ok {
				if filled < pos {
					rest = append(rest, Gap{dst[filled:pos], off + filled})
				}
				copy(dst[pos:upto], e.buf.B[inside:e.n])
				filled = upto
				hits++
				c.unpin(e, upto-pos, inside+upto-pos >= e.n)
			} else {
				c.unpin(e, 0, false)
			}
		}
		pos = upto
	}
	if filled < len(dst) {
		rest = append(rest, Gap{dst[filled:], off + filled})
	}
	return rest, hits
}
