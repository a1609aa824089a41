package consensus

import (
	"context"
	"errors"
	"reflect"
	"sync"
	"time"

	hraft "github.com/hashicorp/raft"

	"github.com/honeyant/honeyant"
)

// Node is this machine's part in the replication of one log. Safe for concurrent use.
type Node struct {
	o         Options
	log       *logStore
	snapshots *snapshotStore
	fsm       *fsm
	transport *transport
	raft      *hraft.Raft
	events    *eventQueue
	progress  *progress
	verify    *verifier

	incarnation incarnation
	superseded  sync.Once

	ctx      context.Context // ends with Close or the halt
	cancel   context.CancelCauseFunc
	dead     chan struct{} // closed right after ctx ended
	haltOnce sync.Once
	work     sync.WaitGroup
	close    sync.Once
	closeErr error
	trim     chan struct{} // holds one token when the log may have grown too far
	opened   chan struct{} // closed when Open is through with the fields above
	halted   func(error)   // instead of the usual, for a node that does not run
}

// names of the parts of Options.Dir
const (
	logDir      = "log"
	snapshotDir = "snapshots"
)

// Open starts the node with what is in Options.Dir. A fresh directory is no member of a
// cluster yet: Bootstrap makes it the first one, or another node's leader adds it.
func Open(o Options) (*Node, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	if o.Network == nil || o.Resolve == nil {
		return nil, honeyant.E("consensus.Open", honeyant.Invalid, "options", errors.New("no Network or Resolve"))
	}
	n := &Node{o: o, events: newEventQueue(), trim: make(chan struct{}, 1), opened: make(chan struct{})}
	n.ctx, n.cancel = context.WithCancelCause(context.Background())
	n.dead = make(chan struct{})
	context.AfterFunc(n.ctx, func() { close(n.dead) })
	err := n.open()
	close(n.opened)
	if err != nil {
		n.haltOnce.Do(func() {}) // from here on nothing halts any more
		n.cancel(err)
		n.work.Wait()
		n.events.close()
		return nil, honeyant.E("consensus.Open", honeyant.Other, o.Dir, err)
	}
	return n, nil
}

func (n *Node) open() error {
	if err := n.openStores(); err != nil {
		return err
	}
	layer := newStreamLayer(n)
	n.transport = &transport{life: n.ctx, timeout: n.o.Timings.Network}
	n.transport.NetworkTransport = hraft.NewNetworkTransportWithConfig(&hraft.NetworkTransportConfig{
		Stream: layer, MaxPool: 3, Timeout: n.o.Timings.Network, Logger: newRaftLog(n.o.Log),
	})
	n.progress = newProgress(n)
	n.verify = &verifier{confirm: n.confirm, life: n.ctx}
	n.log.stored = n.entriesStored
	leading := make(chan bool, 16)
	raft, err := hraft.NewRaft(n.config(leading), n.fsm, n.log, n.log, n.snapshots, n.transport)
	if err != nil {
		return errors.Join(err, n.transport.Close(), n.progress.listen.Close(), n.log.close())
	}
	n.raft = raft
	n.work.Go(func() { n.watchLeadership(leading) })
	n.work.Go(n.watchLog)
	n.progress.start()
	return nil
}

// openStores opens log and snapshots and brings the state machine up to the snapshot.
func (n *Node) openStores() error {
	fs := n.o.FS
	if err := makeDir(fs, n.o.Dir); err != nil {
		return err
	}
	var err error
	if n.snapshots, err = openSnapshotStore(fs, fs.PathJoin(n.o.Dir, snapshotDir)); err != nil {
		return err
	}
	if n.log, err = openLogStore(fs.PathJoin(n.o.Dir, logDir), &n.o, n.halt); err != nil {
		return err
	}
	if err := n.incarnation.load(n.log); err != nil {
		return errors.Join(err, n.log.close())
	}
	n.log.trimTop, n.log.covered = n.snapshots.trimTop, n.snapshots.covered
	if n.fsm, err = newFSM(n.o.FSM, n.snapshots, n.halt, n.gate); err == nil {
		err = n.fsm.catchUp()
	}
	if snap := n.snapshots.current(); err == nil && snap != nil {
		if last, _ := n.log.durable(); last != 0 && last < snap.index {
			err = n.log.DeleteRange(0, last) // the crash came between installing and trimming
		}
	}
	if err == nil {
		err = syncDir(fs, n.o.Dir)
	}
	if err != nil {
		return errors.Join(err, n.log.close())
	}
	return nil
}

// config is raft's. Snapshots are taken when watchLog says so and never by raft itself.
func (n *Node) config(leading chan<- bool) *hraft.Config {
	c := hraft.DefaultConfig()
	c.LocalID = serverID(n.o.Self)
	c.HeartbeatTimeout = n.o.Timings.Heartbeat
	c.ElectionTimeout = n.o.Timings.Election
	c.LeaderLeaseTimeout = n.o.Timings.LeaderLease
	c.CommitTimeout = n.o.Timings.Commit
	c.MaxAppendEntries = 16
	c.BatchApplyCh = true
	c.ShutdownOnRemove = false
	c.TrailingLogs = 1024
	c.SnapshotInterval = 1 << 50
	c.SnapshotThreshold = 1 << 62
	c.NoSnapshotRestoreOnStart = true
	c.NoLegacyTelemetry = true
	c.NotifyCh = leading
	c.Logger = newRaftLog(n.o.Log)
	return c
}

// halt ends this node's part for good (C3). Callable from everywhere.
func (n *Node) halt(err error) {
	if n.halted != nil {
		n.halted(err)
		return
	}
	n.haltOnce.Do(func() {
		if n.ctx.Err() != nil {
			return // closing: what fails now fails because of that
		}
		n.o.Log.Error("consensus halted", "err", err)
		n.cancel(err)
		n.work.Go(func() {
			<-n.opened
			// Heartbeats of a leader that hangs on its disk would keep others from electing.
			if n.transport != nil {
				_ = n.transport.Close()
			}
			if n.raft != nil {
				n.raft.Shutdown()
			}
		})
		if n.o.Events.OnHalt != nil {
			n.events.add(func() { n.o.Events.OnHalt(err) })
		}
	})
}

// Err is why the node halted or closed, nil while it takes part.
func (n *Node) Err() error { return context.Cause(n.ctx) }

func (n *Node) watchLeadership(leading <-chan bool) {
	for {
		select {
		case is := <-leading:
			term := n.raft.CurrentTerm()
			n.progress.leading(is, term)
			if f := n.o.Events.OnLeader; f != nil {
				n.events.add(func() { f(is, term) })
			}
		case <-n.ctx.Done():
			return
		}
	}
}

// Bootstrap makes this node the only voter of a new cluster. Conflict if it has a state.
func (n *Node) Bootstrap() error {
	err := n.raft.BootstrapCluster(hraft.Configuration{Servers: []hraft.Server{{
		Suffrage: hraft.Voter, ID: serverID(n.o.Self), Address: serverAddress(n.o.Self),
	}}}).Error()
	if errors.Is(err, hraft.ErrCantBootstrap) {
		// Interrupted before it had its number, or founded when there was none.
		return honeyant.E("consensus.Bootstrap", honeyant.Conflict, n.o.Dir, errors.Join(err, n.incarnation.adopt(1)))
	}
	if err != nil {
		return raftError("consensus.Bootstrap", err)
	}
	return n.incarnation.adopt(1)
}

// Propose appends cmd to the log, in the order of the calls, and returns when raft has
// taken it, at once unless more than a handful wait to be written. The node keeps cmd.
// wait returns when cmd is applied here: what StateMachine.Apply returned, or an error
// that leaves open whether cmd was or will be committed; it never waits longer than
// Timings.Propose. NotLeader: ask the leader. Call wait once.
func (n *Node) Propose(cmd []byte) (wait func() (result any, err error)) {
	const op = "consensus.Propose"
	if len(cmd) > n.o.Limits.MaxCommand {
		return func() (any, error) { return nil, honeyant.E(op, honeyant.TooLarge, "command", nil) }
	}
	future := n.raft.Apply(cmd, n.o.Timings.Propose)
	endWith(future, n.dead)
	return func() (any, error) {
		done := make(chan error, 1)
		go func() { done <- future.Error() }()
		deadline := time.NewTimer(n.o.Timings.Propose)
		defer deadline.Stop()
		select {
		case err := <-done:
			if err != nil {
				return nil, raftError(op, err)
			}
			out, ok := future.Response().(outcome)
			if !ok {
				return nil, honeyant.E(op, honeyant.Internal, "no outcome", nil)
			}
			return out.result, out.err
		case <-deadline.C:
			return nil, honeyant.E(op, honeyant.Unavailable, "", errors.New("not committed within "+n.o.Timings.Propose.String()))
		case <-n.ctx.Done():
			return nil, honeyant.E(op, honeyant.Unavailable, "", context.Cause(n.ctx))
		}
	}
}

// endWith makes a future's Error return when dead is closed. raft's futures have a channel
// for that, but raft does not set it in all of them, and those that lie in a queue when
// raft shuts down are never answered: whoever waits for one would wait for ever.
func endWith(f hraft.Future, dead chan struct{}) {
	v := reflect.ValueOf(f)
	if v.Kind() != reflect.Pointer || v.Elem().Kind() != reflect.Struct {
		return // answered already
	}
	if ch := v.Elem().FieldByName("ShutdownCh"); ch.IsValid() && ch.CanSet() && ch.IsNil() {
		ch.Set(reflect.ValueOf(dead))
	}
}

// raftError gives raft's errors their kind.
func raftError(op string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, hraft.ErrNotLeader), errors.Is(err, hraft.ErrLeadershipLost),
		errors.Is(err, hraft.ErrLeadershipTransferInProgress), errors.Is(err, hraft.ErrAbortedByRestore):
		return honeyant.E(op, honeyant.NotLeader, "", err)
	case errors.Is(err, hraft.ErrEnqueueTimeout), errors.Is(err, hraft.ErrRaftShutdown):
		return honeyant.E(op, honeyant.Unavailable, "", err)
	case honeyant.KindOf(err) != honeyant.Other:
		return honeyant.E(op, honeyant.Other, "", err)
	}
	return honeyant.E(op, honeyant.Internal, "", err)
}

// Leader is who leads as far as this node knows; false if it knows none.
func (n *Node) Leader() (honeyant.NodeID, bool) {
	_, id := n.raft.LeaderWithID()
	leader := nodeOf(id)
	return leader, leader != 0
}

// IsLeader tells whether this node believes to lead; Verify asks the others.
func (n *Node) IsLeader() bool { return n.raft.State() == hraft.Leader }

// Term is the newest term this node knows of.
func (n *Node) Term() uint64 { return n.raft.CurrentTerm() }

// Self is this node's ID.
func (n *Node) Self() honeyant.NodeID { return n.o.Self }

// TransferLeadership hands the leadership to the voter that is furthest; returns when this
// node leads no more, or an error and it goes on leading.
func (n *Node) TransferLeadership(ctx context.Context) error {
	return n.await(ctx, "consensus.TransferLeadership", n.raft.LeadershipTransfer())
}

// await waits for one of raft's futures, but not longer than ctx.
func (n *Node) await(ctx context.Context, op string, f hraft.Future) error {
	endWith(f, n.dead)
	done := make(chan error, 1)
	go func() { done <- f.Error() }()
	select {
	case err := <-done:
		return raftError(op, err)
	case <-ctx.Done():
		return honeyant.E(op, honeyant.Unavailable, "", context.Cause(ctx))
	case <-n.ctx.Done():
		return honeyant.E(op, honeyant.Unavailable, "", context.Cause(n.ctx))
	}
}

// Close stops taking part and flushes the state machine, which stays open. What was
// proposed and not answered stays unknown. Twice is harmless.
func (n *Node) Close() error {
	n.close.Do(func() { n.closeErr = n.shut() })
	return n.closeErr
}

func (n *Node) shut() error {
	halted := n.ctx.Err() != nil
	n.haltOnce.Do(func() {}) // from here on nothing halts any more
	n.cancel(honeyant.E("consensus.Close", honeyant.Unavailable, n.o.Dir, errors.New("closed")))
	stopped := make(chan error, 1)
	go func() { stopped <- errors.Join(n.raft.Shutdown().Error(), n.transport.Close()) }()
	deadline := time.NewTimer(n.o.Timings.CloseWait)
	defer deadline.Stop()
	var err error
	select {
	case err = <-stopped:
	case <-deadline.C: // raft hangs on a failed disk
		return honeyant.E("consensus.Close", honeyant.Unavailable, n.o.Dir, errors.New("raft did not stop"))
	}
	n.progress.stop()
	n.verify.work.Wait()
	n.work.Wait()
	n.events.close()
	if !halted {
		err = errors.Join(err, n.o.FSM.Flush())
	}
	return errors.Join(err, n.log.close())
}
