package consensus

import (
	"sync"
	"time"

	hraft "github.com/hashicorp/raft"

	"github.com/honeyant/honeyant"
)

// mirror is the leader's side of rule 3: with two nodes nothing takes effect before the
// learner has it on stable storage.
//
//	off -> (SetMirror, or leading again) waiting -> inSync -> (silence) solo -> joining -> inSync
//
// In waiting, joining and inSync the gate is shut for entries that the mirror does not
// hold; in waiting and joining the mirror has not yet told that it holds all before.
type mirror struct {
	n *Node

	mu      sync.Mutex // guards all below
	id      honeyant.NodeID
	term    uint64 // in which this node leads, 0 if it does not
	state   mirrorState
	since   time.Time // of the newest change of what MirrorState tells
	got     report
	heardAt time.Time
	barrier uint64        // joining: in sync when the mirror holds this entry
	commit  uint64        // of this node at the report before
	moved   chan struct{} // closed and made anew when the gate may open
}

type mirrorState uint8

const (
	mirrorOff mirrorState = iota
	mirrorWaiting
	mirrorSolo
	mirrorJoining
	mirrorInSync
)

func (m *mirror) init(n *Node) {
	m.n, m.moved, m.since = n, make(chan struct{}), time.Now()
}

// SetMirror makes every command wait for the durable log of a learner, 0: of nobody. A
// mirror that is not in sync within Timings.MirrorSilence lets the leader go solo. To be
// told again after each start, before the node leads if possible; the same ID twice changes
// nothing.
func (n *Node) SetMirror(id honeyant.NodeID) {
	m := &n.progress.mirror
	m.mu.Lock()
	if m.id != id {
		m.id, m.got = id, report{}
		m.resetLocked()
	}
	m.mu.Unlock()
	n.progress.membersChanged()
	n.progress.pokeAll()
}

// MirrorState tells whether the mirror holds everything that took effect, and since when
// that is so or not so. Without a mirror it is not in sync.
func (n *Node) MirrorState() (inSync bool, since time.Time) {
	m := &n.progress.mirror
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.state == mirrorInSync, m.since
}

func (m *mirror) node() honeyant.NodeID {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.id
}

func (p *progress) pokeAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, q := range p.peers {
		q.poke()
	}
}

func (m *mirror) resetLocked() {
	m.state = mirrorWaiting
	if m.id == 0 {
		m.state = mirrorOff
	}
	now := time.Now()
	m.since, m.heardAt = now, now
	m.wakeLocked()
}

func (m *mirror) wakeLocked() {
	close(m.moved)
	m.moved = make(chan struct{})
}

func (m *mirror) leading(is bool, term uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.term = 0; is {
		m.term = term
		if m.id == 0 {
			// Until somebody says otherwise: what this leader answers first after a start must not be on
			// one machine only, because the other may have been promoted meanwhile.
			m.id = m.n.onlyMirror()
		}
	}
	m.resetLocked()
}

// onlyMirror is the learner of a configuration with one voter, the one with the lowest ID, 0 if there is none.
func (n *Node) onlyMirror() honeyant.NodeID {
	var members []Member
	for _, s := range n.raft.GetConfiguration().Configuration().Servers {
		m := Member{Node: nodeOf(s.ID), Role: honeyant.RoleLearner}
		if s.Suffrage == hraft.Voter {
			m.Role = honeyant.RoleVoter
		}
		members = append(members, m)
	}
	return Mirror(View{Members: members}, 0)
}

// holdsLocked tells whether the mirror has the entry on stable storage. Its last entry being of
// this term, all entries before it are the same as here (raft's log matching property).
func (m *mirror) holdsLocked(index uint64) bool {
	return m.got.lastTerm == m.term && m.got.last >= index
}

// heard takes in a report of a member.
func (m *mirror) heard(id honeyant.NodeID, r report, commit uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if id != m.id || m.term == 0 {
		return
	}
	m.got, m.heardAt = r, time.Now()
	switch m.state {
	case mirrorWaiting:
		if m.holdsLocked(commit) {
			m.enterLocked(mirrorInSync)
		}
	case mirrorSolo:
		if m.commit != 0 && m.holdsLocked(m.commit) { // it keeps up
			m.barrier = m.n.raft.LastIndex()
			m.enterLocked(mirrorJoining)
		}
	case mirrorJoining:
		if m.holdsLocked(m.barrier) {
			m.enterLocked(mirrorInSync)
		}
	}
	m.commit = commit
	m.wakeLocked()
}

// enterLocked changes the state and lets OnMirror know if that changes what it tells.
func (m *mirror) enterLocked(s mirrorState) {
	was := m.state
	m.state = s
	if (was == mirrorInSync) != (s == mirrorInSync) || s == mirrorSolo {
		m.since = time.Now()
	}
	if f := m.n.o.Events.OnMirror; f != nil && (s == mirrorInSync || s == mirrorSolo && was != mirrorJoining) {
		inSync := s == mirrorInSync
		m.n.events.add(func() { f(inSync) })
	}
	m.wakeLocked()
}

// checkSilence goes solo when the mirror has said nothing for too long.
func (m *mirror) checkSilence() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.checkLocked(m.heardAt)
}

func (m *mirror) checkLocked(since time.Time) {
	if m.term == 0 || m.state == mirrorOff || m.state == mirrorSolo {
		return
	}
	if time.Since(since) >= m.n.o.Timings.MirrorSilence {
		m.commit = 0
		m.enterLocked(mirrorSolo)
	}
}

// gate returns when the entry may take effect on this node (C4).
func (n *Node) gate(index uint64) {
	if n.progress == nil { // a node that does not run
		return
	}
	m := &n.progress.mirror
	if m.node() == 0 {
		return
	}
	<-n.opened
	began := time.Now()
	for {
		m.mu.Lock()
		// raft may lead already while leading has not been told: then m.term is 0.
		shut := n.IsLeader() && m.state != mirrorOff && m.state != mirrorSolo && (m.term == 0 || !m.holdsLocked(index))
		if shut {
			m.checkLocked(began)
			shut = m.state != mirrorSolo
		}
		moved := m.moved
		m.mu.Unlock()
		if !shut {
			return
		}
		patience := time.NewTimer(n.o.Timings.MirrorSilence - time.Since(began))
		select {
		case <-moved:
		case <-patience.C:
		case <-n.ctx.Done():
			patience.Stop()
			return
		}
		patience.Stop()
	}
}
