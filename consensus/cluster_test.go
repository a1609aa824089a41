package consensus_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/consensus"
	"github.com/honeyant/honeyant/kv"
	"github.com/honeyant/honeyant/kv/pebblekv"
	"github.com/honeyant/honeyant/rpc/memnet"
)

func logger() *slog.Logger {
	if os.Getenv("HONEYANT_TEST_LOG") != "" {
		return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	return slog.New(slog.DiscardHandler)
}

// machine is the StateMachine of these tests: an ordered list of all commands in a kv.DB,
// with a check that each entry comes once and in order.
type machine struct {
	fs       vfs.FS
	home     string
	memtable uint64

	mu      sync.Mutex // guards all below
	db      kv.DB
	dirs    int
	applied uint64
	count   uint64
	fail    error // Apply returns it
	onApply func(index uint64)
}

var stateKey = []byte("state")

func openMachine(fs vfs.FS, home string) (*machine, error) {
	m := &machine{fs: fs, home: home}
	if fs != vfs.Default {
		m.memtable = 256 << 10 // flushes and compacts often
	}
	name := "db-0"
	if f, err := fs.Open(fs.PathJoin(home, "CURRENT")); err == nil {
		b := make([]byte, 64)
		n, _ := f.Read(b)
		name = string(b[:n])
		f.Close()
	}
	fmt.Sscanf(name, "db-%d", &m.dirs)
	if err := fs.MkdirAll(home, 0o755); err != nil {
		return nil, err
	}
	root, err := fs.OpenDir(fs.PathDir(home))
	if err != nil {
		return nil, err
	}
	return m, errors.Join(root.Sync(), root.Close(), m.use(name))
}

func (m *machine) use(name string) error {
	db, err := pebblekv.Open(m.fs.PathJoin(m.home, name), pebblekv.Options{FS: m.fs, Log: logger(), MemtableBytes: m.memtable})
	if err != nil {
		return err
	}
	raw, ok, err := db.Get(stateKey)
	if err != nil {
		return err
	}
	m.applied, m.count = 0, 0
	if ok {
		m.applied, m.count = binary.BigEndian.Uint64(raw), binary.BigEndian.Uint64(raw[8:])
	}
	m.db = db
	return nil
}

func (m *machine) Apply(index, term uint64, cmd []byte) (any, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return nil, m.fail
	}
	if index <= m.applied {
		return nil, fmt.Errorf("entry %d applied after %d", index, m.applied)
	}
	m.applied = index
	m.count++
	var b kv.Batch
	b.Put(fmt.Appendf(nil, "cmd/%08d", m.count), cmd)
	b.Put(stateKey, binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, index), m.count))
	if err := m.db.Apply(&b); err != nil {
		return nil, err
	}
	if m.onApply != nil {
		m.onApply(index)
	}
	return m.count, nil
}

func (m *machine) AppliedIndex() (uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.applied, nil
}
func (m *machine) Flush() error                { return m.db.Flush() }
func (m *machine) Checkpoint(dir string) error { return m.db.Checkpoint(dir) }

func (m *machine) Restore(dir string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.dirs++
	name := fmt.Sprintf("db-%d", m.dirs)
	to := m.fs.PathJoin(m.home, name)
	if err := errors.Join(m.db.Close(), m.fs.RemoveAll(to), m.fs.Rename(dir, to), m.sync()); err != nil {
		return err
	}
	temp, current := m.fs.PathJoin(m.home, "CURRENT.tmp"), m.fs.PathJoin(m.home, "CURRENT")
	f, err := m.fs.Create(temp, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = f.Write([]byte(name))
	if err := errors.Join(err, f.Sync(), f.Close(), m.fs.Rename(temp, current), m.sync()); err != nil {
		return err
	}
	return m.use(name)
}

func (m *machine) sync() error {
	d, err := m.fs.OpenDir(m.home)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// commands lists what was applied, in order.
func (m *machine) commands(t testing.TB) []string {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	var list []string
	if err := m.db.Scan([]byte("cmd/"), []byte("cmd0"), func(_, v []byte) bool { list = append(list, string(v)); return true }); err != nil {
		t.Fatal(err)
	}
	return list
}

// cluster is a set of nodes in one process.
type cluster struct {
	t     testing.TB
	world *memnet.World
	nodes map[honeyant.NodeID]*member
	tune  func(*consensus.Options)
}

type member struct {
	id      honeyant.NodeID
	root    string // before all paths; "" in a file system of its own
	fs      vfs.FS
	machine *machine
	node    *consensus.Node
	halted  chan error
	leads   chan bool
}

func newCluster(t testing.TB) *cluster {
	return &cluster{t: t, world: memnet.New(), nodes: map[honeyant.NodeID]*member{}}
}

func addr(id honeyant.NodeID) string { return id.String() + ":7268" }

func (c *cluster) options(m *member) consensus.Options {
	o := consensus.Options{
		Dir: m.root + "raft", Self: m.id, FS: m.fs, FSM: m.machine, Log: logger().With("node", m.id),
		Resolve: func(id honeyant.NodeID) (string, bool) { return addr(id), true },
		Events: consensus.Events{
			OnHalt: func(err error) { m.halted <- err },
			OnLeader: func(is bool, _ uint64) {
				select {
				case m.leads <- is:
				default:
				}
			},
		},
	}
	if c.tune != nil {
		c.tune(&o)
	}
	return o
}

// start opens a node, new or again.
func (c *cluster) start(id honeyant.NodeID) *member {
	c.t.Helper()
	m := c.nodes[id]
	if m == nil {
		m = &member{id: id, fs: vfs.NewCrashableMem(), halted: make(chan error, 1), leads: make(chan bool, 64)}
		c.nodes[id] = m
	}
	var err error
	if m.machine, err = openMachine(m.fs, m.root+"fsm"); err != nil {
		c.t.Fatal(err)
	}
	o := c.options(m)
	o.Network = c.world.Node(id, addr(id))
	if m.node, err = consensus.Open(o); err != nil {
		c.t.Fatal(err)
	}
	return m
}

// stop closes a node as a clean shutdown does.
func (c *cluster) stop(id honeyant.NodeID) {
	c.t.Helper()
	m := c.nodes[id]
	if m.node == nil {
		return
	}
	if err := errors.Join(m.node.Close(), m.machine.db.Close()); err != nil {
		c.t.Errorf("close %v: %v", id, err)
	}
	c.world.Kill(id)
	m.node = nil
}

// crash takes the disk as a power cut leaves it, then lets the node end.
func (c *cluster) crash(id honeyant.NodeID, cfg vfs.CrashCloneCfg) {
	c.t.Helper()
	m := c.nodes[id]
	after := m.fs.(*vfs.MemFS).CrashClone(cfg)
	c.world.PowerOff(id)
	c.stop(id)
	m.fs = after
}

func (c *cluster) stopAll() {
	for id := range c.nodes {
		c.stop(id)
	}
}

// found makes a cluster of n voters, node 1 first.
func (c *cluster) found(n int) {
	c.t.Helper()
	first := c.start(1)
	if err := first.node.Bootstrap(); err != nil {
		c.t.Fatal(err)
	}
	c.leader()
	for id := honeyant.NodeID(2); int(id) <= n; id++ {
		c.start(id)
		c.addLearner(id)
	}
	for id := honeyant.NodeID(2); int(id) <= n; id++ {
		if err := c.leader().node.Promote(c.ctx(), id); err != nil {
			c.t.Fatal(err)
		}
	}
}

func (c *cluster) addLearner(id honeyant.NodeID) {
	c.t.Helper()
	if err := c.leader().node.AddLearner(c.ctx(), id); err != nil {
		c.t.Fatal(err)
	}
	c.eventually("caught up", func() bool { return c.leader().node.CaughtUp(id) })
}

func (c *cluster) ctx() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	c.t.Cleanup(cancel)
	return ctx
}

// eventually waits, in fake time if inside a bubble.
func (c *cluster) eventually(what string, ok func() bool) {
	c.t.Helper()
	deadline := time.Now().Add(time.Minute)
	for !ok() {
		if time.Now().After(deadline) {
			c.t.Fatalf("not within a minute: %s", what)
		}
		<-time.After(5 * time.Millisecond)
	}
}

// leader waits for one that a quorum confirms.
func (c *cluster) leader() *member {
	c.t.Helper()
	var found *member
	c.eventually("a leader", func() bool {
		for _, m := range c.nodes {
			if m.node == nil || !m.node.IsLeader() {
				continue
			}
			ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
			err := m.node.Verify(ctx)
			cancel()
			if err == nil {
				found = m
				return true
			}
		}
		return false
	})
	return found
}

func (c *cluster) propose(cmd string) {
	c.t.Helper()
	if _, err := c.leader().node.Propose([]byte(cmd))(); err != nil {
		c.t.Fatal(err)
	}
}

// agree waits until the running nodes have applied the same n commands.
func (c *cluster) agree(n int) {
	c.t.Helper()
	for _, m := range c.nodes {
		if m.node == nil {
			continue
		}
		c.eventually(fmt.Sprintf("%v has %d commands", m.id, n), func() bool {
			m.machine.mu.Lock()
			defer m.machine.mu.Unlock()
			return int(m.machine.count) >= n
		})
	}
}

// crashingAt is a disk of which left tells what the power fails to take at one of its writes, the point-th; nil: there were not so many.
func crashingAt(disk *vfs.MemFS, point int, rng *rand.Rand) (fs vfs.FS, left func() *vfs.MemFS) {
	var mu sync.Mutex // guards what follows
	var crashed *vfs.MemFS
	writes := 0
	fs = errorfs.Wrap(disk, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
			mu.Lock()
			defer mu.Unlock()
			if writes++; writes == point {
				crashed = disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: rng.IntN(2) * 100, RNG: rng})
			}
		}
		return nil
	}))
	return fs, func() *vfs.MemFS {
		mu.Lock()
		defer mu.Unlock()
		return crashed
	}
}
