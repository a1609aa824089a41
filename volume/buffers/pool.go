// Package buffers hands out memory in a few sizes, together never more than a limit.
package buffers

import (
	"context"
	"sync"

	"github.com/honeyant/honeyant"
)

// Sizes come in classes: each is four times the one before. A run of dirty bytes starts in the class
// that fits the write and moves up as it grows.
const (
	classes  = 6
	minClass = 4 << 10
	MinPool  = 64 << 10    // the least limit
	TopClass = classes - 1 // honeyant.ChunkSize
)

// ClassSize is the size of a class in bytes.
func ClassSize(class int) int64 { return minClass << (2 * class) }

// FitClass is the smallest class of at least n bytes, or the largest there is.
func FitClass(n int64) int {
	class := 0
	for class < TopClass && ClassSize(class) < n {
		class++
	}
	return class
}

// Buffer is memory out of a pool.
type Buffer struct {
	B     []byte // its length is the size of the class
	Class int
}

// Pool hands out buffers, together never more than limit bytes. Who asks for more waits, in order. Safe for
// concurrent use.
type Pool struct {
	limit int64
	top   int // the largest class handed out

	mu      sync.Mutex
	used    int64              // handed out
	kept    int64              // given back and kept; used+kept <= limit
	free    [classes][]*Buffer // the kept ones
	waiters []*waiter
}

type waiter struct {
	class int
	ready chan *Buffer // capacity 1: put never blocks
}

// New makes a pool of limit bytes, at least MinPool.
func New(limit int64) *Pool {
	p := &Pool{limit: limit}
	for p.top < TopClass && ClassSize(p.top+1) <= limit/2 {
		p.top++
	}
	return p
}

// Try is a buffer of the class (or of the top class, if that is smaller), nil if that would go
// over the limit or somebody waits already.
func (p *Pool) Try(class int) *Buffer {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.waiters) > 0 {
		return nil
	}
	return p.take(min(class, p.top))
}

func (p *Pool) take(class int) *Buffer {
	size := ClassSize(class)
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
		p.kept -= ClassSize(c)
	}
	return &Buffer{B: make([]byte, size), Class: class}
}

// Get waits for a buffer. Before it waits it calls pressure, which must not block and should see
// to it that buffers come back.
func (p *Pool) Get(ctx context.Context, class int, pressure func()) (*Buffer, error) {
	class = min(class, p.top)
	if b := p.Try(class); b != nil {
		return b, nil
	}
	p.mu.Lock()
	w := &waiter{class: class, ready: make(chan *Buffer, 1)}
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
func (p *Pool) serve() {
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

// Put gives a buffer back.
func (p *Pool) Put(b *Buffer) {
	size := ClassSize(b.Class)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.used -= size
	if p.used+p.kept+size <= p.limit {
		p.kept += size
		p.free[b.Class] = append(p.free[b.Class], b)
	}
	p.serve()
}

// Waiting tells whether somebody waits.
func (p *Pool) Waiting() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.waiters) > 0
}

// InUse is the bytes handed out.
func (p *Pool) InUse() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.used
}

// Limit is how many bytes there are.
func (p *Pool) Limit() int64 { return p.limit }

// Top is the largest class handed out: at most half of the limit.
func (p *Pool) Top() int { return p.top }
