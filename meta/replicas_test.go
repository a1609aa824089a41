package meta_test

import (
	"bytes"
	"context"
	"errors"
	"runtime"
	"sync"
	"testing"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/kv"
	"github.com/honeyant/honeyant/kv/kvtest"
	"github.com/honeyant/honeyant/meta"
)

// fate is what happens to a proposal.
type fate int

const (
	commit fate = iota
	refuse      // not in the log, and the proposer hears so
	lose        // in the log, but the proposer hears an error
	twice       // in the log twice in a row
)

// replicas is a replicated log in memory with three states that apply it. One goroutine applies.
type replicas struct {
	states []*meta.State
	dbs    []kv.DB

	mu      sync.Mutex
	fate    func(cmd []byte) fate // nil: commit
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

func newReplicas(t testing.TB) *replicas {
	r := &replicas{wake: make(chan struct{}, 1), done: make(chan struct{})}
	for range 3 {
		db := kvtest.NewMem()
		s, err := meta.OpenState(db)
		if err != nil {
			t.Fatal(err)
		}
		r.states, r.dbs = append(r.states, s), append(r.dbs, db)
	}
	go r.run()
	t.Cleanup(r.stop)
	return r
}

func (r *replicas) stop() {
	r.mu.Lock()
	was := r.stopped
	r.stopped = true
	r.mu.Unlock()
	if !was {
		r.kick()
		<-r.done
	}
}

func (r *replicas) kick() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

var errProposal = errors.New("proposal failed")

// Propose implements meta.Proposer.
func (r *replicas) Propose(cmd []byte) func() (any, error) {
	type result struct {
		v   any
		err error
	}
	ch := make(chan result, 1)
	r.mu.Lock()
	defer r.mu.Unlock()
	f := commit
	if r.fate != nil {
		f = r.fate(cmd)
	}
	if r.stopped {
		f = refuse
	}
	wait := func() (any, error) { res := <-ch; return res.v, res.err }
	if f == refuse {
		ch <- result{err: errProposal}
		return wait
	}
	e := queuedEntry{cmd: bytes.Clone(cmd), copies: 1, lost: f == lose, answer: func(v any, err error) { ch <- result{v, err} }}
	if f == twice {
		e.copies = 2
	}
	r.queue = append(r.queue, e)
	r.kick()
	return wait
}

// Verify implements meta.Proposer.
func (r *replicas) Verify(ctx context.Context) error {
	r.mu.Lock()
	v := r.verify
	r.mu.Unlock()
	if v != nil {
		return v(ctx)
	}
	return nil
}

func (r *replicas) run() {
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
			v, err := r.append(e.cmd)
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

// append applies one entry to all states; the leader's comes last, so that it never knows more than a quorum.
func (r *replicas) append(cmd []byte) (result any, err error) {
	r.mu.Lock()
	r.log = append(r.log, cmd)
	index := uint64(len(r.log))
	r.mu.Unlock()
	for i := len(r.states) - 1; i >= 0; i-- {
		if result, err = r.states[i].Apply(index, 1, cmd); err != nil {
			return nil, err
		}
	}
	return result, nil
}

// dump is everything in a database.
func dump(t testing.TB, db kv.Reader) []byte {
	var all []byte
	if err := db.Scan(nil, nil, func(k, v []byte) bool {
		all = append(append(append(append(all, k...), '='), v...), '\n')
		return true
	}); err != nil {
		t.Fatal(err)
	}
	return all
}

func (r *replicas) checkEqual(t testing.TB) {
	t.Helper()
	first := dump(t, r.dbs[0])
	for i, db := range r.dbs[1:] {
		if !bytes.Equal(first, dump(t, db)) {
			t.Errorf("replica %d differs from replica 0", i+1)
		}
	}
}

// lead starts a leader over replica i and leads until the returned function is called.
func (r *replicas) lead(t testing.TB, i int, o meta.LeaderOptions) (*meta.Leader, func()) {
	l := meta.NewLeader(r.states[i], r, o)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.Lead(ctx, 1)
	}()
	var once sync.Once
	stop := func() { once.Do(func() { cancel(); <-done }) }
	t.Cleanup(stop)
	waitFor(t, func() bool { _, ok := l.Epoch(); return ok })
	return l, stop
}

func waitFor(t testing.TB, ok func() bool) {
	t.Helper()
	for range 1_000_000 {
		if ok() {
			return
		}
		runtime.Gosched()
	}
	t.Fatal("waited in vain")
}

func bootstrap(t testing.TB, l *meta.Leader) {
	t.Helper()
	mustDo(t, l.Direct(), &meta.Bootstrap{Cluster: "0123456789abcdef0123456789abcdef"})
	mustDo(t, l.Direct(), &meta.AddNode{Name: "one", Address: "127.0.0.1:7268"})
}

func mustDo[R meta.Reply](t testing.TB, d meta.Doer, op meta.Request[R]) R {
	t.Helper()
	r, err := meta.Do(t.Context(), d, op)
	if err != nil {
		t.Fatalf("%v: %v", op.Code(), err)
	}
	return r
}

func wantKind(t testing.TB, err error, k honeyant.Kind) {
	t.Helper()
	if !errors.Is(err, k) {
		t.Fatalf("got %v, want %v", err, k)
	}
}

func openSession(t testing.TB, l *meta.Leader) honeyant.SessionID {
	t.Helper()
	return mustDo(t, l.Direct(), &meta.OpenSession{Node: 1, Name: "test"}).Session
}
