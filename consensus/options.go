package consensus

import (
	"errors"
	"log/slog"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/rpc"
)

// StateMachine is what the log is applied to. Apply, Checkpoint, Flush and Restore are
// called by one goroutine at a time.
type StateMachine interface {
	// Apply is called in log order. result goes to the caller of Propose, if it is on this
	// node. An error halts this node's part in consensus, it is never skipped (rule 9).
	Apply(index, term uint64, cmd []byte) (result any, err error)
	// AppliedIndex is the index of the last command in the state as it is now.
	AppliedIndex() (uint64, error)
	// Flush returns when all applied so far is durable.
	Flush() error
	// Checkpoint makes dir, which does not exist, a durable copy. Files in it whose names
	// end in .sst or .blob are never changed afterwards; they may be shared by hard link.
	Checkpoint(dir string) error
	// Restore replaces the state by the checkpoint in dir, which it renames or copies to
	// where it keeps its state; dir is deleted afterwards. Durable on return.
	Restore(dir string) error
}

// Timings of elections and waits. Zero values mean the documented defaults.
type Timings struct {
	Heartbeat     time.Duration // silence of the leader before an election, up to three times that; 800 ms
	Election      time.Duration // of one round of votes; as Heartbeat
	LeaderLease   time.Duration // a leader without a quorum for so long steps down; 500 ms
	Commit        time.Duration // an idle leader tells its commit index so often; 20 ms
	Propose       time.Duration // the longest a proposal may wait; 15 s, longer than MirrorSilence
	Network       time.Duration // one raft call or dial; 3 s
	Progress      time.Duration // a node reports its progress at least so often; 500 ms
	MirrorSilence time.Duration // before a leader goes solo; 10 s
	CloseWait     time.Duration // the longest Close waits for a disk that hangs; 10 s
}

func (t Timings) withDefaults() Timings {
	set := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	set(&t.Heartbeat, 800*time.Millisecond)
	set(&t.Election, t.Heartbeat)
	set(&t.LeaderLease, min(500*time.Millisecond, t.Heartbeat))
	set(&t.Commit, 20*time.Millisecond)
	set(&t.Propose, 15*time.Second)
	set(&t.Network, 3*time.Second)
	set(&t.Progress, 500*time.Millisecond)
	set(&t.MirrorSilence, 10*time.Second)
	set(&t.CloseWait, 10*time.Second)
	return t
}

// Limits of memory and disk, in bytes. Zero values mean the documented defaults.
type Limits struct {
	LogGrowth   int64 // a snapshot is taken when the log has grown so much; 64 MiB
	LogTrailing int64 // log kept behind a snapshot for followers that lag; 16 MiB
	EntryCache  int64 // newest entries kept in memory for followers; 2 MiB
	MaxCommand  int   // a longer command is refused; 2 MiB
}

func (l Limits) withDefaults() Limits {
	if l.LogGrowth == 0 {
		l.LogGrowth = 64 << 20
	}
	if l.LogTrailing == 0 {
		l.LogTrailing = 16 << 20
	}
	if l.EntryCache == 0 {
		l.EntryCache = 2 << 20
	}
	if l.MaxCommand == 0 {
		l.MaxCommand = 2 << 20
	}
	return l
}

// Events tell the layer above what happened. Each is called from a goroutine of this
// package, one call at a time, and may block; nil ones are left out.
type Events struct {
	// OnLeader tells that this node began or ceased to lead, and the term at that time.
	OnLeader func(leading bool, term uint64)
	// OnHalt tells why this node stopped taking part (C3); the node can only be closed then.
	OnHalt func(error)
	// OnMirror tells that the mirror came in sync or that the leader went solo, so that the
	// layer above commits the fact (rule 3).
	OnMirror func(inSync bool)
	// OnSuperseded tells that another node is in a higher incarnation: this node's metadata must not be
	// used any more. The node has halted (rule 4).
	OnSuperseded func(incarnation uint64)
}

// Options of a Node.
type Options struct {
	Dir     string // where log and snapshot live; created if missing
	Self    honeyant.NodeID
	Network rpc.Network
	Resolve rpc.Resolver
	FSM     StateMachine
	FS      vfs.FS       // the real disk if nil; for crash tests
	Log     *slog.Logger // slog.Default if nil
	Events  Events
	Timings Timings
	Limits  Limits
}

func (o *Options) check() error {
	var errs []error
	if o.Dir == "" {
		errs = append(errs, errors.New("no Dir"))
	}
	if o.Self == 0 {
		errs = append(errs, errors.New("no Self"))
	}
	if o.FSM == nil {
		errs = append(errs, errors.New("no FSM"))
	}
	if o.FS == nil {
		o.FS = vfs.Default
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	o.Timings, o.Limits = o.Timings.withDefaults(), o.Limits.withDefaults()
	if err := errors.Join(errs...); err != nil {
		return honeyant.E("consensus.Open", honeyant.Invalid, "options", err)
	}
	return nil
}
