package consensus

import (
	"errors"
	"fmt"
	"io"

	hraft "github.com/hashicorp/raft"

	"github.com/honeyant/honeyant"
)

// fsm is what raft applies entries to: it keeps C1, C2 and C3 around the StateMachine.
// Only raft's FSM goroutine uses it.
type fsm struct {
	machine StateMachine
	store   *snapshotStore
	halt    func(error)
	gate    func(index uint64) // returns when the entry may take effect (C4)
	applied uint64             // the last command in the state
	halted  error
}

// outcome is what a proposal's future carries.
type outcome struct {
	result any
	err    error
}

func newFSM(m StateMachine, store *snapshotStore, halt func(error), gate func(index uint64)) (*fsm, error) {
	applied, err := m.AppliedIndex()
	if err != nil {
		return nil, err
	}
	return &fsm{machine: m, store: store, halt: halt, gate: gate, applied: applied}, nil
}

// catchUp restores the newest snapshot if the state is older than it (C2).
func (f *fsm) catchUp() error {
	snap := f.store.current()
	if snap == nil || f.applied >= snap.applied {
		return nil
	}
	return f.restore(snap)
}

func (f *fsm) fail(err error) error {
	if f.halted == nil {
		f.halted = err
		f.halt(err)
	}
	return f.halted
}

// ApplyBatch implements raft.BatchingFSM.
func (f *fsm) ApplyBatch(logs []*hraft.Log) []any {
	answers := make([]any, len(logs))
	for i, l := range logs {
		answers[i] = f.Apply(l)
	}
	return answers
}

// Apply implements raft.FSM.
func (f *fsm) Apply(l *hraft.Log) any {
	if f.halted != nil {
		return outcome{err: f.halted}
	}
	if l.Type != hraft.LogCommand || l.Index <= f.applied {
		return outcome{}
	}
	f.gate(l.Index)
	result, err := f.machine.Apply(l.Index, l.Term, l.Data)
	if err != nil {
		return outcome{err: f.fail(honeyant.E("consensus.Apply", honeyant.Other, fmt.Sprintf("entry %d", l.Index), err))}
	}
	f.applied = l.Index
	return outcome{result: result}
}

// Snapshot implements raft.FSM: the checkpoint is made here and now, of hard links.
func (f *fsm) Snapshot() (hraft.FSMSnapshot, error) {
	if f.halted != nil {
		return nil, f.halted
	}
	dir, err := f.store.temp()
	if err != nil {
		return nil, err
	}
	if err := f.machine.Checkpoint(f.store.fs.PathJoin(dir, stateName)); err != nil {
		return nil, errors.Join(err, f.store.fs.RemoveAll(dir))
	}
	return &checkpoint{store: f.store, dir: dir, applied: f.applied}, nil
}

// Restore implements raft.FSM. It does not read the stream: the snapshot behind it is here.
func (f *fsm) Restore(from io.ReadCloser) error {
	if f.halted != nil {
		return f.halted
	}
	for {
		switch r := from.(type) {
		case *snapshotReader:
			if err := f.restore(r.snap); err != nil {
				return f.fail(err)
			}
			return nil
		case hraft.ReadCloserWrapper:
			from = r.WrappedReadCloser()
		default:
			return honeyant.E("consensus.Restore", honeyant.Internal, fmt.Sprintf("%T", from), nil)
		}
	}
}

func (f *fsm) restore(snap *snapshot) error {
	dir, err := f.store.restoreCopy(snap)
	if err == nil {
		err = f.machine.Restore(dir)
	}
	if err == nil {
		err = f.store.fs.RemoveAll(f.store.fs.PathDir(dir))
	}
	if err == nil {
		f.applied, err = f.machine.AppliedIndex()
	}
	if err != nil {
		return honeyant.E("consensus.Restore", honeyant.Other, snap.id, err)
	}
	if f.applied > snap.index {
		return honeyant.E("consensus.Restore", honeyant.Corrupt, snap.id, errors.New("the state is newer than the snapshot"))
	}
	f.applied = max(f.applied, snap.applied)
	return nil
}

// checkpoint is a snapshot on its way into the store.
type checkpoint struct {
	store   *snapshotStore
	dir     string
	applied uint64
	given   bool
}

// Persist implements raft.FSMSnapshot.
func (c *checkpoint) Persist(sink hraft.SnapshotSink) error {
	k, ok := sink.(*snapshotSink)
	if !ok {
		return honeyant.E("consensus.Persist", honeyant.Internal, fmt.Sprintf("%T", sink), nil)
	}
	k.adopt(c.dir, c.applied)
	c.given = true
	return nil
}

// Release implements raft.FSMSnapshot.
func (c *checkpoint) Release() {
	if !c.given {
		_ = c.store.fs.RemoveAll(c.dir) // a left-over is removed at the next start
	}
}
