package volume

import (
	"container/list"
	"context"
	"sync"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/volume/buffers"
)

// readCache holds pieces of chunks that were read ahead. Chunks are immutable, so what it holds is
// never stale; it never holds more than its pool's limit, and never waits for room.
type readCache struct {
	pool  *buffers.Pool
	class int // class of a piece
	size  int // bytes of a piece; a chunk is cut into such pieces

	mu     sync.Mutex // guards all below
	pieces map[pieceKey]*cached
	used   *list.List // *cached that have been read to their end: the first to go
	unread *list.List // *cached that have not, oldest first
}

type pieceKey struct {
	chunk honeyant.ChunkID
	index uint32
}

type cached struct {
	key   pieceKey
	buf   *buffers.Buffer
	n     int
	ready chan struct{} // closed when it is loaded or err is set
	err   error
	pins  int       // loading counts as one
	given int       // bytes that were read out of it, again and again included
	at    time.Time // of the load, then of the read of its last byte
	elem  *list.Element
	on    *list.List
}

const (
	unreadAge = 2 * time.Second       // after which a piece that nobody read to its end may go
	lateAge   = 50 * time.Millisecond // and one whose end was read before other parts, as the kernel's requests overtake each other
)

func newReadCache(limit int64) *readCache {
	c := &readCache{pool: buffers.New(limit), pieces: map[pieceKey]*cached{}, used: list.New(), unread: list.New()}
	for c.class < buffers.TopClass && buffers.ClassSize(c.class+1) <= min(limit/8, 1<<20) {
		c.class++
	}
	c.size = int(buffers.ClassSize(c.class))
	return c
}

// begin makes an entry to be loaded; nil if it is there already, or if there is no room.
func (c *readCache) begin(key pieceKey, n int) (e *cached, room bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pieces[key] != nil {
		return nil, true
	}
	class := buffers.FitClass(int64(n))
	b := c.pool.Try(class)
	for b == nil && c.evict() {
		b = c.pool.Try(class)
	}
	if b == nil {
		return nil, false
	}
	if len(b.B) < n { // a pool too small for whole pieces
		c.pool.Put(b)
		return nil, false
	}
	e = &cached{key: key, buf: b, n: n, ready: make(chan struct{}), pins: 1, at: time.Now()}
	c.pieces[key] = e
	c.place(e, c.unread)
	return e, true
}

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
	delete(c.pieces, e.key)
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

// has tells whether the piece at an offset of a chunk is there, or on its way.
func (c *readCache) has(chunk honeyant.ChunkID, off int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pieces[pieceKey{chunk, uint32(off / c.size)}] != nil
}

// pin finds an entry and keeps it; nil if there is none.
func (c *readCache) pin(key pieceKey) *cached {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.pieces[key]
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
		index := off / c.size
		upto := min(len(p.dst), (index+1)*c.size-int(p.off))
		if e := c.pin(pieceKey{p.ref.ID, uint32(index)}); e != nil {
			ok, inside := false, off-index*c.size
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
