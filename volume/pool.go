package volume

import (
	"context"
	"sync"

	"github.com/honeyant/honeyant"
)

// Buffer classes: each is four times the one before. A run of dirty bytes starts in the class
// that fits the write and moves up as it grows.
const (
	classes  = 6
	minClass = 4 << 10
	minPool  = 64 << 10
	topClass = classes - 1 // honeyant.ChunkSize
)

func classSize(class int) int64 { return minClass << (2 * class) }

// fitClass is the smallest class of at least n bytes, or the largest there is.
func fitClass(n int64) int {
	class := 0
	for class < topClass && classSize(class) < n {
		class++
	}
	return class
}

// buffer is memory out of a pool.
type buffer struct {
	b     []byte // its length is the size of the class
	class int
}

// pool hands out buffers, together never more than limit bytes. Who asks for more waits, in order.
type pool struct {
	limit int64
	top   int // the largest class handed out: at most half of the limit

	mu      sync.Mutex
	used    int64              // handed out
	kept    int64              // given back and kept; used+kept <= limit
	free    [classes][]*buffer // the kept ones
	waiters []*poolWaiter
}

type poolWaiter struct {
	class int
	ready chan *buffer // capacity 1: put never blocks
}

func newPool(limit int64) *pool {
	p := &pool{limit: limit}
	for p.top < topClass && classSize(p.top+1) <= limit/2 {
		p.top++
	}
	return p
}

// try is a buffer of the class (or of the top class, if that is smaller), nil if that would go
// over the limit or somebody waits already.
func (p *pool) try(class int) *buffer {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.waiters) > 0 {
		return nil
	}
	return p.take(min(class, p.top))
}

func (p *pool) take(class int) *buffer {
	size := classSize(class)
	if p.used+size > p.limit {
		return nil
	}
	p.used += size
	if n := len(p.free[class]); n > 0 {
		b := p.free[class][n-1]
		p.free[class][n-1] = nil
		p.free[class] = p.free[class][:n-1]
		p.kept -= size
		return b
	}
	for c := 0; p.used+p.kept > p.limit && c < classes; {
		n := len(p.free[c])
		if n == 0 {
			c++
			continue
		}
		p.free[c][n-1] = nil
		p.free[c] = p.free[c][:n-1]
		p.kept -= classSize(c)
	}
	return &buffer{b: make([]byte, size), class: class}
}

// get waits for a buffer. Before it waits it calls pressure, which must not block and should see
// to it that buffers come back.
func (p *pool) get(ctx context.Context, class int, pressure func()) (*buffer, error) {
	class = min(class, p.top)
	if b := p.try(class); b != nil {
		return b, nil
	}
	p.mu.Lock()
	w := &poolWaiter{class: class, ready: make(chan *buffer, 1)}
	p.waiters = append(p.waiters, w)
	p.serve()
	p.mu.Unlock()
	pressure()
	select {
	case b := <-w.ready:
		return b, nil
	case <-ctx.Done():
	}
	p.mu.Lock()
	for i, other := range p.waiters {
		if other == w {
			p.waiters = append(p.waiters[:i], p.waiters[i+1:]...)
			p.serve() // a smaller one behind may fit
			p.mu.Unlock()
			return nil, honeyant.E("volume.Write", honeyant.Unavailable, "write memory", context.Cause(ctx))
		}
	}
	p.mu.Unlock()
	return <-w.ready, nil
}

// serve hands buffers to those who wait, first come first served.
func (p *pool) serve() {
	for len(p.waiters) > 0 {
		b := p.take(p.waiters[0].class)
		if b == nil {
			return
		}
		p.waiters[0].ready <- b
		p.waiters[0] = nil
		p.waiters = p.waiters[1:]
	}
}

// put gives a buffer back.
func (p *pool) put(b *buffer) {
	size := classSize(b.class)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.used -= size
	if p.used+p.kept+size <= p.limit {
		p.kept += size
		p.free[b.class] = append(p.free[b.class], b)
	}
	p.serve()
}

// waiting tells whether somebody waits.
func (p *pool) waiting() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.waiters) > 0
}

// inUse is the bytes handed out.
func (p *pool) inUse() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.used
}
