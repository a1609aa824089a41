package meta

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/honeyant/honeyant"
)

// LeaderOptions configure a Leader. Zero values mean the defaults.
type LeaderOptions struct {
	// Now is the clock that operations are stamped with; default time.Now.
	Now func() time.Time
	// StoreUp tells whether a store answers at present; nil: all do.
	StoreUp func(honeyant.StoreID) bool
	// Full tells whether the disk of the metadata has no room but for deletes (rule 9); nil: it always has.
	Full func() bool
	// SessionTTL is after how long a silence a session is suspect: what it holds may be taken by a real
	// conflict (rules 17, 18). Default 4 s.
	SessionTTL time.Duration
	// DeadAfter is after how long a silence a session is closed in any case. Default 10 min.
	DeadAfter time.Duration
	// MaxBatch is from which size on a batch takes no more operations, in bytes. Default 256 KiB (rule 24).
	MaxBatch int
	// MaxInFlight is how many batches may be proposed and not yet applied. Default 4.
	MaxInFlight int
	// LeaseTTL is for how long a session may use shared leases after a renewal that was answered. Default 1 s.
	LeaseTTL time.Duration
	// MaxLeases bounds the shared and exclusive leases of all sessions, about 130 bytes each. Default 64 Ki.
	MaxLeases int
	// RecallLimit is for how long somebody waits for an exclusive lease before the leases of the session that does
	// not give it back are ended. Default 5 s.
	RecallLimit time.Duration
	// Log takes one line per leadership gained or lost and session taken; nil: none.
	Log *slog.Logger
}

func (o LeaderOptions) withDefaults() LeaderOptions {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Full == nil {
		o.Full = func() bool { return false }
	}
	if o.SessionTTL <= 0 {
		o.SessionTTL = 4 * time.Second
	}
	if o.DeadAfter <= 0 {
		o.DeadAfter = 10 * time.Minute
	}
	if o.MaxBatch <= 0 {
		o.MaxBatch = 256 << 10
	}
	if o.MaxInFlight <= 0 {
		o.MaxInFlight = 4
	}
	if o.LeaseTTL <= 0 {
		o.LeaseTTL = time.Second
	}
	if o.RecallLimit <= 0 {
		o.RecallLimit = 5 * time.Second
	}
	if o.MaxLeases <= 0 {
		o.MaxLeases = 64 << 10
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// Leader carries out operations while its node leads. It lives as long as the node; each leadership, and
// each new start after a failed proposal, is a tenure of its own with nothing left of the one before.
// Safe for concurrent use.
type Leader struct {
	state    *State
	proposer Proposer
	o        LeaderOptions

	retags atomic.Uint64

	mu  sync.Mutex // guards cur
	cur *tenure    // nil: not leading
}

// NewLeader makes a Leader over the state of its node. It starts nothing.
func NewLeader(state *State, p Proposer, o LeaderOptions) *Leader {
	return &Leader{state: state, proposer: p, o: o.withDefaults()}
}

// Call is an operation with what it takes to do it exactly once.
type Call struct {
	// Session is who asks; 0: an administrator or the cluster itself, whose changes are idempotent.
	Session honeyant.SessionID
	// Slot and Seq name the change within the session: a slot carries one change at a time, each with a
	// higher Seq than the one before. Reads need neither.
	Slot uint32
	Seq  uint64
	// Retry says that the change may have been sent before. Its answer is then kept even if it is an error.
	Retry bool
	// Stamp orders what a session says about its opens: Open, Release, Make with Open, Reassert, ReleaseOpens.
	Stamp uint64
	// Lease asks for shared leases on the inodes that the answer speaks of; see DoLeased.
	Lease bool
	// Cover lists inodes that the session does not answer for from memory until it knows the outcome of this
	// change, so that its own leases on them need not be recalled. All others that the change touches are.
	Cover []OpenFile
	Op    Op

	granted Grant
}

// Do carries out a call. The op is read until Do returns. An answer means that it is applied on a quorum's stable storage; what a read
// answers includes everything that was acknowledged to anybody before Do began. Kinds besides the
// operation's own: NotLeader (whether it was done is unknown: ask the leader, same slot and seq, Retry),
// Unavailable (ctx ended, likewise unknown), Fenced (the session is dead), Stale (an old seq).
func (l *Leader) Do(ctx context.Context, call Call) (Reply, error) { return l.carryOut(ctx, &call) }

func (l *Leader) carryOut(ctx context.Context, call *Call) (Reply, error) {
	t, err := l.tenure()
	if err != nil {
		return nil, err
	}
	if call.Session != 0 && t.sessions.hear(call.Session) == nil {
		return t.fenced(ctx, call.Session)
	}
	if ReadOnly(call.Op) {
		return t.read(ctx, call)
	}
	if call.Session != 0 && (call.Slot >= MaxSlots || call.Seq == 0) {
		return nil, honeyant.E("meta.Do", honeyant.Invalid, call.Op.Code().String(), fmt.Errorf("slot %d seq %d", call.Slot, call.Seq))
	}
	switch call.Op.(type) {
	case *RemoveNode, *RaiseIncarnation:
		undo, err := t.retireLeases(ctx, call)
		if err != nil {
			undo()
			return nil, err
		}
		reply, err := t.do(ctx, call)
		if err != nil {
			undo()
		}
		return reply, err
	}
	return t.do(ctx, call)
}

// Direct is a Doer without a session for the node that leads: for the cluster's own operations.
func (l *Leader) Direct() Doer { return direct{l} }

type direct struct{ l *Leader }

func (d direct) Do(ctx context.Context, op Op) (Reply, error) { return d.l.Do(ctx, Call{Op: op}) }

func (l *Leader) tenure() (*tenure, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cur == nil {
		return nil, honeyant.E("meta.Do", honeyant.NotLeader, "", nil)
	}
	return l.cur, nil
}

// Retags counts the changed policies that this leader has moved down their trees: with each, what chunks want
// may have changed.
func (l *Leader) Retags() uint64 { return l.retags.Load() }

// Epoch is the epoch under which this node serves, ok false if it does not lead.
func (l *Leader) Epoch() (epoch uint64, ok bool) {
	t, err := l.tenure()
	if err != nil {
		return 0, false
	}
	return t.epoch, true
}

// Lead serves until ctx ends, which it must when the node stops leading. term is for the log.
// When a proposal fails, everything not applied is dropped, its callers get NotLeader, and a new epoch is
// opened (rule 1). Returns the cause of ctx's end. At most one Lead at a time.
func (l *Leader) Lead(ctx context.Context, term uint64) error {
	pause := firstPause
	for ctx.Err() == nil {
		served, err := l.leadOnce(ctx, term)
		if ctx.Err() != nil {
			break
		}
		l.o.Log.Warn("metadata leadership interrupted", "term", term, "cause", err)
		if served {
			pause = firstPause
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		pause = min(2*pause, time.Second)
	}
	return context.Cause(ctx)
}

// firstPause is before a new epoch is opened; it doubles while none can be.
const firstPause = 5 * time.Millisecond

// leadOnce is one epoch from its opening to its end.
func (l *Leader) leadOnce(ctx context.Context, term uint64) (served bool, err error) {
	open := command{Kind: commandEpoch}
	result, err := l.proposer.Propose(open.encode())()
	if err != nil {
		return false, err
	}
	opened, ok := result.(EpochOpened)
	if !ok {
		return false, fmt.Errorf("epoch-open: %v", result)
	}
	t, err := newTenure(ctx, l, opened.Epoch)
	if err != nil {
		return false, err
	}
	l.o.Log.Info("metadata leadership", "term", term, "epoch", t.epoch, "sessions", len(t.sessions.list()))
	l.mu.Lock()
	l.cur = t
	l.mu.Unlock()
	err = t.serve()
	l.mu.Lock()
	l.cur = nil
	l.mu.Unlock()
	return true, err
}

// Renewal is what a session hears when it says that it is alive.
type Renewal struct {
	Epoch uint64        // a new one: say what you have open (Reassert)
	TTL   time.Duration // after a longer silence the session is suspect
	// LeaseTerm is of the session's shared leases, another one whenever those it had are gone; 0: it has none
	// and gets none. They may be used for LeaseTTL from when the renewal was sent.
	LeaseTerm uint64
	LeaseTTL  time.Duration
}

// Renew notes that the session is alive. Fenced: it is dead; NotLeader: ask the leader.
func (l *Leader) Renew(ctx context.Context, s honeyant.SessionID) (Renewal, error) {
	return l.RenewLeases(ctx, s, 0, false)
}

// Reassert tells what a session has open, after a change of the epoch, in as many calls as it likes; last
// marks the last one. Only when all sessions have done so, or are dead, are orphans deleted (rule 22).
// term is that of the session's leases when it began: what it had open under leases of earlier terms is among it.
// Stale: the epoch is another by now; begin again.
func (l *Leader) Reassert(s honeyant.SessionID, as Reasserted, open []OpenFile, last bool) error {
	const op = "meta.Reassert"
	t, err := l.tenure()
	if err != nil {
		return err
	}
	if t.epoch != as.Epoch && (as.Epoch != 0 || last) {
		return honeyant.E(op, honeyant.Stale, "", fmt.Errorf("epoch is %d, not %d", t.epoch, as.Epoch))
	}
	if t.sessions.hear(s) == nil {
		return honeyant.E(op, honeyant.Fenced, "", fmt.Errorf("session %d", s))
	}
	return t.reassert(s, as, open, last)
}

// Reasserted says as of when a session tells what it has open.
type Reasserted struct {
	Epoch uint64 // 0: of any, if that is not all
	Term  uint64 // of its leases, 0: none
	Stamp uint64
}

func (t *tenure) reassert(s honeyant.SessionID, as Reasserted, open []OpenFile, last bool) error {
	for _, f := range open {
		t.opens.add(s, f, as.Stamp)
	}
	if t.overMeanwhile(s) {
		return errFenced(s)
	}
	if !last {
		return nil
	}
	known, back := t.opens.settled(s), t.opens.returned(s, as.Term)
	if known || back {
		t.wakeReaper()
	}
	return nil
}

// ReleaseOpens takes registrations of a session back, each unless it is newer than its stamp.
func (l *Leader) ReleaseOpens(s honeyant.SessionID, files []ReleasedFile) error {
	t, err := l.tenure()
	if err != nil {
		return err
	}
	if t.sessions.hear(s) == nil {
		return nil // all its registrations are gone
	}
	for _, f := range files {
		t.opens.remove(s, f.OpenFile, f.Stamp)
		t.releasedOrphan(f.OpenFile)
	}
	return nil
}

// ReleasedFile is an inode that a session no longer has open, as of Stamp.
type ReleasedFile struct {
	OpenFile
	Stamp uint64
}

// OpensKnown tells whether all live sessions have said what they have open in this epoch.
func (l *Leader) OpensKnown() bool {
	t, err := l.tenure()
	return err == nil && t.opens.known()
}

// SessionStatus is a live session as the leader sees it.
type SessionStatus struct {
	ID      honeyant.SessionID
	Node    honeyant.NodeID
	Name    string
	Silence time.Duration // since it was last heard of
	Suspect bool          // silent for more than the TTL
}

// Sessions lists the live sessions, nil if this node does not lead.
func (l *Leader) Sessions() []SessionStatus {
	t, err := l.tenure()
	if err != nil {
		return nil
	}
	var list []SessionStatus
	for _, s := range t.sessions.list() {
		silence := t.sessions.silence(s)
		list = append(list, SessionStatus{ID: s.id, Node: s.node, Name: s.name, Silence: silence, Suspect: silence > l.o.SessionTTL})
	}
	return list
}

// Opens is how many inodes are known to be open.
func (l *Leader) Opens() int {
	t, err := l.tenure()
	if err != nil {
		return 0
	}
	return t.opens.size()
}

var errLeadershipLost = errors.New("leadership lost")
