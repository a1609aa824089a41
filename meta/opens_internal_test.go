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
