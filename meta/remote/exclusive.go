package remote

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/meta"
	"github.com/honeyant/honeyant/rpc/wire"
)

// ExclusiveHandler is who keeps what a session holds exclusively.
type ExclusiveHandler = meta.ExclusiveHandler

// exclusives is what the session knows of its exclusive leases. They outlive an era of the shared ones: in each new
// one everything held is claimed again. Safe for concurrent use.
type exclusives struct {
	claimed atomic.Uint64 // era in which everything was claimed; 0: none
	lost    atomic.Uint64 // how often something was lost

	mu      sync.Mutex // guards all below; leases.mu is taken under it, never the other way round
	handler *meta.ExclusiveHandler
	// What is recalled or returned while a Take or a claim is under way is taken out of its answer, which may be older.
	asking int
	moment uint64
	gone   map[meta.OpenFile]uint64 // at which moment
}

// WatchExclusive makes exclusive leases possible. To be called once, before Watch.
func (s *Session) WatchExclusive(h meta.ExclusiveHandler) {
	s.exclusives.mu.Lock()
	defer s.exclusives.mu.Unlock()
	s.exclusives.handler = &h
}

// ExclusiveEra tells whether exclusive leases may be used at this moment: the session's leases are in force, and
// everything held was claimed in this era. n changes only when some were lost.
func (s *Session) ExclusiveEra() (n uint64, ok bool) {
	era, ok := s.Era()
	return s.exclusives.lost.Load(), ok && s.exclusives.claimed.Load() == era
}

// Return gives exclusive leases back. What was done under them must have been flushed: the answers be there.
func (s *Session) Return(ctx context.Context, files []meta.OpenFile) error {
	if err := s.dead(); err != nil {
		return err
	}
	ctx, cancel := s.c.withDeadline(ctx)
	defer cancel()
	if err := s.sayOpen(ctx, files); err != nil { // the leases stood for that
		return err
	}
	s.exclusives.goes(files)
	stamp := s.opens.next()
	for len(files) > 0 {
		r := returnRequest{session: s.id, stamp: stamp, files: files[:min(len(files), maxOpens)]}
		files = files[len(r.files):]
		err := s.control.ask(ctx, &question{
			method: methodReturn,
			direct: func(ctx context.Context, l *meta.Leader) error { return l.Return(ctx, r.session, r.stamp, r.files) },
			encode: func() []byte { return wire.Marshal(r.fields) },
		})
		if s.judge(err) != nil {
			return err
		}
	}
	return nil
}

// recalledNow passes a recall on.
func (s *Session) recalledNow(files []meta.OpenFile) {
	x := &s.exclusives
	x.goes(files)
	x.mu.Lock()
	h := x.handler
	x.mu.Unlock()
	if h != nil {
		h.Recall(files)
	}
}

// goes notes that leases are given back, or are to be.
func (x *exclusives) goes(files []meta.OpenFile) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.moment++
	if x.asking > 0 {
		for _, f := range files {
			x.gone[f] = x.moment
		}
	}
}

// take carries out a Take.
func (s *Session) take(ctx context.Context, op *meta.Take, t *terms) (reply meta.Reply, err error) {
	x := &s.exclusives
	h, began := x.begin()
	era, ok := s.ExclusiveEra()
	reply, t.grant, err = s.c.doLeased(ctx, &meta.Call{
		Session: s.id, Stamp: s.opens.next(), Lease: t.lease && h != nil && ok, Op: op})
	x.mu.Lock() // so that a claim either lists what is granted here, or has begun an era that this finds
	defer x.mu.Unlock()
	if r, ok := reply.(*meta.TakeReply); ok && r.Granted && err == nil {
		if now, still := s.ExclusiveEra(); s.leases.holds(&t.grant) && still && now == era {
			var denied []honeyant.Ino
			for _, ino := range r.Held {
				if x.gone[meta.OpenFile{Volume: op.Volume, Ino: ino}] > began {
					denied = append(denied, ino)
				}
			}
			r.Deny(denied)
		} else {
			*r = meta.TakeReply{}
		}
		if r.Granted && t.want.Took != nil {
			t.want.Took(r)
		}
	}
	x.asking--
	return reply, err
}

// begin notes that a question about exclusive leases is under way, until asking is counted down.
func (x *exclusives) begin() (h *meta.ExclusiveHandler, moment uint64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.asking++; x.asking == 1 {
		x.gone = map[meta.OpenFile]uint64{}
	}
	return x.handler, x.moment
}

// holds tells whether what was granted is of the present era.
func (l *leases) holds(g *meta.Grant) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return g.Term != 0 && l.epoch == g.Epoch && l.term == g.Term
}

// claims tells whether there is somebody who holds leases exclusively.
func (s *Session) claims() bool {
	s.exclusives.mu.Lock()
	defer s.exclusives.mu.Unlock()
	return s.exclusives.handler != nil
}

// unclaimed tells whether the era is one in which what is held has to be claimed again.
func (s *Session) unclaimed() bool {
	s.leases.mu.Lock()
	era := s.leases.era
	s.leases.mu.Unlock()
	return s.claims() && s.exclusives.claimed.Load() != era
}

// claim says what is held to the leader of this era. What fails is tried again at the next renewal.
func (s *Session) claim() {
	s.leases.mu.Lock()
	era, epoch := s.leases.era, s.leases.epoch
	s.leases.mu.Unlock()
	x := &s.exclusives
	h, began := x.begin()
	defer func() {
		x.mu.Lock()
		defer x.mu.Unlock()
		x.asking--
	}()
	if h == nil {
		return // the session is being closed
	}
	files := h.Held()
	said := files
	var lost []meta.OpenFile
	for first := true; first || len(files) > 0; first = false {
		r := reclaimRequest{session: s.id, epoch: epoch, stamp: s.opens.next(), files: files[:min(len(files), maxOpens)]}
		files = files[len(r.files):]
		r.last = len(files) == 0
		gone, err := s.reclaim(&r)
		if err != nil {
			s.kick()
			return // Stale: the next renewal tells the newer epoch
		}
		lost = append(lost, gone...)
	}
	if len(lost) > 0 {
		lost = x.stillHeld(lost, began, said, h.Held())
	}
	if len(lost) > 0 {
		x.lost.Add(1)
		s.o.Log.Warn("exclusive leases were lost", "session", s.id, "inodes", len(lost))
		h.Lost(lost)
	}
	s.leases.mu.Lock()
	defer s.leases.mu.Unlock()
	if s.leases.era == era {
		x.claimed.Store(era)
		s.leases.declared = epoch
	}
	s.kick()
}

// stillHeld leaves out what was given back since the moment began, and what is held otherwise now than was said: if the answer to
// a claim does not arrive, it is made again, and the leader may have heard more of such a file after the first time. If it was
// lost nevertheless, it refuses that.
func (x *exclusives) stillHeld(lost []meta.OpenFile, began uint64, said, now []meta.ReclaimedFile) []meta.OpenFile {
	as := map[meta.OpenFile]meta.ReclaimedFile{}
	for _, f := range said {
		as[f.OpenFile] = f
	}
	same := map[meta.OpenFile]bool{}
	for _, f := range now {
		same[f.OpenFile] = as[f.OpenFile] == f
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	return slices.DeleteFunc(lost, func(f meta.OpenFile) bool { return !same[f] || x.gone[f] > began })
}

func (s *Session) reclaim(r *reclaimRequest) (lost []meta.OpenFile, err error) {
	ttl := max(time.Duration(s.ttl.Load()), time.Second)
	ctx, cancel := context.WithTimeoutCause(s.ctx, ttl, errors.New("reclaim: no answer within a TTL"))
	defer cancel()
	err = s.control.ask(ctx, &question{
		method: methodReclaim,
		direct: func(ctx context.Context, l *meta.Leader) (err error) {
			lost, err = l.Reclaim(ctx, r.session, meta.Claim{Epoch: r.epoch, Stamp: r.stamp, Files: r.files, Last: r.last})
			return err
		},
		encode: func() []byte { return wire.Marshal(r.fields) },
		decode: func(body []byte) error {
			return wire.Unmarshal(body, func(c *wire.Codec) { wire.Slice(c, &lost, maxOpens, openFile) })
		},
	})
	return lost, s.judge(err)
}

// loseAll tells that a dead session holds nothing any more.
func (s *Session) loseAll() {
	s.exclusives.mu.Lock()
	h := s.exclusives.handler
	s.exclusives.mu.Unlock()
	s.exclusives.lost.Add(1)
	if h == nil {
		return
	}
	var lost []meta.OpenFile
	for _, f := range h.Held() {
		lost = append(lost, f.OpenFile)
	}
	if len(lost) > 0 {
		h.Lost(lost)
	}
}
