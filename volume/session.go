package volume

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/internal/lazy"
	"github.com/honeyant/honeyant/meta"
)

// session is a Meta with the chunk counters used under it.
type session struct {
	meta   Meta
	leaser Leaser // meta, if names are remembered under its leases
	holder Holder // meta, if it is asked for exclusive leases
	dead   atomic.Bool
	// unsettled counts flushes whose outcome is open, which may still change what a lease would be taken on.
	unsettled atomic.Int64

	mu      sync.Mutex
	next    uint64   // counter of the next chunk
	pending []uint64 // counters handed out and not settled, ascending
}

// newChunk hands out a chunk ID; settle it when its chunk is committed or given up for certain.
func (s *session) newChunk() honeyant.ChunkID {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next++
	s.pending = append(s.pending, s.next)
	return honeyant.NewChunkID(s.meta.Incarnation(), s.meta.ID(), s.next)
}

// keep says that a chunk's commit waits in the journal: it is to be settled once more.
func (s *session) keep(id honeyant.ChunkID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i, _ := slices.BinarySearch(s.pending, id.Counter())
	s.pending = slices.Insert(s.pending, i, id.Counter())
}

// settle says that no commit of the chunk is under way any more.
func (s *session) settle(id honeyant.ChunkID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i, ok := slices.BinarySearch(s.pending, id.Counter()); ok {
		s.pending = slices.Delete(s.pending, i, i+1)
	}
}

// lowWater is the smallest counter that may still be committed.
func (s *session) lowWater() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.pending) > 0 {
		return s.pending[0]
	}
	return s.next + 1
}

// link is the way to the leader: the present session, or the wait for the next one.
type link struct {
	mu      sync.Mutex
	now     *session
	renewed chan struct{} // closed when now is replaced
}

func newLink(m Meta) *link {
	return &link{now: &session{meta: m}, renewed: make(chan struct{})}
}

func (l *link) current() *session {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.now
}

// still tells that s is the present session and not known to be dead.
func (l *link) still(s *session) bool { return l.current() == s && !s.dead.Load() }

// live waits for a session that is not known to be dead.
func (l *link) live(ctx context.Context) (*session, error) {
	for {
		l.mu.Lock()
		s, renewed := l.now, l.renewed
		l.mu.Unlock()
		if !s.dead.Load() {
			return s, nil
		}
		select {
		case <-renewed:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

func (l *link) replace(s *session) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.now.dead.Store(true)
	l.now = s
	close(l.renewed)
	l.renewed = make(chan struct{})
}

var errDeadline = errors.New("nobody answered before the deadline of volume calls")

// within bounds ctx by the deadline of calls.
func (v *Volume) within(ctx context.Context) (context.Context, context.CancelFunc) {
	if d, ok := ctx.Deadline(); ok && time.Until(d) <= v.o.Deadline {
		return ctx, func() {}
	}
	bounded := lazy.WithTimeoutCause(ctx, v.o.Deadline, errDeadline) // most calls wait for nobody
	return bounded, bounded.End
}

// fault gives err the name of the call and its final kind: who was interrupted gets Interrupted,
// internal kinds become Unavailable.
func (v *Volume) fault(ctx context.Context, name, object string, err error) error {
	kind := honeyant.KindOf(err)
	switch kind {
	case honeyant.Other, honeyant.Unavailable, honeyant.Interrupted:
		switch {
		case errors.Is(context.Cause(ctx), context.Canceled):
			kind = honeyant.Interrupted
		case kind == honeyant.Other && (errors.Is(err, errDeadline) || errors.Is(err, context.DeadlineExceeded)):
			kind = honeyant.Unavailable
		case kind == honeyant.Other:
			kind = honeyant.Internal
		}
	case honeyant.NotLeader, honeyant.Superseded, honeyant.Fenced:
		kind = honeyant.Unavailable
	}
	return honeyant.E(name, kind, object, err)
}

// do carries op out under the live session. Reads are asked again until the deadline if the leader
// or the session went; changes are not: the session has seen to their retries, and what it could
// not find out stays unknown.
func (v *Volume) do(ctx context.Context, op meta.Op) (meta.Reply, error) {
	for wait := 5 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		s, err := v.link.live(ctx)
		if err != nil {
			return nil, err
		}
		r, err := v.call(ctx, s, op)
		switch honeyant.KindOf(err) {
		case honeyant.Fenced:
			v.fence(s)
			if !meta.ReadOnly(op) {
				return nil, err
			}
			continue
		case honeyant.NotLeader, honeyant.Superseded:
			if !meta.ReadOnly(op) {
				return nil, err
			}
		default:
			return r, err
		}
		if err := pause(ctx, wait); err != nil {
			return nil, err
		}
	}
}

// pause sleeps, or returns why ctx ended.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// doer lets meta.Do type the replies of Volume.do.
type doer struct{ v *Volume }

// Do implements meta.Doer.
func (d doer) Do(ctx context.Context, op meta.Op) (meta.Reply, error) { return d.v.do(ctx, op) }

// ask carries op out within the deadline; name is that of the call, for its error.
func ask[R meta.Reply](ctx context.Context, v *Volume, name string, op meta.Request[R]) (R, error) {
	ctx, cancel := v.within(ctx)
	defer cancel()
	r, err := meta.Do(ctx, doer{v}, op)
	if err != nil {
		var none R
		return none, v.fault(ctx, name, "", err)
	}
	return r, nil
}

// fence is called when a session turns out to be dead: its bytes are lost, its owner is told.
func (v *Volume) fence(s *session) {
	if s.dead.Swap(true) {
		return
	}
	v.o.Log.Error("metadata session is dead; what it had not committed is lost", "session", uint64(s.meta.ID()))
	lost := honeyant.E("volume.Flush", honeyant.Unavailable, fmt.Sprintf("session %d", s.meta.ID()), honeyant.Fenced)
	v.journal.abandon(s, lost)
	for _, in := range v.allInodes() {
		in.abandon(s, lost)
	}
	if v.o.OnFenced != nil {
		v.hooks.Go(func() { v.o.OnFenced(s.meta) })
	}
}
