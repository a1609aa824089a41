package metatest

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/honeyant/honeyant/kv"
	"github.com/honeyant/honeyant/kv/kvtest"
	"github.com/honeyant/honeyant/meta"
)

// Fate is what happens to a proposal.
type Fate int

const (
	Commit Fate = iota // in the log
	Refuse             // not in the log, and the proposer hears so
	Lose               // in the log, but the proposer hears an error
	Twice              // in the log twice in a row
)

// Replicas is a replicated log in memory with three states that apply it. One goroutine applies.
type Replicas struct {
	States []*meta.State
	DBs    []kv.DB

	mu      sync.Mutex            // guards below
	fate    func(cmd []byte) Fate // nil: commit
	verify  func(ctx context.Context) error
	before  func() // called before each entry is applied, without the lock
	log     [][]byte
	queue   []queuedEntry
	wake    chan struct{}
	done    chan struct{}
	stopped bool
}

type queuedEntry struct {
	cmd    []byte
	copies int
	answer func(any, error)
	lost   bool
}

// NewReplicas makes an empty log and three empty states. They end with the test.
func NewReplicas(t testing.TB) *Replicas {
	r := &Replicas{wake: make(chan struct{}, 1), done: make(chan struct{})}
	for range 3 {
		db := kvtest.NewMem()
		s, err := meta.OpenState(db)
		if err != nil {
			t.Fatal(err)
		}
		r.States, r.DBs = append(r.States, s), append(r.DBs, db)
	}
	go r.run()
	t.Cleanup(r.Stop)
	return r
}

// Stop ends the log; what is proposed from now on is refused. Twice is harmless.
func (r *Replicas) Stop() {
	r.mu.Lock()
	was := r.stopped
	r.stopped = true
	r.mu.Unlock()
	if !was {
		r.kick()
		<-r.done
	}
}

func (r *Replicas) kick() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

var errProposal = errors.New("proposal failed")

// Propose implements meta.Proposer.
func (r *Replicas) Propose(cmd []byte) func() (any, error) {
	type result struct {
		v   any
		err error
	}
	ch := make(chan result, 1)
	r.mu.Lock()
	defer r.mu.Unlock()
	f := Commit
	if r.fate != nil {
		f = r.fate(cmd)
	}
	if r.stopped {
		f = Refuse
	}
	wait := func() (any, error) { res := <-ch; return res.v, res.err }
	if f == Refuse {
		ch <- result{err: errProposal}
		return wait
	}
	e := queuedEntry{cmd: bytes.Clone(cmd), copies: 1, lost: f == Lose, answer: func(v any, err error) { ch <- result{v, err} }}
	if f == Twice {
		e.copies = 2
	}
	r.queue = append(r.queue, e)
	r.kick()
	return wait
}

// Verify implements meta.Proposer.
func (r *Replicas) Verify(ctx context.Context) error {
	r.mu.Lock()
	v := r.verify
	r.mu.Unlock()
	if v != nil {
		return v(ctx)
	}
	return nil
}

func (r *Replicas) run() {
	defer close(r.done)
	for {
		r.mu.Lock()
		if len(r.queue) == 0 {
			stopped := r.stopped
			r.mu.Unlock()
			if stopped {
				return
			}
			<-r.wake
			continue
		}
		e := r.queue[0]
		r.queue = r.queue[1:]
		before := r.before
		r.mu.Unlock()
		if before != nil {
			before()
		}
		var first any
		for i := range e.copies {
			v, err := r.Append(e.cmd)
			if err != nil {
				e.answer(nil, err)
				return
			}
			if i == 0 {
				first = v
			}
		}
		if e.lost {
			e.answer(nil, errProposal)
		} else {
			e.answer(first, nil)
		}
	}
}

// Append puts one entry into the log and applies it to all states; the leader's comes last, so that it never knows more than a quorum.
func (r *Replicas) Append(cmd []byte) (result any, err error) {
	r.mu.Lock()
	r.log = append(r.log, cmd)
	index := uint64(len(r.log))
	r.mu.Unlock()
	for i := len(r.States) - 1; i >= 0; i-- {
		if result, err = r.States[i].Apply(index, 1, cmd); err != nil {
			return nil, err
		}
	}
	return result, nil
}

// Dump is everything in a database.
func Dump(t testing.TB, db kv.Reader) []byte {
	var all []byte
	if err := db.Scan(nil, nil, func(k, v []byte) bool {
		all = append(append(append(append(all, k...), '='), v...), '\n')
		return true
	}); err != nil {
		t.Fatal(err)
	}
	return all
}

// CheckEqual fails the test if the states differ. Stop first.
func (r *Replicas) CheckEqual(t testing.TB) {
	t.Helper()
	first := Dump(t, r.DBs[0])
	for i, db := range r.DBs[1:] {
		if !bytes.Equal(first, Dump(t, db)) {
			t.Errorf("replica %d differs from replica 0", i+1)
		}
	}
}

// Lead starts a leader over replica i and leads until the returned function is called.
func (r *Replicas) Lead(t testing.TB, i int, o meta.LeaderOptions) (*meta.Leader, func()) {
	l := meta.NewLeader(r.States[i], r, o)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.Lead(ctx, 1)
	}()
	var once sync.Once
	stop := func() { once.Do(func() { cancel(); <-done }) }
	t.Cleanup(stop)
	WaitFor(t, func() bool { _, ok := l.Epoch(); return ok })
	return l, stop
}

// SetFate says what happens to proposals from now on; nil: all are committed. It is called under a lock.
func (r *Replicas) SetFate(f func(cmd []byte) Fate) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fate = f
}

// SetVerify says what Verify answers from now on; nil: that the caller leads.
func (r *Replicas) SetVerify(f func(ctx context.Context) error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.verify = f
}

// SetBefore has f called before each entry is applied; it may wait.
func (r *Replicas) SetBefore(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.before = f
}

// Log is what has been applied so far.
func (r *Replicas) Log() [][]byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.log)
}

// WaitFor waits until ok, or fails the test after ten seconds.
func WaitFor(t testing.TB, ok func() bool) {
	t.Helper()
	for range 10_000 {
		if ok() {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatal("waited in vain")
}
