package consensus

import (
	"context"
	"encoding/binary"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	hraft "github.com/hashicorp/raft"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/rpc"
)

// The progress protocol runs beside raft's own over connections of rpc.ProtoMirror. The
// leader connects to every other member and asks; the member reports the term it is in and
// how much of the log it has on stable storage. From these reports the leader knows who is
// healthy and caught up, whether it still leads (Verify), and what the mirror holds.

const (
	requestBytes = 1 + 8
	reportBytes  = 5 * 8
	dialRetry    = 200 * time.Millisecond
)

// Flags of a request.
const requestEager = 1 // report each advance of the log at once

// report is what a member says; doc/format/raft.md has the bytes.
type report struct {
	term     uint64 // that the member is in
	asked    uint64 // the newest request this answers, at least
	lastTerm uint64 // of the newest entry on stable storage
	last     uint64
	applied  uint64
}

func (r *report) encode() []byte {
	b := make([]byte, 0, reportBytes)
	for _, v := range [...]uint64{r.term, r.asked, r.lastTerm, r.last, r.applied} {
		b = binary.BigEndian.AppendUint64(b, v)
	}
	return b
}

func decodeReport(b []byte) report {
	at := func(i int) uint64 { return binary.BigEndian.Uint64(b[8*i:]) }
	return report{term: at(0), asked: at(1), lastTerm: at(2), last: at(3), applied: at(4)}
}

// progress is both ends of the protocol: it serves reports, and while this node leads it
// collects those of the others.
type progress struct {
	n      *Node
	listen rpc.Listener
	work   sync.WaitGroup
	mirror mirror

	eager  atomic.Int32  // connections served that want every advance
	kick   chan struct{} // holds one token when the members may have changed
	asking atomic.Uint64 // number of the newest request

	mu     sync.Mutex             // guards all below
	served map[*reporter]struct{} // connections to leaders
	peers  map[honeyant.NodeID]*peer
	term   uint64        // in which this node leads, 0 if it does not
	news   chan struct{} // closed and made anew when a peer reported
}

func newProgress(n *Node) *progress {
	p := &progress{
		n: n, listen: n.o.Network.Listen(rpc.ProtoMirror), kick: make(chan struct{}, 1),
		served: map[*reporter]struct{}{}, peers: map[honeyant.NodeID]*peer{}, news: make(chan struct{}),
	}
	p.mirror.init(n)
	return p
}

func (p *progress) start() {
	p.work.Go(p.accept)
	p.work.Go(p.watchMembers)
}

// stop ends all connections and waits. The node's context is done already.
func (p *progress) stop() {
	_ = p.listen.Close() // nothing to lose
	p.mu.Lock()
	for r := range p.served {
		_ = r.conn.Close()
	}
	p.mu.Unlock()
	p.work.Wait()
}

// accept serves reports to whoever connects: rpc has let only members in.
func (p *progress) accept() {
	for {
		c, err := p.listen.Accept()
		if err != nil {
			return
		}
		r := &reporter{p: p, conn: c, advanced: make(chan struct{}, 1)}
		p.mu.Lock()
		if p.n.ctx.Err() != nil {
			p.mu.Unlock()
			_ = c.Close()
			return
		}
		p.served[r] = struct{}{}
		p.mu.Unlock()
		p.work.Go(r.serve)
	}
}

// stored tells those who want to know that entries became durable.
func (p *progress) stored() {
	if p.eager.Load() == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for r := range p.served {
		if r.eager.Load() {
			select {
			case r.advanced <- struct{}{}:
			default:
			}
		}
	}
}

// reporter serves one connection from a leader.
type reporter struct {
	p        *progress
	conn     rpc.Conn
	advanced chan struct{}
	eager    atomic.Bool
	asked    atomic.Uint64
	write    sync.Mutex // one report at a time
}

func (r *reporter) serve() {
	if r.p.n.greet(r.conn) != nil {
		_ = r.conn.Close()
		r.p.forget(r)
		return
	}
	ended := make(chan struct{})
	var reports sync.WaitGroup
	reports.Go(func() { r.reportAlways(ended) })
	var b [requestBytes]byte
	for {
		if _, err := io.ReadFull(r.conn, b[:]); err != nil {
			break
		}
		if was := r.eager.Swap(b[0]&requestEager != 0); was != r.eager.Load() {
			if was {
				r.p.eager.Add(-1)
			} else {
				r.p.eager.Add(1)
			}
		}
		r.asked.Store(binary.BigEndian.Uint64(b[1:]))
		if r.report() != nil {
			break
		}
	}
	close(ended)
	_ = r.conn.Close()
	reports.Wait()
	if r.eager.Load() {
		r.p.eager.Add(-1)
	}
	r.p.forget(r)
}

func (p *progress) forget(r *reporter) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.served, r)
}

// reportAlways reports every Timings.Progress, and each advance if that is wanted.
func (r *reporter) reportAlways(ended <-chan struct{}) {
	tick := time.NewTicker(r.p.n.o.Timings.Progress)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-r.advanced:
		case <-ended:
			return
		}
		if r.report() != nil {
			_ = r.conn.Close()
			return
		}
	}
}

func (r *reporter) report() error {
	r.write.Lock()
	defer r.write.Unlock()
	// What was asked is read before the term: the term must not be older than the question.
	rep := report{asked: r.asked.Load()}
	rep.term, rep.applied = r.p.n.raft.CurrentTerm(), r.p.n.raft.AppliedIndex()
	rep.last, rep.lastTerm = r.p.n.log.durable()
	if err := r.conn.SetWriteDeadline(time.Now().Add(r.p.n.o.Timings.Network)); err != nil {
		return err
	}
	_, err := r.conn.Write(rep.encode())
	return err
}

// leading is told when this node begins or ceases to lead.
func (p *progress) leading(is bool, term uint64) {
	p.mu.Lock()
	if p.term = 0; is {
		p.term = term
	}
	p.mu.Unlock()
	p.mirror.leading(is, term)
	p.membersChanged()
}

func (p *progress) membersChanged() {
	select {
	case p.kick <- struct{}{}:
	default:
	}
}

// watchMembers keeps a connection to each member while this node leads.
func (p *progress) watchMembers() {
	tick := time.NewTicker(p.n.o.Timings.Progress)
	defer tick.Stop()
	for p.n.ctx.Err() == nil {
		p.adjust()
		p.mirror.checkSilence()
		select {
		case <-p.kick:
		case <-tick.C:
		case <-p.n.ctx.Done():
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, peer := range p.peers {
		peer.cancel()
	}
}

func (p *progress) adjust() {
	p.mu.Lock()
	defer p.mu.Unlock()
	want := map[honeyant.NodeID]bool{}
	if p.term != 0 {
		for _, s := range p.n.raft.GetConfiguration().Configuration().Servers {
			if id := nodeOf(s.ID); id != p.n.o.Self {
				want[id] = true
			}
		}
	}
	for id, peer := range p.peers {
		if !want[id] || peer.term != p.term {
			peer.cancel()
			delete(p.peers, id)
		}
	}
	for id := range want {
		if p.peers[id] == nil {
			peer := &peer{p: p, id: id, term: p.term, ask: make(chan struct{}, 1)}
			peer.ctx, peer.cancel = context.WithCancel(p.n.ctx)
			p.peers[id] = peer
			p.work.Go(peer.run)
		}
	}
}

// peer is what a leader knows of another member during one term.
type peer struct {
	p      *progress
	id     honeyant.NodeID
	term   uint64
	ctx    context.Context
	cancel context.CancelFunc
	ask    chan struct{} // holds one token when a request is due

	// guarded by p.mu
	got      report
	at       time.Time // of got; zero before the first
	commit   uint64    // of this node when got came
	caughtUp bool
}

// run keeps a connection and collects what it brings.
func (q *peer) run() {
	for q.ctx.Err() == nil {
		if c, err := q.dial(); err == nil {
			q.collect(c)
		}
		retry := time.NewTimer(dialRetry)
		select {
		case <-retry.C:
		case <-q.ctx.Done():
		}
		retry.Stop()
	}
}

func (q *peer) dial() (rpc.Conn, error) {
	ctx, cancel := context.WithTimeout(q.ctx, q.p.n.o.Timings.Network)
	defer cancel()
	return q.p.n.dialNode(ctx, q.id, rpc.ProtoMirror)
}

func (q *peer) collect(c rpc.Conn) {
	ended := make(chan struct{})
	var asking sync.WaitGroup
	asking.Go(func() { q.request(c, ended) })
	q.poke()
	var b [reportBytes]byte
	for {
		// A member that says nothing for so long is asked over a new connection.
		if err := c.SetReadDeadline(time.Now().Add(q.p.n.o.Timings.Network + 2*q.p.n.o.Timings.Progress)); err != nil {
			break
		}
		if _, err := io.ReadFull(c, b[:]); err != nil {
			break
		}
		q.heard(decodeReport(b[:]))
	}
	close(ended)
	asking.Wait()
}

// request sends a request whenever one is due, and closes c at the end.
func (q *peer) request(c rpc.Conn, ended <-chan struct{}) {
	defer c.Close()
	for {
		select {
		case <-q.ask:
		case <-ended:
			return
		case <-q.ctx.Done():
			return
		}
		flags := byte(0)
		if q.p.mirror.node() == q.id {
			flags = requestEager
		}
		b := binary.BigEndian.AppendUint64([]byte{flags}, q.p.asking.Load())
		if c.SetWriteDeadline(time.Now().Add(q.p.n.o.Timings.Network)) != nil {
			return
		}
		if _, err := c.Write(b); err != nil {
			return
		}
	}
}

func (q *peer) poke() {
	select {
	case q.ask <- struct{}{}:
	default:
	}
}

func (q *peer) heard(r report) {
	p := q.p
	commit := p.n.raft.CommitIndex()
	p.mu.Lock()
	if p.peers[q.id] != q {
		p.mu.Unlock()
		return
	}
	q.caughtUp = r.lastTerm == q.term && !q.at.IsZero() && r.last >= q.commit
	q.got, q.at, q.commit = r, time.Now(), commit
	close(p.news)
	p.news = make(chan struct{})
	p.mu.Unlock()
	p.mirror.heard(q.id, r, commit)
}

// confirmHedge is how long the members asked first have before the others are asked too.
const confirmHedge = 3 * time.Millisecond

// confirm returns nil when a majority of the voters has told, after the call began, that
// it is in the same term as this node, which leads it: then nobody can have become leader
// of a later one before the call began, for that takes a voter of every majority (C8).
// Only as many voters are asked as a majority needs, those first that were heard last; the
// others follow when these are slow.
func (n *Node) confirm(ctx context.Context) error {
	const op = "consensus.Verify"
	p := n.progress
	term := n.raft.CurrentTerm()
	if !n.IsLeader() {
		return honeyant.E(op, honeyant.NotLeader, "", nil)
	}
	var voters []honeyant.NodeID
	for _, s := range n.raft.GetConfiguration().Configuration().Servers {
		if s.Suffrage == hraft.Voter {
			voters = append(voters, nodeOf(s.ID))
		}
	}
	question := p.asking.Add(1)
	rest := p.ask(voters, len(voters)/2, term)
	hedge := time.NewTimer(confirmHedge)
	defer hedge.Stop()
	for {
		yes, news, lost := p.answers(voters, question, term)
		if lost || n.raft.CurrentTerm() != term || !n.IsLeader() {
			return honeyant.E(op, honeyant.NotLeader, "", nil)
		}
		if yes > len(voters)/2 {
			return nil
		}
		select {
		case <-news:
		case <-hedge.C:
			for _, q := range rest {
				q.poke()
			}
		case <-ctx.Done():
			return honeyant.E(op, honeyant.Unavailable, "", context.Cause(ctx))
		}
	}
}

// ask pokes the first count voters that can be asked, and answers the others.
func (p *progress) ask(voters []honeyant.NodeID, count int, term uint64) (rest []*peer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var able []*peer
	for _, id := range voters {
		if q := p.peers[id]; id != p.n.o.Self && q != nil && q.term == term {
			able = append(able, q)
		}
	}
	// Whom a report came from lately answers soon; the order is otherwise kept, so that the
	// same connection stays warm.
	slow := time.Now().Add(-2 * p.n.o.Timings.Progress)
	slices.SortStableFunc(able, func(a, b *peer) int {
		switch late := a.at.Before(slow); {
		case late == b.at.Before(slow):
			return 0
		case late:
			return 1
		}
		return -1
	})
	for _, q := range able[:min(count, len(able))] {
		q.poke()
	}
	return able[min(count, len(able)):]
}

// answers counts the voters that answered question in term, this node included; lost tells
// that one is in a later term.
func (p *progress) answers(voters []honeyant.NodeID, question, term uint64) (yes int, news chan struct{}, lost bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, id := range voters {
		q := p.peers[id]
		switch {
		case id == p.n.o.Self:
			yes++
		case q == nil || q.term != term:
		case q.got.term > term:
			lost = true
		case q.got.asked >= question && q.got.term == term:
			yes++
		}
	}
	return yes, p.news, lost
}
