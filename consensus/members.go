package consensus

import (
	"context"
	"errors"
	"time"

	hraft "github.com/hashicorp/raft"

	"github.com/honeyant/honeyant"
)

// Member is a node of the configuration as the leader sees it. On other nodes only Node
// and Role are told.
type Member struct {
	Node        honeyant.NodeID
	Role        honeyant.Role
	Match       uint64    // newest log entry known to be on its stable storage
	Applied     uint64    // newest entry in its state
	LastContact time.Time // of its newest report; zero if there was none in this term
	Healthy     bool      // it reported within three times Timings.Progress, or is this node
	CaughtUp    bool      // it holds what was committed when it reported before
}

// Members lists the newest configuration, committed or not.
func (n *Node) Members() ([]Member, error) {
	future := n.raft.GetConfiguration()
	if err := future.Error(); err != nil {
		return nil, raftError("consensus.Members", err)
	}
	var list []Member
	n.progress.mu.Lock()
	defer n.progress.mu.Unlock()
	for _, s := range future.Configuration().Servers {
		m := Member{Node: nodeOf(s.ID), Role: honeyant.RoleLearner}
		if s.Suffrage == hraft.Voter {
			m.Role = honeyant.RoleVoter
		}
		if m.Node == n.o.Self {
			m.Match, _ = n.log.durable()
			m.Applied, m.LastContact, m.Healthy, m.CaughtUp = n.raft.AppliedIndex(), time.Now(), true, true
		} else if q := n.progress.peers[m.Node]; q != nil && !q.at.IsZero() {
			m.Match, m.Applied, m.LastContact = q.got.last, q.got.applied, q.at
			m.Healthy = time.Since(q.at) < 3*n.o.Timings.Progress
			m.CaughtUp = m.Healthy && q.caughtUp
		}
		list = append(list, m)
	}
	return list, nil
}

// CaughtUp tells the leader whether a member holds about all of the log.
func (n *Node) CaughtUp(id honeyant.NodeID) bool {
	list, err := n.Members()
	if err != nil {
		return false
	}
	for _, m := range list {
		if m.Node == id {
			return m.CaughtUp
		}
	}
	return false
}

// change waits until raft has committed a change of the configuration, at index.
func (n *Node) change(ctx context.Context, op string, id honeyant.NodeID, start func(wait time.Duration) hraft.IndexFuture) (index uint64, err error) {
	wait := n.o.Timings.Propose
	if deadline, ok := ctx.Deadline(); ok {
		wait = min(wait, max(time.Until(deadline), time.Millisecond))
	}
	future := start(wait)
	err = n.await(ctx, op, future)
	n.progress.membersChanged()
	switch {
	case err == nil:
		return future.Index(), nil
	case honeyant.KindOf(err) == honeyant.Internal: // raft refuses one that leaves no voter
		return 0, honeyant.E(op, honeyant.Conflict, id.String(), err)
	}
	return 0, err
}

// AddLearner makes a node copy the log. It returns when that is committed, not when the
// node has caught up; a member keeps its role. NotLeader, Conflict, Unavailable.
func (n *Node) AddLearner(ctx context.Context, id honeyant.NodeID) error {
	_, err := n.change(ctx, "consensus.AddLearner", id, func(wait time.Duration) hraft.IndexFuture {
		return n.raft.AddNonvoter(serverID(id), serverAddress(id), 0, wait)
	})
	return err
}

// Promote makes a learner a voter and waits until it knows: until then it would vote for
// nobody, and losing one of the other voters could leave no majority. Conflict if it is no
// learner that has caught up.
func (n *Node) Promote(ctx context.Context, id honeyant.NodeID) error {
	const op = "consensus.Promote"
	list, err := n.Members()
	if err != nil {
		return err
	}
	for _, m := range list {
		if m.Node != id {
			continue
		}
		if m.Role == honeyant.RoleVoter {
			return nil
		}
		if !m.CaughtUp {
			return honeyant.E(op, honeyant.Conflict, id.String(), errors.New("has not caught up"))
		}
		index, err := n.change(ctx, op, id, func(wait time.Duration) hraft.IndexFuture {
			return n.raft.AddVoter(serverID(id), serverAddress(id), 0, wait)
		})
		if err != nil {
			return err
		}
		return n.holds(ctx, id, index)
	}
	return honeyant.E(op, honeyant.NotExist, id.String(), errors.New("no member"))
}

// holds waits until a member has reported to hold the log up to index.
func (n *Node) holds(ctx context.Context, id honeyant.NodeID, index uint64) error {
	p := n.progress
	ctx, cancel := context.WithTimeout(ctx, n.o.Timings.Propose)
	defer cancel()
	for {
		p.mu.Lock()
		q, news := p.peers[id], p.news
		if q != nil && q.got.last >= index && q.got.lastTerm == q.term {
			p.mu.Unlock()
			return nil
		}
		p.mu.Unlock()
		select {
		case <-news:
		case <-ctx.Done():
			return honeyant.E("consensus.Members", honeyant.Unavailable, id.String(), errors.New("the change is committed, but the node has not told that it knows"))
		case <-n.ctx.Done():
			return honeyant.E("consensus.Members", honeyant.Unavailable, "", context.Cause(n.ctx))
		}
	}
}

// Demote makes a voter a learner again.
func (n *Node) Demote(ctx context.Context, id honeyant.NodeID) error {
	_, err := n.change(ctx, "consensus.Demote", id, func(wait time.Duration) hraft.IndexFuture {
		return n.raft.DemoteVoter(serverID(id), 0, wait)
	})
	return err
}

// Remove takes a node out of the configuration.
func (n *Node) Remove(ctx context.Context, id honeyant.NodeID) error {
	_, err := n.change(ctx, "consensus.Remove", id, func(wait time.Duration) hraft.IndexFuture {
		return n.raft.RemoveServer(serverID(id), 0, wait)
	})
	return err
}

// Stats are figures for status and metrics; bytes and counts.
type Stats struct {
	Term, Commit, Applied, LastIndex, FirstIndex uint64
	SnapshotIndex                                uint64
	SnapshotBytes                                int64
	LogBytes                                     int64 // about
	LogGrownBytes                                int64 // since the last snapshot
	Leader                                       honeyant.NodeID
	Role                                         string // "leader", "follower", "candidate" or "shutdown"
	// MayLose is how many voters may fail from here on with a majority left (rule 31).
	MayLose int
}

// Stats tells how the node stands.
func (n *Node) Stats() Stats {
	s := Stats{Term: n.raft.CurrentTerm(), Commit: n.raft.CommitIndex(), Applied: n.raft.AppliedIndex()}
	s.FirstIndex, _ = n.log.FirstIndex()
	s.LastIndex, _ = n.log.LastIndex()
	s.LogBytes, s.LogGrownBytes, _ = n.log.size()
	s.Leader, _ = n.Leader()
	if snap := n.snapshots.current(); snap != nil {
		s.SnapshotIndex, s.SnapshotBytes = snap.index, snap.size
	}
	voters, healthy := 0, 0
	if list, err := n.Members(); err == nil {
		for _, m := range list {
			if m.Role == honeyant.RoleVoter {
				voters++
				if m.Healthy {
					healthy++
				}
			}
		}
	}
	if voters > 0 {
		s.MayLose = max(0, healthy-(voters/2+1))
	}
	switch n.raft.State() {
	case hraft.Leader:
		s.Role = "leader"
	case hraft.Candidate:
		s.Role = "candidate"
	case hraft.Shutdown:
		s.Role = "shutdown"
	default:
		s.Role = "follower"
	}
	return s
}
