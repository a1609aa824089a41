package meta_test

import (
	"sync/atomic"
	"testing"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/meta"
	"github.com/honeyant/honeyant/meta/metatest"
)

// Rule 9: below the metadata's disk reserve everything gets NoSpace but what deletes, and what ends.
func TestFullDiskTakesOnlyDeletes(t *testing.T) {
	var full atomic.Bool
	r := metatest.NewReplicas(t)
	l, _ := r.Lead(t, 0, meta.LeaderOptions{Full: full.Load})
	bootstrap(t, l)
	s := openSession(t, l)
	seq := uint64(0)
	do := func(op meta.Op, retry bool) error {
		t.Helper()
		seq++
		_, err := l.Do(t.Context(), meta.Call{Session: s, Seq: seq, Retry: retry, Op: op})
		return err
	}
	for _, op := range []meta.Op{create("a"), create("b"), mkdir("d")} {
		if err := do(op, false); err != nil {
			t.Fatal(err)
		}
	}
	full.Store(true)
	a := mustDo(t, l.Direct(), lookup("a")).Attr.Ino
	wantKind(t, do(create("c"), false), honeyant.NoSpace)
	wantKind(t, do(&meta.Commit{Volume: 1, Ino: a, Extents: []honeyant.Extent{{Length: 1, Inline: []byte{1}}}}, false), honeyant.NoSpace)
	wantKind(t, do(&meta.SetXattr{Volume: 1, Ino: a, Name: "user.x", Value: []byte{1}}, false), honeyant.NoSpace)
	for _, op := range []meta.Op{
		&meta.SetAttr{Volume: 1, Ino: a, Valid: meta.SetSize}, unlink("a"), unlink("b"),
		&meta.Rmdir{Volume: 1, Parent: honeyant.RootIno, Name: "d"}, &meta.PutSetting{Name: "cursor", Value: []byte("x")},
	} {
		if err := do(op, false); err != nil {
			t.Errorf("%v: %v", op.Code(), err)
		}
	}
	wantKind(t, do(&meta.ReserveInodes{Count: 8}, false), honeyant.NoSpace)
	// What may have been done before gets its answer.
	last := meta.Call{Session: s, Seq: seq, Retry: true, Op: &meta.PutSetting{Name: "cursor", Value: []byte("x")}}
	if _, err := l.Do(t.Context(), last); err != nil {
		t.Error(err)
	}
	mustDo(t, l.Direct(), &meta.CloseSession{Session: s})
	full.Store(false)
	s, seq = openSession(t, l), 0
	if err := do(create("c"), false); err != nil {
		t.Error(err)
	}
}
