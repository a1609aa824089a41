package remote_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/meta"
	"github.com/honeyant/honeyant/meta/remote"
)

// jotter is the least that a client with exclusive leases has to be: what it holds it changes itself, and tells the
// leader later. Everything else it gives all back for and asks the leader.
type jotter struct {
	t   *testing.T
	s   *remote.Session
	rng *rand.Rand // under mu

	flushing chan struct{} // holds 1: one flush at a time

	mu      sync.Mutex // guards below
	shadow  *meta.Shadow
	records []jotted // not flushed
	sent    int      // of these, in the flush that is under way
	base    map[honeyant.Ino]uint64
	next    honeyant.Ino // of numbers that are its own
	end     honeyant.Ino
	direct  int                  // operations that the leader does now: none is done here meanwhile
	left    map[honeyant.Ino]int // how often an inode was recalled
	leaving map[honeyant.Ino]int // being given back
	lost    int

	local, asked, refused atomic.Int64
	work                  sync.WaitGroup
}

type jotted struct {
	rec     meta.JournalRecord
	touched []meta.Touched
}

func newJotter(t *testing.T, s *remote.Session, seed uint64) *jotter {
	j := &jotter{t: t, s: s, flushing: make(chan struct{}, 1), rng: rand.New(rand.NewPCG(seed, 7)), base: map[honeyant.Ino]uint64{}, left: map[honeyant.Ino]int{}, leaving: map[honeyant.Ino]int{}}
	j.shadow = meta.NewShadow(1, func(honeyant.Ino) bool { return false }, func() uint64 { j.next++; return uint64(j.next - 1) })
	s.WatchExclusive(remote.ExclusiveHandler{
		Recall: func(files []meta.OpenFile) { j.recall(files) },
		Held:   j.held,
		Lost: func(files []meta.OpenFile) {
			j.mu.Lock()
			j.lost += len(files)
			j.mu.Unlock()
			j.recall(files)
		},
	})
	s.Watch(func([]meta.OpenFile) {})
	return j
}

func (j *jotter) held() (files []meta.ReclaimedFile) {
	j.mu.Lock()
	defer j.mu.Unlock()
	seen, inFlight := map[honeyant.Ino]bool{}, map[honeyant.Ino]meta.Touched{}
	for _, r := range j.records[:j.sent] {
		for _, touched := range r.touched {
			if touched.Changed {
				inFlight[touched.Ino] = touched
			}
		}
	}
	add := func(ino honeyant.Ino) {
		if !seen[ino] {
			f := meta.ReclaimedFile{OpenFile: meta.OpenFile{Volume: 1, Ino: ino}, Version: j.base[ino]}
			if t, ok := inFlight[ino]; ok {
				f.SetInFlight(&t)
			}
			files = append(files, f)
		}
		seen[ino] = true
	}
	j.shadow.Inodes(func(ino honeyant.Ino) { add(ino) })
	for _, r := range j.records { // and what is deleted here, but not there
		for _, touched := range r.touched {
			add(touched.Ino)
		}
	}
	return files
}

func (j *jotter) recall(files []meta.OpenFile) {
	j.mu.Lock()
	for _, f := range files {
		j.left[f.Ino]++
	}
	j.leave(files)
	pause := time.Duration(j.rng.ExpFloat64() * float64(20*time.Millisecond))
	j.mu.Unlock()
	j.work.Go(func() {
		time.Sleep(pause)
		j.giveBack(files)
	})
}

// leave stops changing inodes, and taking them, until giveBack is done. j.mu is held.
func (j *jotter) leave(files []meta.OpenFile) {
	for _, f := range files {
		j.leaving[f.Ino]++
		j.shadow.Leave(f.Ino)
	}
}

// giveBack returns inodes that are leaving.
func (j *jotter) giveBack(files []meta.OpenFile) {
	j.flush()
	j.mu.Lock()
	for _, f := range files {
		j.shadow.Drop(f.Ino)
		delete(j.base, f.Ino)
	}
	j.mu.Unlock()
	if err := j.s.Return(context.Background(), files); err != nil && !errors.Is(err, honeyant.Fenced) {
		j.t.Log("return: ", err)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, f := range files {
		j.leaving[f.Ino]--
	}
}

// flush tells the leader everything that was done before.
func (j *jotter) flush() {
	j.flushing <- struct{}{}
	defer func() { <-j.flushing }()
	j.mu.Lock()
	left := len(j.records)
	j.mu.Unlock()
	for left > 0 {
		j.mu.Lock()
		batch := j.records[:min(left, 1+j.rng.IntN(8))]
		j.sent = len(batch)
		j.mu.Unlock()
		op := &meta.Flush{Volume: 1}
		for _, r := range batch {
			op.Records = append(op.Records, r.rec)
		}
		reply, err := meta.Do(context.Background(), j.s, op)
		if err != nil {
			if !errors.Is(err, honeyant.Fenced) {
				j.t.Error("flush: ", err)
			}
			return
		}
		for _, r := range reply.Refused {
			j.t.Logf("session %d: refused: %T %+v: %v", j.s.ID(), op.Records[r.Index].Op, op.Records[r.Index].Op, r.Kind)
		}
		j.refused.Add(int64(len(reply.Refused)))
		for _, r := range reply.Refused { // nothing here may rest on it any more
			var files []meta.OpenFile
			for _, touched := range batch[r.Index].touched {
				files = append(files, meta.OpenFile{Volume: 1, Ino: touched.Ino})
			}
			j.recall(files)
		}
		j.mu.Lock()
		for _, r := range batch {
			for _, touched := range r.touched {
				if touched.Changed { // what was deleted here since then, too
					j.base[touched.Ino] = touched.Version
				}
			}
		}
		j.records, j.sent = j.records[len(batch):], 0
		j.mu.Unlock()
		left -= len(batch)
	}
}

// do carries out an operation.
func (j *jotter) do(op meta.Op) (meta.Reply, error) {
	for range 2 {
		if r, err, done := j.here(op); done {
			j.local.Add(1)
			return r, err
		}
		if !j.take(op) {
			break
		}
	}
	j.asked.Add(1)
	j.mu.Lock()
	j.direct++
	var files []meta.OpenFile
	j.shadow.Inodes(func(ino honeyant.Ino) { files = append(files, meta.OpenFile{Volume: 1, Ino: ino}) })
	j.leave(files)
	j.mu.Unlock()
	defer func() {
		j.mu.Lock()
		j.direct--
		j.mu.Unlock()
	}()
	j.giveBack(files)
	return j.s.Do(context.Background(), op)
}

// here does an operation under its leases.
func (j *jotter) here(op meta.Op) (meta.Reply, error, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if _, ok := j.s.ExclusiveEra(); !ok || j.direct > 0 || j.end-j.next < 2 {
		return nil, nil, false
	}
	l := meta.Local{Op: op, Now: honeyant.TimeOf(time.Now())}
	if _, is := op.(*meta.Make); is {
		l.Ino = j.next
	}
	r, touched, err := j.shadow.Do(l)
	if errors.Is(err, meta.ErrNotHeld) {
		return nil, nil, false
	}
	if err == nil && !meta.ReadOnly(op) {
		if l.Ino != 0 {
			j.next++
		}
		j.records = append(j.records, jotted{meta.JournalRecord{Now: l.Now, Ino: l.Ino, Op: op}, touched})
	}
	return r, err, true
}

// take asks now and then for the leases that an operation needs, and tells whether it got any.
func (j *jotter) take(op meta.Op) bool {
	j.mu.Lock()
	lucky, direct, empty := j.rng.IntN(3) > 0, j.direct > 0, j.end-j.next < 2
	var dirs []honeyant.Ino
	switch op := op.(type) {
	case *meta.Make:
		dirs = []honeyant.Ino{op.Parent}
	case *meta.Unlink:
		dirs = []honeyant.Ino{op.Parent}
	case *meta.Rename:
		dirs = []honeyant.Ino{op.OldParent, op.NewParent}
	case *meta.SetAttr:
		dirs = []honeyant.Ino{op.Ino}
	}
	j.mu.Unlock()
	if !lucky || direct || len(dirs) == 0 {
		return false
	}
	if empty {
		r, err := meta.Do(context.Background(), j.s, &meta.ReserveInodes{Count: 50})
		if err != nil {
			return false
		}
		j.mu.Lock()
		j.next, j.end = r.First, r.First+50
		j.mu.Unlock()
	}
	got := false
	for _, dir := range dirs {
		j.mu.Lock()
		has := j.shadow.Has(dir)
		before := map[honeyant.Ino]int{}
		for ino, n := range j.left {
			before[ino] = n
		}
		j.mu.Unlock()
		if has {
			continue
		}
		_, _, err := j.s.DoLeased(context.Background(), &meta.Take{Volume: 1, Ino: dir, Children: true}, meta.Want{Took: func(r *meta.TakeReply) {
			j.mu.Lock()
			defer j.mu.Unlock()
			if j.direct > 0 {
				files := make([]meta.OpenFile, len(r.Held))
				for i, ino := range r.Held {
					files[i] = meta.OpenFile{Volume: 1, Ino: ino}
				}
				j.leave(files)
				j.work.Go(func() { j.giveBack(files) })
				return
			}
			var denied []honeyant.Ino
			for _, ino := range r.Held {
				if j.left[ino] != before[ino] || j.leaving[ino] > 0 {
					denied = append(denied, ino)
				}
			}
			if r.Deny(denied); !r.Granted {
				return
			}
			fresh, err := j.shadow.Take(r)
			if err != nil {
				j.t.Error(err)
			}
			for _, ino := range fresh {
				j.base[ino] = j.shadow.Version(ino)
			}
			got = true
		}})
		if err != nil && !errors.Is(err, honeyant.Stale) {
			j.t.Log("take: ", err)
		}
	}
	return got
}
