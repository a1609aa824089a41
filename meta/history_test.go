package meta_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/meta"
	"github.com/honeyant/honeyant/meta/metatest"
)

// TestHistoryOverLeaders runs a random history through a leader that changes every 60
// operations: what was answered stays, opens are re-asserted, and all replicas end equal. [1, 22, 23]
func TestHistoryOverLeaders(t *testing.T) {
	seed := rand.Uint64()
	r := metatest.NewReplicas(t)
	l, stop := r.Lead(t, 0, meta.LeaderOptions{})
	bootstrap(t, l)
	store := mustDo(t, l.Direct(), &meta.AddStore{Node: 1, Key: "s", Capacity: 1 << 40}).Store.ID
	s := &steady{t: t, leader: l, session: openSession(t, l), open: map[honeyant.Ino]bool{}}
	done := 0
	target := metatest.Target{
		Volume: 1, Session: s.session, Incarnation: 1, Replicas: []honeyant.Replica{{Store: store, Generation: 1}},
		Do: func(op meta.Op) (meta.Reply, error) {
			if done++; done%60 == 0 {
				stop()
				l, stop = r.Lead(t, done/60%3, meta.LeaderOptions{})
				s.follow(l)
			}
			return s.do(op)
		},
	}
	metatest.Run(t, seed, target, metatest.Options{Ops: 500})
	stop()
	r.Stop()
	r.CheckEqual(t)
	if found, err := meta.Check(r.DBs[0]); err != nil || len(found) > 0 {
		t.Errorf("seed %d: %v %v", seed, found, err)
	}
}

// steady is a session that follows the leader.
type steady struct {
	t          *testing.T
	leader     *meta.Leader
	session    honeyant.SessionID
	seq, stamp uint64
	open       map[honeyant.Ino]bool
}

// follow tells a new leader what the session has open.
func (s *steady) follow(l *meta.Leader) {
	s.leader = l
	var files []meta.OpenFile
	for ino := range s.open {
		files = append(files, meta.OpenFile{Volume: 1, Ino: ino})
	}
	epoch, _ := l.Epoch()
	if _, err := l.RenewLeases(s.t.Context(), s.session, epoch, false); err != nil { // it has no leases of earlier epochs
		s.t.Fatal(err)
	}
	if err := l.Reassert(s.session, meta.Reasserted{Epoch: epoch, Stamp: s.stamp}, files, true); err != nil {
		s.t.Fatal(err)
	}
}

func (s *steady) do(op meta.Op) (meta.Reply, error) {
	s.stamp++
	call := meta.Call{Session: s.session, Op: op, Stamp: s.stamp}
	if !meta.ReadOnly(op) {
		s.seq++
		call.Slot, call.Seq = 1, s.seq
	}
	ctx, cancel := context.WithTimeout(s.t.Context(), 10*time.Second)
	defer cancel()
	reply, err := s.leader.Do(ctx, call)
	if errors.Is(err, honeyant.NotLeader) {
		call.Retry = true
		reply, err = s.leader.Do(ctx, call)
	}
	if err != nil {
		return nil, err
	}
	switch o := op.(type) {
	case *meta.Open:
		s.open[o.Ino] = true
	case *meta.Release:
		delete(s.open, o.Ino)
	case *meta.Make:
		if o.Open {
			s.open[reply.(*meta.EntryReply).Attr.Ino] = true
		}
	}
	return reply, nil
}
