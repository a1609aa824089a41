package volumetest

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/honeyant/honeyant/meta"
	"github.com/honeyant/honeyant/meta/remote"
	"github.com/honeyant/honeyant/volume"
)

// Leased is a session that can hold shared leases.
type Leased struct {
	*remote.Session
	// Calls counts the operations that reached the leader, by code.
	Calls [256]atomic.Int64
	// Around is called around each operation, if set: it calls do.
	Around atomic.Pointer[func(op meta.Op, do func())]
	// Returning is called before exclusive leases are given back, if set.
	Returning atomic.Pointer[func(files []meta.OpenFile)]
}

// NewLeased opens a session with the leader in this process. It ends with the test.
func (c *Cluster) NewLeased(tb testing.TB, change func(*remote.Options)) *Leased {
	tb.Helper()
	o := remote.Options{
		Local: func() (*meta.Leader, bool) { return c.Leader, true }, Node: 1, Name: tb.Name(),
		Clock: func() time.Duration { return 0 }, // fake time alone counts
	}
	if change != nil {
		change(&o)
	}
	s, err := remote.Open(context.Background(), o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = s.Close(ctx) // what it could not say ends by itself
	})
	return &Leased{Session: s}
}

// Do implements meta.Doer.
func (l *Leased) Do(ctx context.Context, op meta.Op) (r meta.Reply, err error) {
	l.around(op, func() { r, err = l.Session.Do(ctx, op) })
	return r, err
}

// DoLeased implements volume.Leaser.
func (l *Leased) DoLeased(ctx context.Context, op meta.Op, w meta.Want) (r meta.Reply, held meta.Held, err error) {
	l.around(op, func() { r, held, err = l.Session.DoLeased(ctx, op, w) })
	return r, held, err
}

// Return gives exclusive leases back, see remote.Session.
func (l *Leased) Return(ctx context.Context, files []meta.OpenFile) error {
	if returning := l.Returning.Load(); returning != nil {
		(*returning)(files)
	}
	return l.Session.Return(ctx, files)
}

func (l *Leased) around(op meta.Op, do func()) {
	l.Calls[op.Code()].Add(1)
	if around := l.Around.Load(); around != nil {
		(*around)(op, do)
		return
	}
	do()
}

// All is how many operations were asked for.
func (l *Leased) All() (n int64) {
	for i := range l.Calls {
		n += l.Calls[i].Load()
	}
	return n
}

// OpenLeased opens a volume that remembers names, over a session of its own; change may be nil. Its leases are in
// force when OpenLeased returns.
func (c *Cluster) OpenLeased(tb testing.TB, change func(*volume.Options)) (*volume.Volume, *Leased) {
	tb.Helper()
	s := c.NewLeased(tb, nil)
	v := c.Open(tb, func(o *volume.Options) {
		o.Meta = s
		if change != nil {
			change(o)
		}
	})
	for range 1000 {
		if _, ok := s.Era(); ok {
			return v, s
		}
		time.Sleep(time.Millisecond)
	}
	tb.Fatal("no leases")
	return v, s
}

var _ volume.Leaser = (*Leased)(nil)
var _ volume.Leaser = (*remote.Session)(nil)
