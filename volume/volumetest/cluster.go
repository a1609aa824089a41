package volumetest

import (
	"context"
	"crypto/sha256"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/kv/kvtest"
	"github.com/honeyant/honeyant/meta"
	"github.com/honeyant/honeyant/volume"
)

// Cluster is metadata on one leader and some stores, all in memory. Safe for concurrent use.
type Cluster struct {
	Leader *meta.Leader
	Chunks *Chunks
	// Full says that the leader's disk has no room for metadata but for deletes.
	Full atomic.Bool

	log   *log
	nodes int
	down  sync.Map // honeyant.NodeID -> struct{}
}

// log is a quorum of one: what is proposed is applied at once.
type log struct {
	mu    sync.Mutex // guards index, and the order of Apply
	index uint64
	state *meta.State
	cut   atomic.Bool // no quorum: nothing is answered
}

// Propose implements meta.Proposer.
func (l *log) Propose(cmd []byte) func() (any, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cut.Load() {
		return func() (any, error) { return nil, honeyant.E("volumetest.Propose", honeyant.Unavailable, "", nil) }
	}
	l.index++
	result, err := l.state.Apply(l.index, 1, cmd)
	return func() (any, error) { return result, err }
}

// Verify implements meta.Proposer.
func (l *log) Verify(context.Context) error {
	if l.cut.Load() {
		return honeyant.E("volumetest.Verify", honeyant.Unavailable, "", nil)
	}
	return nil
}

// NewCluster founds a cluster of so many nodes with one store each, of capacity bytes. It ends with the test.
func NewCluster(tb testing.TB, nodes int, capacity int64) *Cluster {
	tb.Helper()
	state, err := meta.OpenState(kvtest.NewMem())
	if err != nil {
		tb.Fatal(err)
	}
	c := &Cluster{Chunks: newChunks(nodes, capacity), log: &log{state: state}, nodes: nodes}
	c.Leader = meta.NewLeader(state, c.log, meta.LeaderOptions{Full: c.Full.Load})
	ctx, cancel := context.WithCancel(context.Background())
	led := make(chan struct{})
	go func() {
		defer close(led)
		_ = c.Leader.Lead(ctx, 1)
	}()
	tb.Cleanup(func() {
		cancel()
		<-led
		if err := state.Close(); err != nil {
			tb.Error(err)
		}
	})
	c.found(tb)
	return c
}

// found gives the cluster its identity, its nodes and its stores.
func (c *Cluster) found(tb testing.TB) {
	tb.Helper()
	ctx := context.Background()
	for {
		_, err := meta.Do(ctx, c.Leader.Direct(), &meta.Bootstrap{Cluster: "volumetest"})
		if err == nil {
			break
		}
		if honeyant.KindOf(err) != honeyant.NotLeader {
			tb.Fatal(err)
		}
	}
	hash := sha256.Sum256([]byte("token"))
	token := meta.Token{Hash: hash[:], Name: "token", Expires: honeyant.TimeOf(time.Now().Add(1000 * time.Hour)), Left: 1000}
	must(tb, c.Leader.Direct(), &meta.AddToken{Token: token})
	for i := range c.nodes {
		op := &meta.AddNode{Name: fmt.Sprintf("node%d", i+1), Address: fmt.Sprintf("node%d:7268", i+1), PublicKey: []byte{byte(i + 1)}}
		if i > 0 {
			op.TokenHash = hash[:]
		}
		node := must(tb, c.Leader.Direct(), op)
		must(tb, c.Leader.Direct(), &meta.AddStore{Node: node.Node.ID, Key: fmt.Sprintf("store%d", i+1), Capacity: 1 << 40})
	}
}

func must[R meta.Reply](tb testing.TB, d meta.Doer, op meta.Request[R]) R {
	tb.Helper()
	r, err := meta.Do(context.Background(), d, op)
	if err != nil {
		tb.Fatalf("%v: %v", op.Code(), err)
	}
	return r
}

// Map is the cluster as its nodes know it.
func (c *Cluster) Map() *honeyant.Map {
	m := &honeyant.Map{Cluster: "volumetest", Version: 1, Incarnation: 1, Leader: 1}
	for i := range c.nodes {
		id := honeyant.NodeID(i + 1)
		n := honeyant.Node{ID: id, Name: fmt.Sprintf("node%d", id), State: honeyant.NodeUp}
		if _, down := c.down.Load(id); down {
			n.State = honeyant.NodeDown
		}
		m.Nodes = append(m.Nodes, n)
		m.Stores = append(m.Stores, c.Chunks.store(honeyant.StoreID(i+1), id))
	}
	return m
}

// SetDown takes a node out of the map's upper half, or back in.
func (c *Cluster) SetDown(id honeyant.NodeID, down bool) {
	if down {
		c.down.Store(id, struct{}{})
	} else {
		c.down.Delete(id)
	}
}

// CutQuorum makes the leader unable to answer, or able again.
func (c *Cluster) CutQuorum(cut bool) { c.log.cut.Store(cut) }

// Open opens a volume of the cluster over a session of its own; it is closed with the test. change
// may be nil.
func (c *Cluster) Open(tb testing.TB, change func(*volume.Options)) *volume.Volume {
	tb.Helper()
	o := volume.Options{Chunks: c.Chunks, Map: c.Map, Node: 1, Deadline: 10 * time.Second, MapAge: time.Millisecond, SpaceWait: 50 * time.Millisecond}
	if change != nil {
		change(&o)
	}
	if o.Meta == nil {
		o.Meta = c.NewSession(tb)
	}
	v, err := volume.New(o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		_ = v.Close(ctx) // harmless if the test closed it; a test that cares closes it itself
	})
	return v
}

// Session is a volume.Meta right at the leader: slots, sequence numbers and stamps, no wire.
type Session struct {
	c     *Cluster
	id    honeyant.SessionID
	inc   uint32
	slots chan *slot
	stamp atomic.Uint64
	// Calls counts the operations asked for, by code.
	Calls [256]atomic.Int64
	// Before is called before each operation and may fail it; nil: nothing. Set it before use.
	Before atomic.Pointer[func(meta.Op) error]
}

type slot struct {
	n   uint32
	seq uint64
}

// NewSession opens a session, which says every second that it is alive until the test ends.
func (c *Cluster) NewSession(tb testing.TB) *Session {
	tb.Helper()
	r := must(tb, c.Leader.Direct(), &meta.OpenSession{Node: 1, Name: tb.Name()})
	s := &Session{c: c, id: r.Session, inc: r.Incarnation, slots: make(chan *slot, 32)}
	for i := range cap(s.slots) {
		s.slots <- &slot{n: uint32(i)}
	}
	ctx, cancel := context.WithCancel(context.Background())
	var renewing sync.WaitGroup
	renewing.Go(func() {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				_, _ = c.Leader.Renew(ctx, s.id)
			case <-ctx.Done():
				return
			}
		}
	})
	tb.Cleanup(func() {
		cancel()
		renewing.Wait()
	})
	return s
}

// ID implements volume.Meta.
func (s *Session) ID() honeyant.SessionID { return s.id }

// Incarnation implements volume.Meta.
func (s *Session) Incarnation() uint32 { return s.inc }

// Do implements meta.Doer.
func (s *Session) Do(ctx context.Context, op meta.Op) (meta.Reply, error) {
	s.Calls[op.Code()].Add(1)
	if before := s.Before.Load(); before != nil {
		if err := (*before)(op); err != nil {
			return nil, err
		}
	}
	call := meta.Call{Session: s.id, Op: op, Stamp: s.stamp.Add(1)}
	if !meta.ReadOnly(op) {
		slot := <-s.slots
		defer func() { s.slots <- slot }()
		slot.seq++
		call.Slot, call.Seq = slot.n, slot.seq
	}
	for {
		r, err := s.c.Leader.Do(ctx, call)
		if honeyant.KindOf(err) != honeyant.NotLeader {
			return r, err
		}
		call.Retry = true
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			return nil, honeyant.E("volumetest.Do", honeyant.Unavailable, op.Code().String(), context.Cause(ctx))
		}
	}
}

// Count is how often an operation was asked for.
func (s *Session) Count(code meta.Code) int64 { return s.Calls[code].Load() }

// Kill ends the session at the leader: from now on it is fenced.
func (s *Session) Kill(tb testing.TB) {
	tb.Helper()
	must(tb, s.c.Leader.Direct(), &meta.CloseSession{Session: s.id})
}
