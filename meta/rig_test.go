package meta_test

import (
	"errors"
	"testing"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/meta"
	"github.com/honeyant/honeyant/meta/metatest"
)

func waitFor(t testing.TB, ok func() bool) { t.Helper(); metatest.WaitFor(t, ok) }

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
