package remote

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/meta"
	"github.com/honeyant/honeyant/rpc/wire"
)

// Session is one client of the metadata leader, alive until Close or until the leader declares it dead. It
// implements meta.Doer. Safe for concurrent use.
type Session struct {
	c           *client // for operations
	control     *client // for all else: an operation that waits for others says nothing about the node
	o           Options
	id          honeyant.SessionID
	incarnation uint32
	slots       *slotTable
	opens       *openFiles

	epoch    atomic.Uint64 // the newest one heard of
	asserted atomic.Uint64 // the newest one whose leader knows all that is open
	// assertedTerm is that of the leases at whose beginning the leader was told all that is open.
	assertedTerm atomic.Uint64
	heard        atomic.Int64 // when the newest answered renewal was sent, in nanoseconds since born
	ttl          atomic.Int64 // nanoseconds
	leaseTTL     atomic.Int64 // nanoseconds
	born         time.Time

	ctx    context.Context // ends when the session is over, with the cause
	end    context.CancelCauseFunc
	fenced atomic.Bool
	wake   chan struct{} // holds 1: renew now
	leases leases

	exclusives exclusives

	mu     sync.Mutex // guards below
	closed bool
	work   sync.WaitGroup // goroutines
}

// Open begins a session. It ends, unless closed, when the leader has not heard of it for long enough.
func Open(ctx context.Context, o Options) (*Session, error) {
	o = o.withDefaults()
	c := &client{o: o}
	ctx, cancel := c.withDeadline(ctx)
	defer cancel()
	sent := time.Now()
	reply, err := c.do(ctx, &meta.Call{Op: &meta.OpenSession{Node: o.Node, Name: o.Name}})
	if err != nil {
		return nil, err
	}
	r, ok := reply.(*meta.SessionReply)
	if !ok {
		return nil, honeyant.E("remote.Open", honeyant.Internal, "", errors.New("not a session's reply"))
	}
	s := &Session{
		c: c, control: &client{o: o, also: c}, o: o, id: r.Session, incarnation: r.Incarnation, slots: newSlotTable(), opens: newOpenFiles(),
		born: sent, wake: make(chan struct{}, 1),
	}
	s.epoch.Store(r.Epoch)
	s.leases.epoch, s.leases.declared, s.leases.era = r.Epoch, r.Epoch, 1
	s.asserted.Store(r.Epoch)
	s.ttl.Store(int64(4 * time.Second))
	s.ctx, s.end = context.WithCancelCause(context.Background())
	s.work.Go(s.keepAlive)
	return s, nil
}

// ID is the session's number, unique for ever.
func (s *Session) ID() honeyant.SessionID { return s.id }

// Incarnation is the cluster's, as of the session's opening.
func (s *Session) Incarnation() uint32 { return s.incarnation }

// Epoch is the leadership epoch that the session last heard of.
func (s *Session) Epoch() uint64 { return s.epoch.Load() }

// Fenced tells whether the leader has declared the session dead.
func (s *Session) Fenced() bool { return s.fenced.Load() }

// Silence is how long ago the newest renewal was sent that has been answered.
func (s *Session) Silence() time.Duration {
	return time.Since(s.born) - time.Duration(s.heard.Load())
}

// Status counts what the session has under way and open.
func (s *Session) Status() (slotsBusy, openFiles int) { return s.slots.used(), s.opens.len() }

// Do implements meta.Doer. Errors besides the operation's own: Unavailable (the deadline passed) and
// Interrupted (ctx was cancelled), both of which leave open whether it was or will be done; Fenced. The op is
// not read any more when Do has returned. A Lock whose outcome stays open should be followed by an Unlock.
func (s *Session) Do(ctx context.Context, op meta.Op) (meta.Reply, error) {
	return s.carryOut(ctx, op, &terms{})
}

func (s *Session) carryOut(ctx context.Context, op meta.Op, t *terms) (meta.Reply, error) {
	if err := s.dead(); err != nil {
		return nil, err
	}
	ctx, cancel := s.c.withDeadline(ctx)
	defer cancel()
	var reply meta.Reply
	var err error
	switch o := op.(type) {
	case *meta.Release:
		s.opens.close(meta.OpenFile{Volume: o.Volume, Ino: o.Ino})
		return &meta.Done{}, nil
	case *meta.Open:
		f := meta.OpenFile{Volume: o.Volume, Ino: o.Ino}
		stamp, end := s.opens.begin(&f)
		defer end()
		if reply, t.grant, err = s.c.doLeased(ctx, &meta.Call{Session: s.id, Stamp: stamp, Lease: t.lease, Op: op}); err == nil {
			s.opens.opened(f)
		}
	case *meta.Take:
		reply, err = s.take(ctx, o, t)
	default:
		if meta.ReadOnly(op) {
			reply, t.grant, err = s.c.doLeased(ctx, &meta.Call{Session: s.id, Lease: t.lease, Op: op})
		} else {
			reply, err = s.change(ctx, op, t)
		}
	}
	return reply, s.judge(err)
}

// dead is the error of a session that is over.
func (s *Session) dead() error {
	if s.fenced.Load() {
		return honeyant.E("remote.Do", honeyant.Fenced, "", nil)
	}
	if s.ctx.Err() != nil {
		return honeyant.E("remote.Do", honeyant.Unavailable, "", context.Cause(s.ctx))
	}
	return nil
}

// judge takes note if the session is dead.
func (s *Session) judge(err error) error {
	if errors.Is(err, honeyant.Fenced) {
		s.fence()
	}
	return err
}

// fence notes that the leader has declared the session dead. A renewal that was under way while Close ended
// the session is told so too: that is no death, and nobody is told of it.
func (s *Session) fence() {
	s.mu.Lock()
	closing := s.closed
	s.mu.Unlock()
	if s.fenced.Swap(true) || closing {
		return
	}
	s.o.Log.Error("metadata session is dead", "session", s.id)
	s.end(honeyant.E("remote.Session", honeyant.Fenced, "", nil))
	s.leases.end()
	go s.loseAll() // not waited for: the caller may hold what it needs
	if s.o.OnFenced != nil {
		go s.o.OnFenced() // not waited for by Close, which it may call
	}
}

// change carries out a change in a slot.
func (s *Session) change(ctx context.Context, op meta.Op, t *terms) (meta.Reply, error) {
	if mayDelete(op) { // Cover says of these that they are not open here, or that the leader knows
		if err := s.sayOpen(ctx, t.want.Cover); err != nil {
			return nil, err
		}
	}
	slot, seq, ok := s.slots.take(ctx, s.ctx.Done())
	if !ok {
		if err := s.dead(); err != nil {
			return nil, err
		}
		return nil, ended(ctx, errors.New("all slots are busy"))
	}
	call := &meta.Call{Session: s.id, Slot: slot, Seq: seq, Lease: t.lease, Cover: t.want.Cover, Op: op}
	mk, opens := op.(*meta.Make)
	if opens = opens && mk.Open; opens {
		stamp, end := s.opens.begin(nil)
		defer end()
		call.Stamp = stamp
	}
	reply, grant, err := s.c.doLeased(ctx, call)
	if unknown(err) {
		t.open = true
		s.resolve(call, t.want.Settled, err)
		return nil, err
	}
	t.grant = grant
	s.slots.give(slot)
	if e, ok := reply.(*meta.EntryReply); ok && err == nil && opens {
		f := meta.OpenFile{Volume: mk.Volume, Ino: e.Attr.Ino}
		if e.Existed { // who opens it says so, or is under a lease
			s.opens.unwanted(f)
		} else {
			s.opens.opened(f)
		}
	}
	return reply, err
}

// mayDelete tells whether the change may delete inodes.
func mayDelete(op meta.Op) bool {
	switch op.(type) {
	case *meta.Make, *meta.Link, *meta.SetAttr, *meta.SetXattr, *meta.RemoveXattr, *meta.Commit:
		return false
	}
	return true
}

// unknown tells whether the error leaves open if the change was done.
func unknown(err error) bool {
	return errors.Is(err, honeyant.Unavailable) || errors.Is(err, honeyant.Interrupted)
}

// resolve goes on asking for the outcome of a change whose caller has gone (W1). It works on a copy of the
// operation: the caller has its own back.
func (s *Session) resolve(call *meta.Call, settled func(), cause error) {
	op, err := meta.DecodeOp(meta.EncodeOp(call.Op))
	if err != nil {
		panic("remote: an operation does not decode: " + err.Error())
	}
	again := *call
	again.Op, again.Retry = op, true
	s.slots.leave(again.Slot)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	s.o.Log.Warn("outcome of a metadata change is open", "op", op.Code(), "cause", cause)
	s.work.Go(func() {
		reply, err := s.c.do(s.ctx, &again)
		if s.judge(err); s.ctx.Err() != nil {
			return
		}
		if e, ok := reply.(*meta.EntryReply); ok && err == nil {
			if mk, ok := op.(*meta.Make); ok && mk.Open {
				s.opens.unwanted(meta.OpenFile{Volume: mk.Volume, Ino: e.Attr.Ino})
			}
		}
		s.slots.give(again.Slot)
		if settled != nil {
			settled()
		}
	})
}

// keepAlive renews the session, says what is open to new leaders, and what is no longer open.
func (s *Session) keepAlive() {
	asserting, releasing, claiming := make(chan struct{}, 1), make(chan struct{}, 1), make(chan struct{}, 1) // one at a time
	for {
		ttl := time.Duration(s.ttl.Load())
		again := s.renew(ttl)
		select {
		case releasing <- struct{}{}: // aside: leases must be renewed meanwhile
			s.work.Go(func() {
				s.sayReleased(ttl)
				<-releasing
			})
		default:
		}
		if s.unclaimed() {
			select {
			case claiming <- struct{}{}:
				s.work.Go(func() {
					s.claim()
					<-claiming
				})
			default:
			}
		}
		if term := s.leases.newest(); s.asserted.Load() != s.epoch.Load() || term != 0 && s.assertedTerm.Load() != term {
			select {
			case asserting <- struct{}{}:
				s.work.Go(func() {
					s.assert(s.epoch.Load(), term)
					<-asserting
				})
			default:
			}
		}
		if again {
			continue
		}
		select {
		case <-s.ctx.Done():
			return
		case <-s.wake:
		case <-time.After(s.renewEvery(ttl)):
		}
	}
}

// renewEvery is how often to renew: four times in a TTL of the session, and of its leases if it wants any.
func (s *Session) renewEvery(ttl time.Duration) time.Duration {
	if _, want := s.leases.wanted(); want {
		if lease := time.Duration(s.leaseTTL.Load()); lease > 0 {
			ttl = min(ttl, lease)
		}
	}
	return ttl / 4
}

// renew says that the session is alive. What fails is tried again at the next turn; again says that this should
// be at once.
func (s *Session) renew(ttl time.Duration) (again bool) {
	ctx, cancel := context.WithTimeoutCause(s.ctx, ttl, errors.New("renewal: no answer within a TTL"))
	defer cancel()
	var r meta.Renewal
	sent, at := time.Since(s.born), s.o.moment()
	epoch, want := s.leases.wanted()
	err := s.control.ask(ctx, &question{
		method: methodRenew,
		direct: func(ctx context.Context, l *meta.Leader) (err error) {
			sent, at = time.Since(s.born), s.o.moment()
			r, err = l.RenewLeases(ctx, s.id, epoch, want)
			return err
		},
		encode: func() []byte {
			sent, at = time.Since(s.born), s.o.moment()
			q := renewRequest{session: s.id, epoch: epoch, want: want}
			return wire.Marshal(q.fields)
		},
		decode: func(body []byte) error {
			return wire.Unmarshal(body, func(c *wire.Codec) { renewalFields(c, &r) })
		},
	})
	if s.judge(err) != nil {
		return false
	}
	s.heard.Store(int64(sent))
	s.ttl.Store(int64(max(r.TTL, 100*time.Millisecond)))
	s.leaseTTL.Store(int64(r.LeaseTTL))
	s.epoch.Store(r.Epoch) // only a leader that the quorum confirmed answers, so it never goes back
	return s.leases.renewed(&r, at, s.o.moment(), s.claims())
}

// sayReleased tells the leader what is no longer open.
func (s *Session) sayReleased(ttl time.Duration) {
	ctx, cancel := context.WithTimeoutCause(s.ctx, ttl, errors.New("release: no answer within a TTL"))
	defer cancel()
	for {
		list := s.opens.takeReleased()
		if len(list) == 0 {
			return
		}
		err := s.control.ask(ctx, &question{
			method: methodRelease,
			direct: func(_ context.Context, l *meta.Leader) error { return l.ReleaseOpens(s.id, list) },
			encode: func() []byte {
				r := releaseRequest{session: s.id, files: list}
				return wire.Marshal(r.fields)
			},
		})
		if s.judge(err) != nil {
			s.opens.keepReleased(list)
			return
		}
	}
}

// assert says to the leader of a new epoch what is open (W2). What fails is tried again at the next turn.
func (s *Session) assert(epoch, term uint64) {
	// Opens that began under the old leader may have been answered by it: they must be in the list. Those
	// that begin from now on are answered, and so registered, by the new one.
	before := s.opens.before()
	done := make(chan struct{})
	go func() { before.Wait(); close(done) }() // ends with their deadlines
	select {
	case <-done:
	case <-s.ctx.Done():
		<-done
		return
	}
	saying := s.opens.list()
	err := s.reassert(s.ctx, epoch, term, saying, true)
	saying.end(err == nil)
	if err == nil { // Stale: the next renewal tells the newer epoch
		s.asserted.Store(epoch)
		s.assertedTerm.Store(term)
	}
}

// Close ends the session at the leader, if it can be reached before ctx or "meta-call" ends, and here in any
// case. Its locks are given back. Twice is harmless.
func (s *Session) Close(ctx context.Context) error {
	s.mu.Lock()
	was := s.closed
	s.closed = true
	s.mu.Unlock()
	var err error
	if !was && !s.fenced.Load() {
		ctx, cancel := s.c.withDeadline(ctx)
		defer cancel()
		s.giveLeasesBack()
		_, err = s.c.do(ctx, &meta.Call{Op: &meta.CloseSession{Session: s.id}})
	}
	s.end(errors.New("the session is closed"))
	s.work.Wait()
	return err
}

// Reopen begins a new session with the same options, usually after this one was Fenced. This one is not closed.
func (s *Session) Reopen(ctx context.Context) (*Session, error) { return Open(ctx, s.o) }
