package meta_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/meta"
	"github.com/honeyant/honeyant/meta/metatest"
)

// M1, M4, rules 1 and 23: while leaderships change and proposals are refused, lost and repeated at random, every
// change that is tried until its outcome is known takes effect exactly once, and all replicas end up equal.
func TestExactlyOnceOverRandomFaults(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	for round := range 4 {
		t.Run(fmt.Sprint(round), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { exactlyOnce(t, rand.New(rand.NewPCG(seed, uint64(round)))) })
		})
	}
}

func exactlyOnce(t *testing.T, rnd *rand.Rand) {
	r := metatest.NewReplicas(t)
	l, stop := r.Lead(t, 0, meta.LeaderOptions{MaxBatch: 2 << 10, LeaseTTL: time.Millisecond})
	bootstrap(t, l)
	var current atomic.Pointer[meta.Leader]
	current.Store(l)
	const workers, each = 6, 60
	var sessions [workers]honeyant.SessionID
	var inos [workers]honeyant.Ino
	for i := range workers {
		sessions[i] = openSession(t, l)
		inos[i] = mustDo(t, l.Direct(), create(fmt.Sprint("append", i))).Attr.Ino
	}
	var faults sync.Mutex
	fates := rand.New(rand.NewPCG(rnd.Uint64(), 1))
	r.SetFate(func([]byte) metatest.Fate {
		faults.Lock()
		defer faults.Unlock()
		switch fates.IntN(20) {
		case 0:
			return metatest.Refuse
		case 1:
			return metatest.Lose
		case 2:
			return metatest.Twice
		}
		return metatest.Commit
	})
	r.SetBefore(func() {
		faults.Lock()
		pause := fates.IntN(3000)
		faults.Unlock()
		time.Sleep(time.Duration(pause) * time.Microsecond)
	})
	var left atomic.Int64
	left.Store(workers)
	var all sync.WaitGroup
	for w := range workers {
		mine := rand.New(rand.NewPCG(rnd.Uint64(), 2))
		all.Go(func() {
			defer left.Add(-1)
			for n := range each {
				once := worker{t: t, leader: &current, session: sessions[w], slot: uint32(mine.IntN(4)), seq: uint64(n + 1)}
				switch n % 3 {
				case 0:
					once.do(create(fmt.Sprintf("w%d-%d", w, n)))
				case 1:
					once.do(&meta.Commit{Volume: 1, Ino: inos[w], Append: true, Extents: []honeyant.Extent{{Length: 3, Inline: []byte("abc")}}})
				case 2:
					once.do(unlink(fmt.Sprintf("w%d-%d", w, n-2)))
				}
			}
		})
	}
	for i := 1; left.Load() > 0; i++ {
		stop()
		l, stop = r.Lead(t, i%3, meta.LeaderOptions{MaxBatch: 2 << 10, LeaseTTL: time.Millisecond})
		current.Store(l)
		time.Sleep(time.Duration(rnd.IntN(60)) * time.Millisecond)
	}
	all.Wait()
	r.SetFate(nil)
	for w := range workers {
		a := mustDoEventually(t, l, &meta.GetAttr{Volume: 1, Ino: inos[w]}).(*meta.AttrReply).Attr
		if a.Size != each/3*3 {
			t.Errorf("worker %d: %d bytes after %d appends of 3", w, a.Size, each/3)
		}
	}
	stop()
	r.Stop()
	r.CheckEqual(t)
	found, err := meta.Check(r.DBs[0])
	if err != nil || len(found) > 0 {
		t.Error(found, err)
	}
}

func mustDoEventually(t *testing.T, l *meta.Leader, op meta.Op) meta.Reply {
	for {
		rep, err := l.Do(t.Context(), meta.Call{Op: op})
		if err == nil {
			return rep
		}
		if !errors.Is(err, honeyant.NotLeader) {
			t.Fatal(err)
		}
		time.Sleep(time.Millisecond)
	}
}

// worker tries one change until its outcome is known.
type worker struct {
	t       *testing.T
	leader  *atomic.Pointer[meta.Leader]
	session honeyant.SessionID
	slot    uint32
	seq     uint64
}

func (w worker) do(op meta.Op) {
	for retry := false; ; retry = true {
		ctx, cancel := context.WithTimeout(w.t.Context(), time.Second)
		_, err := w.leader.Load().Do(ctx, meta.Call{Session: w.session, Slot: w.slot, Seq: w.seq, Retry: retry, Op: op})
		cancel()
		switch {
		case err == nil:
			return
		case errors.Is(err, honeyant.NotLeader), errors.Is(err, honeyant.Unavailable):
			time.Sleep(time.Millisecond)
		default:
			w.t.Errorf("%v: %v", op.Code(), err)
			return
		}
	}
}
