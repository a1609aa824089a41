package remote

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/honeyant/honeyant/meta"
	"github.com/honeyant/honeyant/rpc/wire"
)

// leases is what the session knows of its shared leases. They are in force, all of them, in one era: while one
// leadership epoch and one term at its leader last and each answered renewal was sent less than the leases' TTL
// ago. Safe for concurrent use.
type leases struct {
	mu     sync.Mutex // guards all below
	forget func([]meta.OpenFile)
	era    uint64
	epoch  uint64 // what an answer must come from to count
	// declared is the epoch that the leader hears the session knows of: its leases are out of use, and what it holds
	// exclusively is claimed. Without a handler of exclusive leases it is epoch.
	declared uint64
	term     uint64        // 0: no leases
	sent     moment        // of the newest answered renewal
	ttl      time.Duration // from then on
	news     chan struct{} // closed when any of this changes
}

// moment is a moment by two clocks: the one that programs under fake time have, and one that goes on while the
// machine sleeps (rule 15). More time has passed than either says.
type moment struct {
	at   time.Time
	boot time.Duration
}

func (o *Options) moment() moment {
	now := time.Now()
	if o.Clock == nil {
		return moment{now, systemBoot.at(goClocksAt(now))}
	}
	return moment{now, o.Clock()}
}

// since is the time from m to now.
func (m moment) since(now moment) time.Duration { return max(now.at.Sub(m.at), now.boot-m.boot) }

func (l *leases) inForce(now moment) bool { return l.term != 0 && l.sent.since(now) < l.ttl }

func (l *leases) changed() {
	if l.news != nil {
		close(l.news)
		l.news = nil
	}
}

// end begins another era, without leases.
func (l *leases) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.era++
	l.term = 0
	l.changed()
}

// newest is the term of the leases, 0: none.
func (l *leases) newest() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.term
}

// wanted tells whether leases are asked for, and the epoch whose leases alone are in use.
func (l *leases) wanted() (epoch uint64, want bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.declared, l.forget != nil
}

// renewed takes in an answered renewal; again says that another one should follow at once. claims says that a new epoch
// is declared only after what is held exclusively was claimed.
func (l *leases) renewed(r *meta.Renewal, sent, now moment, claims bool) (again bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r.Epoch < l.epoch {
		return false
	}
	if r.Epoch > l.epoch {
		l.era++
		l.epoch, l.term = r.Epoch, 0
		if !claims {
			l.declared = r.Epoch
		}
		l.changed()
		return l.forget != nil && !claims
	}
	if r.LeaseTerm != l.term || l.term != 0 && !l.inForce(now) {
		l.era++ // something was, or may have been, forgotten there
		l.term = r.LeaseTerm
		l.changed()
	}
	l.sent, l.ttl = sent, r.LeaseTTL
	return false
}

// Watch asks for shared leases from now on. forget is called with inodes of which nothing may be remembered any
// more, and the recall is acknowledged when it returns and the leader knows which of these are open (OpenLeased); it
// must not wait for calls of this session, and not for long. Once only.
func (s *Session) Watch(forget func([]meta.OpenFile)) {
	s.leases.mu.Lock()
	s.leases.forget = forget
	s.leases.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed && s.ctx.Err() == nil {
		s.work.Go(s.pollRecalls)
		s.kick()
	}
}

// Era numbers the time during which leases are in force; ok false if none are at this moment. What was granted in
// another era is to be forgotten.
func (s *Session) Era() (era uint64, ok bool) {
	now := s.o.moment()
	s.leases.mu.Lock()
	defer s.leases.mu.Unlock()
	return s.leases.era, s.leases.inForce(now)
}

// LeaseLeft tells for how long from now on the leases of an era are in force; 0: they are not.
func (s *Session) LeaseLeft() (era uint64, left time.Duration) {
	now := s.o.moment()
	s.leases.mu.Lock()
	defer s.leases.mu.Unlock()
	if !s.leases.inForce(now) {
		return s.leases.era, 0
	}
	return s.leases.era, s.leases.ttl - s.leases.sent.since(now)
}

// DoLeased is Do that asks for leases on what the answer speaks of, and tells what was granted, also with an error.
func (s *Session) DoLeased(ctx context.Context, op meta.Op, w meta.Want) (meta.Reply, meta.Held, error) {
	era, ok := s.Era()
	t := &terms{lease: ok, want: w}
	reply, err := s.carryOut(ctx, op, t)
	held := meta.Held{Open: t.open}
	s.leases.mu.Lock()
	defer s.leases.mu.Unlock()
	if g := t.grant; g.Term != 0 && s.leases.era == era && s.leases.epoch == g.Epoch && s.leases.term == g.Term {
		held.Era, held.Except = era, g.Except
	}
	return reply, held, err
}

// terms are what a call asks for besides the operation, and what it got.
type terms struct {
	lease bool
	want  meta.Want
	grant meta.Grant
	open  bool // the outcome is not known; want.Settled will tell when it is
}

func (s *Session) kick() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// pollRecalls keeps one call for recalls at the leader, and carries them out.
func (s *Session) pollRecalls() {
	var term, ack uint64
	for s.ctx.Err() == nil {
		s.leases.mu.Lock()
		now, forget := s.leases.term, s.leases.forget
		if s.leases.news == nil {
			s.leases.news = make(chan struct{})
		}
		news := s.leases.news
		s.leases.mu.Unlock()
		if now != term {
			term, ack = now, 0
		}
		if term != 0 {
			r, err := s.recalls(term, ack)
			if err == nil && r.Term == term {
				if len(r.Files) > 0 && forget != nil {
					forget(r.Files)
					err = s.sayOpen(s.ctx, r.Files)
				}
				if len(r.Exclusive) > 0 {
					s.recalledNow(r.Exclusive)
				}
				if err == nil {
					ack = r.Seq
					continue
				}
			}
			s.kick() // to hear of the new term or epoch
		}
		select {
		case <-news:
		case <-s.ctx.Done():
		case <-time.After(recallPause):
		}
	}
}

// recallPause is before recalls are asked for again after a failure.
const recallPause = 50 * time.Millisecond

func (s *Session) recalls(term, ack uint64) (r meta.Recall, err error) {
	hold := min(s.o.Attempt/2, maxHold)
	ctx, cancel := context.WithTimeoutCause(s.ctx, 2*hold, errors.New("recalls: no answer"))
	defer cancel()
	err = s.control.attempt(ctx, &question{
		method: methodRecalls, patient: true,
		direct: func(ctx context.Context, l *meta.Leader) (err error) {
			r, err = l.Recalls(ctx, s.id, term, ack, hold)
			return err
		},
		encode: func() []byte {
			q := recallsRequest{session: s.id, term: term, ack: ack, hold: hold}
			return wire.Marshal(q.fields)
		},
		decode: func(body []byte) error {
			return wire.Unmarshal(body, func(c *wire.Codec) { recallFields(c, &r) })
		},
	})
	return r, s.judge(err)
}

// giveLeasesBack tells the leader that the session remembers nothing any more, so that nobody has to wait for its
// leases to end. If it is not heard they end by themselves.
func (s *Session) giveLeasesBack() {
	s.leases.mu.Lock()
	wanted := s.leases.forget != nil
	s.leases.forget = nil
	s.leases.mu.Unlock()
	s.exclusives.mu.Lock()
	s.exclusives.handler = nil
	s.exclusives.mu.Unlock()
	s.leases.end()
	if wanted {
		s.renew(firstPause * 50)
	}
}
