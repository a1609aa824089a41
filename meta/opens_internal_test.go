package meta

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/kv/kvtest"
)

// alone applies what is proposed at once; the evaluation goroutine alone proposes.
type alone struct {
	index uint64
	state *State
}

func (a *alone) Propose(cmd []byte) func() (any, error) {
	a.index++
	v, err := a.state.Apply(a.index, 1, cmd)
	return func() (any, error) { return v, err }
}

func (*alone) Verify(context.Context) error { return nil }

// Rule 22: what a session says it has open, on its way while the session ends, leaves no registration behind. Nobody would
// take it back, and the file's data could not be freed before the leader changes.
func TestOpensOfASessionThatEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		state, err := OpenState(kvtest.NewMem())
		if err != nil {
			t.Fatal(err)
		}
		l := NewLeader(state, &alone{state: state}, LeaderOptions{})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go l.Lead(ctx, 1) // ends with ctx, and the test with it
		synctest.Wait()
		tn, err := l.tenure()
		if err != nil {
			t.Fatal(err)
		}
		do := func(call Call) Reply {
			t.Helper()
			r, err := l.Do(ctx, call)
			if err != nil {
				t.Fatal(err)
			}
			return r
		}
		do(Call{Op: &Bootstrap{Cluster: "x"}})
		do(Call{Op: &AddNode{Name: "one"}})
		s := do(Call{Op: &OpenSession{Node: 1}}).(*SessionReply).Session
		ino := do(Call{Session: s, Seq: 1, Op: &Make{Volume: 1, Parent: 1, Name: "f", Mode: honeyant.ModeFile, Exclusive: true}}).(*EntryReply).Attr.Ino
		do(Call{Op: &CloseSession{Session: s}})
		// The call heard its session before it was closed, and is evaluated after.
		op := &Open{Volume: 1, Ino: ino}
		if _, err := tn.open(ctx, &Call{Session: s, Stamp: 1, Op: op}, op); !errors.Is(err, honeyant.Fenced) {
			t.Errorf("the open: %v", err)
		}
		if err := tn.reassert(s, Reasserted{Stamp: 1}, []OpenFile{{1, ino}}, true); !errors.Is(err, honeyant.Fenced) {
			t.Errorf("the assertion: %v", err)
		}
		if n := l.Opens(); n != 0 {
			t.Errorf("%d files are taken for open", n)
		}
	})
}

// An open that was sent before a release and arrives after it does not count.
func TestLateOpenDoesNotCount(t *testing.T) {
	o := newOpenTable()
	f, g := OpenFile{1, 1}, OpenFile{1, 2}
	o.remove(1, f, 5) // what it takes back was lost on the way, or is late
	for _, c := range []struct {
		s     honeyant.SessionID
		f     OpenFile
		stamp uint64
		want  bool
	}{{1, f, 4, false}, {2, f, 4, true}, {1, g, 4, true}, {1, f, 6, true}} {
		o.add(c.s, c.f, c.stamp)
		if _, got := o.by[c.f][c.s]; got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
	for i := range 3 * lateMost {
		o.remove(1, OpenFile{2, honeyant.Ino(i)}, 9)
	}
	if n := len(o.late[1].stamps); n > lateMost || n != len(o.late[1].order) {
		t.Errorf("%d releases remembered, %d in order", n, len(o.late[1].order))
	}
	o.add(1, OpenFile{2, 3*lateMost - 1}, 8)
	if o.isOpen(OpenFile{2, 3*lateMost - 1}) {
		t.Error("the newest release is forgotten")
	}
	o.forget(1)
	if len(o.late) != 0 {
		t.Error("a session that is over is remembered")
	}
}
