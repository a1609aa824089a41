package node

import (
	"context"
	"errors"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/admin"
	"github.com/honeyant/honeyant/cluster"
	"github.com/honeyant/honeyant/config"
	"github.com/honeyant/honeyant/consensus"
	"github.com/honeyant/honeyant/meta"
	"github.com/honeyant/honeyant/meta/remote"
	"github.com/honeyant/honeyant/replica"
	"github.com/honeyant/honeyant/rpc"
)

// clusterReport is short for what the tracker tells of a node.
type clusterReport = cluster.NodeReport

// Options of Open.
type Options struct {
	Log   *slog.Logger // default: discards
	Parts Parts
	// Quiet leaves out mounts and the command socket: for Init, which only needs the metadata.
	Quiet bool
	// Daemon says that the process is there for this node alone: its memory limit is the node's (rule 37).
	Daemon bool
}

// Node is one machine's part of a colony, open. Safe for concurrent use.
type Node struct {
	path     string
	parts    Parts
	dir      *config.Dir
	cfg      *config.Config
	pools    config.Pools
	log      *slog.Logger
	began    time.Time
	identity *cluster.Identity

	ctx  context.Context // ends when the node closes
	stop context.CancelCauseFunc
	jobs sync.WaitGroup // goroutines of the node itself

	net   Network
	calls calls

	stores   *stores
	database *database
	quorum   *consensus.Node
	leader   *meta.Leader
	doer     *remote.Admin
	tracker  *cluster.Tracker
	agent    *cluster.Agent
	chunks   *replica.Client

	leadership *leadership
	mounts     *mounts
	socket     *admin.Server
	fault      faultBox
}

// calls are the clients of the protocols that consist of small calls.
type calls struct{ control, meta *rpc.Client }

// faultBox keeps the first fault that ends the node.
type faultBox struct {
	once   sync.Once
	failed chan struct{}
	mu     sync.Mutex
	err    error
}

func (b *faultBox) set(err error) {
	b.once.Do(func() {
		b.mu.Lock()
		b.err = err
		b.mu.Unlock()
		close(b.failed)
	})
}

// Failed is closed when the node can not go on; Fault then tells why, and Close is due.
func (n *Node) Failed() <-chan struct{} { return n.fault.failed }

// Fault is why the node can not go on, nil if it can.
func (n *Node) Fault() error {
	n.fault.mu.Lock()
	defer n.fault.mu.Unlock()
	return n.fault.err
}

// Open brings the node in dir up. When it returns, the node takes part in the colony as far
// as that can be reached; mounts come back in the background.
func Open(ctx context.Context, path string, o Options) (n *Node, err error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	n = &Node{path: path, parts: o.Parts.withDefaults(), log: o.Log, began: time.Now(), fault: faultBox{failed: make(chan struct{})}}
	n.ctx, n.stop = context.WithCancelCause(context.Background())
	n.mounts = &mounts{n: n, opening: make(turn, 1), list: map[string]*mounted{}}
	n.leadership = &leadership{n: n, together: make(chan struct{})}
	opened := n // a return of nil sets n before the deferred call sees it
	defer func() {
		if err != nil {
			err = errors.Join(err, opened.Close())
			n = nil
		}
	}()
	for _, step := range []func(context.Context) error{n.openDir, n.openNetwork, n.openMetadata, n.openMembership, n.raise, n.serveProtocols, n.found} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	if o.Daemon {
		// The pools bound what is held; the limit makes the collector work before the cap is reached.
		debug.SetMemoryLimit(n.cfg.MemoryBytes())
	}
	n.start(n.monitorStores)
	n.start(n.monitorFault)
	if o.Quiet {
		return n, nil
	}
	local, _ := n.commands()
	if n.socket, err = admin.Listen(path, local, n.log, append(n.benchRoutes(), n.fileRoute(), admin.Route{Pattern: metricsRoute, Serve: n.serveMetrics})...); err != nil {
		return nil, err
	}
	n.start(n.mounts.restore)
	n.start(n.fetchHistory)
	return n, nil
}

// start runs a goroutine of the node; Close waits for it.
func (n *Node) start(f func(ctx context.Context)) {
	n.jobs.Add(1)
	go func() {
		defer n.jobs.Done()
		f(n.ctx)
	}()
}

// openDir locks the directory and reads what it says.
func (n *Node) openDir(context.Context) (err error) {
	if n.dir, err = config.OpenDir(n.path); err != nil {
		return err
	}
	if n.cfg, err = config.Load(n.path); err != nil {
		return err
	}
	n.identity, err = cluster.LoadIdentity(n.dir.Identity())
	if errors.Is(err, honeyant.NotExist) {
		return honeyant.E("node.Open", honeyant.Invalid, n.path, errors.New("this machine is in no colony yet: run honeyant init, or honeyant join ... with the line that `honeyant token create` prints on a machine of the colony"))
	}
	if err != nil {
		return err
	}
	if err := n.setAside(); err != nil {
		return err
	}
	n.pools = config.PoolsFor(n.cfg.MemoryBytes())
	n.stores, err = openStores(n.cfg, n.parts.Disk, n.streams(), n.log)
	return err
}

// openNetwork listens on the node's one port.
func (n *Node) openNetwork(context.Context) (err error) {
	n.net, err = n.parts.Listen(n.cfg, n.identity, rpc.Options{Log: n.log})
	return err
}

// joined tells whether openMembership is done. Consensus runs before that, and its goroutines ask for parts that
// are not there yet.
func (n *Node) joined() bool {
	select {
	case <-n.leadership.together:
		return true
	default:
		return false
	}
}

// resolve finds a node's address in the newest map.
func (n *Node) resolve(id honeyant.NodeID) (string, bool) {
	if !n.joined() {
		return "", false
	}
	return n.agent.Resolve(id)
}

// openMetadata opens the state, consensus and the leader's side of operations.
func (n *Node) openMetadata(context.Context) (err error) {
	if n.database, err = openDatabase(n.parts.FS, n.dir.Meta(), n.pools, n.log); err != nil {
		return err
	}
	n.tracker = cluster.NewTracker(cluster.TrackerOptions{
		Self: n.identity.Self(), Doer: lateDoer{n}, Calls: lateCaller{n}, Last: n.lastMap, Superseded: n.superseded,
		DownAfter: n.cfg.DownAfter, OutAfter: n.cfg.OutAfter, Log: n.log,
	})
	n.leader = meta.NewLeader(n.database.State, lateProposer{n}, meta.LeaderOptions{StoreUp: n.storeUp, Full: n.metadataFull, Log: n.log})
	n.quorum, err = consensus.Open(consensus.Options{
		Dir: n.dir.Raft(), Self: n.identity.Self(), Network: n.net, Resolve: n.resolve, FSM: n.database, FS: n.parts.FS, Log: n.log,
		Events: consensus.Events{OnLeader: n.leadership.changed, OnHalt: n.halted, OnMirror: n.mirrorChanged, OnSuperseded: n.metadataSuperseded},
		Limits: consensus.Limits{EntryCache: n.pools.Raft / 3},
	})
	return err
}

// lateProposer, lateDoer and lateCaller stand in for parts that are opened later than those that need them.
type lateProposer struct{ n *Node }

func (p lateProposer) Propose(cmd []byte) func() (any, error) { return p.n.quorum.Propose(cmd) }

func (p lateProposer) Verify(ctx context.Context) error { return p.n.quorum.Verify(ctx) }

type lateDoer struct{ n *Node }

func (d lateDoer) Do(ctx context.Context, op meta.Op) (meta.Reply, error) {
	return d.n.leader.Direct().Do(ctx, op)
}

type lateCaller struct{ n *Node }

func (c lateCaller) Call(ctx context.Context, id honeyant.NodeID, m rpc.Method, req []byte) ([]byte, error) {
	if !c.n.joined() {
		return nil, honeyant.E("node.Call", honeyant.Unavailable, id.String(), nil)
	}
	return c.n.calls.control.Call(ctx, id, m, req)
}
