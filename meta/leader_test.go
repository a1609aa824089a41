package meta_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/meta"
	"github.com/honeyant/honeyant/meta/metatest"
)

func mkdir(name string) *meta.Make {
	return &meta.Make{Volume: honeyant.MainVolume, Parent: honeyant.RootIno, Name: name, Mode: honeyant.ModeDir | 0o755, Exclusive: true}
}

func create(name string) *meta.Make {
	return &meta.Make{Volume: honeyant.MainVolume, Parent: honeyant.RootIno, Name: name, Mode: honeyant.ModeFile | 0o644, Exclusive: true}
}

func lookup(name string) *meta.Lookup {
	return &meta.Lookup{Volume: honeyant.MainVolume, Parent: honeyant.RootIno, Name: name}
}

func unlink(name string) *meta.Unlink {
	return &meta.Unlink{Volume: honeyant.MainVolume, Parent: honeyant.RootIno, Name: name}
}

func TestLeaderDoesAndAnswers(t *testing.T) {
	r := metatest.NewReplicas(t)
	l, stop := r.Lead(t, 0, meta.LeaderOptions{})
	bootstrap(t, l)
	s := openSession(t, l)
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			name := fmt.Sprint("d", i)
			if _, err := l.Do(t.Context(), meta.Call{Session: s, Slot: uint32(i), Seq: 1, Op: mkdir(name)}); err != nil {
				t.Error(err)
			}
			if _, err := l.Do(t.Context(), meta.Call{Session: s, Op: lookup(name)}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	stop()
	if _, err := l.Do(t.Context(), meta.Call{Op: lookup("d1")}); !errors.Is(err, honeyant.NotLeader) {
		t.Fatal(err)
	}
	r.Stop()
	r.CheckEqual(t)
	if _, err := r.States[1].Query(lookup("d1")); err != nil {
		t.Fatal(err)
	}
}

// M4, rule 23.
func TestSlotAnswersOnce(t *testing.T) { synctest.Test(t, slotAnswersOnce) }

func slotAnswersOnce(t *testing.T) {
	r := metatest.NewReplicas(t)
	l, stop := r.Lead(t, 0, meta.LeaderOptions{})
	bootstrap(t, l)
	s := openSession(t, l)
	call := meta.Call{Session: s, Slot: 3, Seq: 7, Op: mkdir("a")}
	first, err := l.Do(t.Context(), call)
	if err != nil {
		t.Fatal(err)
	}
	again := func(l *meta.Leader) {
		t.Helper()
		call.Retry = true
		second, err := l.Do(t.Context(), call)
		if err != nil || *second.(*meta.EntryReply) != *first.(*meta.EntryReply) {
			t.Fatalf("retry: %v %v", second, err)
		}
	}
	again(l)
	stop()
	l2, _ := r.Lead(t, 1, meta.LeaderOptions{})
	again(l2)
	_, err = l2.Do(t.Context(), meta.Call{Session: s, Slot: 3, Seq: 6, Op: mkdir("b")})
	wantKind(t, err, honeyant.Stale)
	_, err = l2.Do(t.Context(), meta.Call{Session: s, Slot: 64, Seq: 6, Op: mkdir("b")})
	wantKind(t, err, honeyant.Invalid)
	// An error that a retry got is kept, so that a stray first try can not run later.
	_, err = l2.Do(t.Context(), meta.Call{Session: s, Slot: 3, Seq: 8, Retry: true, Op: unlink("no")})
	wantKind(t, err, honeyant.NotExist)
	if _, err = l2.Do(t.Context(), meta.Call{Session: s, Slot: 4, Seq: 1, Op: create("no")}); err != nil {
		t.Fatal(err)
	}
	_, err = l2.Do(t.Context(), meta.Call{Session: s, Slot: 3, Seq: 8, Retry: true, Op: unlink("no")})
	wantKind(t, err, honeyant.NotExist)
}

// A retry during the first try waits for it and gets its answer.
func TestRetryDuringFirstTry(t *testing.T) {
	r := metatest.NewReplicas(t)
	l, _ := r.Lead(t, 0, meta.LeaderOptions{})
	bootstrap(t, l)
	s := openSession(t, l)
	gate := make(chan struct{})
	entered := make(chan struct{}, 100)
	r.SetBefore(func() { entered <- struct{}{}; <-gate })
	answers := make(chan *meta.EntryReply, 3)
	try := func() {
		rep, err := l.Do(t.Context(), meta.Call{Session: s, Slot: 1, Seq: 1, Retry: true, Op: mkdir("x")})
		if err != nil {
			t.Error(err)
			answers <- nil
			return
		}
		answers <- rep.(*meta.EntryReply)
	}
	go try()
	<-entered
	go try()
	go try()
	select {
	case <-answers:
		t.Fatal("answered before the batch was applied")
	default:
	}
	close(gate)
	a, b, c := <-answers, <-answers, <-answers
	if *a != *b || *a != *c {
		t.Fatalf("%v %v %v", a, b, c)
	}
}

// Rule 1: after a refused or lost proposal nothing evaluated on top of it takes effect, and the leader goes on
// in a new epoch.
func TestFailedProposalDropsOverlay(t *testing.T) {
	for name, f := range map[string]metatest.Fate{"refuse": metatest.Refuse, "lose": metatest.Lose} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { failedProposalDropsOverlay(t, f) })
		})
	}
}

func failedProposalDropsOverlay(t *testing.T, f metatest.Fate) {
	r := metatest.NewReplicas(t)
	l, _ := r.Lead(t, 0, meta.LeaderOptions{})
	bootstrap(t, l)
	s := openSession(t, l)
	epoch, _ := l.Epoch()
	done := false
	r.SetFate(func([]byte) metatest.Fate {
		if done {
			return metatest.Commit
		}
		done = true
		return f
	})
	_, err := l.Do(t.Context(), meta.Call{Session: s, Slot: 0, Seq: 1, Op: mkdir("a")})
	wantKind(t, err, honeyant.NotLeader)
	waitFor(t, func() bool { e, ok := l.Epoch(); return ok && e != epoch })
	rep, err := l.Do(t.Context(), meta.Call{Session: s, Slot: 0, Seq: 1, Retry: true, Op: mkdir("a")})
	if err != nil || rep.(*meta.EntryReply).Attr.Ino == 0 {
		t.Fatal(rep, err)
	}
	_, err = l.Do(t.Context(), meta.Call{Session: s, Slot: 0, Seq: 2, Op: mkdir("a")})
	wantKind(t, err, honeyant.Exist)
}

// Rule 1: a batch that is in the log twice takes effect once, and batches of an older epoch not at all.
func TestSupersededBatches(t *testing.T) {
	r := metatest.NewReplicas(t)
	l, stop := r.Lead(t, 0, meta.LeaderOptions{})
	bootstrap(t, l)
	r.SetFate(func([]byte) metatest.Fate { return metatest.Twice })
	mustDo(t, l.Direct(), mkdir("a"))
	mustDo(t, l.Direct(), mkdir("b"))
	stop()
	r.SetFate(nil)
	log := r.Log()
	old := log[len(log)-1]
	l2, _ := r.Lead(t, 1, meta.LeaderOptions{})
	before := metatest.Dump(t, r.DBs[0])
	v, err := r.Append(old)
	if err != nil || v != any(honeyant.Superseded) {
		t.Fatal(v, err)
	}
	mustDo(t, l2.Direct(), lookup("b"))
	r.Stop()
	r.CheckEqual(t)
	if len(metatest.Dump(t, r.DBs[0])) != len(before) {
		t.Fatal("a stale batch changed something")
	}
}

// M2, rule 39: a read is not answered by a node that turns out not to lead, and does not see what is not applied.
func TestReadsAreVerified(t *testing.T) {
	r := metatest.NewReplicas(t)
	l, _ := r.Lead(t, 0, meta.LeaderOptions{})
	bootstrap(t, l)
	r.SetVerify(func(context.Context) error { return errors.New("a newer term") })
	_, err := l.Do(t.Context(), meta.Call{Op: lookup("x")})
	wantKind(t, err, honeyant.NotLeader)
	// So are errors that change nothing.
	_, err = l.Do(t.Context(), meta.Call{Op: unlink("x")})
	wantKind(t, err, honeyant.NotLeader)
	r.SetVerify(nil)
	gate := make(chan struct{})
	entered := make(chan struct{}, 10)
	r.SetBefore(func() { entered <- struct{}{}; <-gate })
	done := make(chan struct{})
	go func() { defer close(done); mustDo(t, l.Direct(), mkdir("x")) }()
	<-entered
	_, err = l.Do(t.Context(), meta.Call{Op: lookup("x")})
	wantKind(t, err, honeyant.NotExist)
	close(gate)
	<-done
	mustDo(t, l.Direct(), lookup("x"))
}

func TestDoEndsWithItsContext(t *testing.T) {
	r := metatest.NewReplicas(t)
	l, _ := r.Lead(t, 0, meta.LeaderOptions{})
	bootstrap(t, l)
	gate := make(chan struct{})
	entered := make(chan struct{}, 10)
	r.SetBefore(func() { entered <- struct{}{}; <-gate })
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-entered; cancel() }()
	_, err := l.Do(ctx, meta.Call{Op: mkdir("x")})
	wantKind(t, err, honeyant.Unavailable)
	close(gate)
}
