package consensus

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/honeyant/honeyant"
)

// View is what the leader bases the next change of the membership on.
type View struct {
	Self    honeyant.NodeID // the leader
	Members []Member        // as Node.Members tells
	Nodes   []honeyant.Node // all nodes of the cluster that may keep metadata
	Voters  int             // wanted where there are enough nodes: 3 (if 0) or 5
	// SinceChange is how long the configuration has been as it is.
	SinceChange time.Duration
}

// StepKind is what to do with a node.
type StepKind uint8

// The steps. StepNone: all is well or nothing is safe to do now.
const (
	StepNone StepKind = iota
	StepAddLearner
	StepPromote
	StepDemote
	StepRemove
	StepTransfer // hand the leadership over: this node is to leave
)

func (k StepKind) String() string {
	return [...]string{"none", "add learner", "promote", "demote", "remove", "transfer"}[min(k, StepTransfer)]
}

// Step is one change of the membership and the reason for it in words.
type Step struct {
	Kind StepKind
	Node honeyant.NodeID
	Why  string
}

// transitionPatience is how long two voters may wait for the third (rule 31).
const transitionPatience = 10 * time.Second

// NextStep tells the next change towards the wanted shape: 1 node has 1 voter; 2 have a
// voter and a learner, its mirror; 3 or more have 3 voters, or 5 (rules 3 and 31). It is
// pure; do what it says, and ask again with a fresh view. A dead voter goes only when it is
// Out or Removed and its replacement is in; no step leaves less than a healthy majority.
func NextStep(v View) Step {
	p := newPlan(v)
	for _, rule := range []func() Step{p.leave, p.removeDeadLearner, p.addLearner, p.promote, p.removeDeadVoter, p.shrink, p.removeSurplus} {
		if s := rule(); s.Kind != StepNone {
			return s
		}
	}
	return Step{Why: p.idle}
}

// Mirror tells which member every command has to wait for: with a single voter its
// healthiest learner, present if it is still a learner; 0 if there is none.
func Mirror(v View, present honeyant.NodeID) honeyant.NodeID {
	voters, found := 0, honeyant.NodeID(0)
	for _, m := range v.Members {
		switch {
		case m.Role == honeyant.RoleVoter:
			voters++
		case m.Node == present:
			found = present
		case found == 0 || found != present && m.Node < found:
			found = m.Node
		}
	}
	if voters != 1 {
		return 0
	}
	return found
}

// plan is a view sorted out.
type plan struct {
	View
	nodes       map[honeyant.NodeID]honeyant.Node
	live        int // nodes that are neither Out nor Removed
	voters      []Member
	learners    []Member
	wantVoters  int
	wantMembers int
	deadVoters  []Member
	healthy     int // voters that are healthy and not dead
	idle        string
}

func newPlan(v View) *plan {
	p := &plan{View: v, nodes: map[honeyant.NodeID]honeyant.Node{}}
	for _, n := range v.Nodes {
		p.nodes[n.ID] = n
		if !gone(n) {
			p.live++
		}
	}
	switch {
	case p.live <= 2:
		p.wantVoters, p.wantMembers = 1, max(p.live, 1)
	case p.live >= 5 && v.Voters >= 5:
		p.wantVoters, p.wantMembers = 5, 5
	default:
		p.wantVoters, p.wantMembers = 3, 3
	}
	for _, m := range v.Members {
		if m.Role != honeyant.RoleVoter {
			p.learners = append(p.learners, m)
			continue
		}
		p.voters = append(p.voters, m)
		if p.dead(m) {
			p.deadVoters = append(p.deadVoters, m)
		} else if m.Healthy {
			p.healthy++
		}
	}
	return p
}

func gone(n honeyant.Node) bool {
	return n.State == honeyant.NodeOut || n.State == honeyant.NodeRemoved
}

// dead tells a member that will not come back by itself. One that is not in the list of
// nodes was removed long ago.
func (p *plan) dead(m Member) bool {
	n, ok := p.nodes[m.Node]
	return !ok || gone(n)
}

// majority tells whether so many healthy voters of so many are one.
func majority(healthy, voters int) bool { return healthy > voters/2 }

// leave hands the leadership over when this node itself is to go.
func (p *plan) leave() Step {
	for _, m := range p.deadVoters {
		if m.Node == p.Self && p.healthy > 0 {
			return Step{StepTransfer, p.Self, "this node leaves the cluster"}
		}
	}
	return Step{}
}

func (p *plan) removeDeadLearner() Step {
	for _, m := range p.learners {
		if p.dead(m) {
			return Step{StepRemove, m.Node, fmt.Sprintf("learner %v is gone", m.Node)}
		}
	}
	return Step{}
}

// addLearner brings in a node where members are wanted.
func (p *plan) addLearner() Step {
	alive := len(p.voters) - len(p.deadVoters) + len(p.learners)
	if alive >= p.wantMembers {
		return Step{}
	}
	zones := map[string]int{}
	member := map[honeyant.NodeID]bool{}
	for _, m := range p.Members {
		member[m.Node] = true
		if !p.dead(m) {
			zones[p.nodes[m.Node].Zone]++
		}
	}
	var candidates []honeyant.Node
	for _, n := range p.Nodes {
		if n.State == honeyant.NodeUp && !member[n.ID] {
			candidates = append(candidates, n)
		}
	}
	if len(candidates) == 0 {
		p.idle = "no node is there that could keep the metadata too"
		return Step{}
	}
	best := slices.MinFunc(candidates, func(a, b honeyant.Node) int {
		return cmp.Or(cmp.Compare(zones[a.Zone], zones[b.Zone]), cmp.Compare(a.ID, b.ID))
	})
	return Step{StepAddLearner, best.ID, fmt.Sprintf("%d of %d members", alive, p.wantMembers)}
}

// promote makes learners voters: from one voter only when two can follow back to back, and
// otherwise one at a time, if the larger configuration has a healthy majority.
func (p *plan) promote() Step {
	alive := len(p.voters) - len(p.deadVoters)
	if alive >= p.wantVoters || len(p.voters) > p.wantVoters {
		return Step{}
	}
	var ready []Member
	for _, m := range p.learners {
		if m.CaughtUp && m.Healthy && p.nodes[m.Node].State == honeyant.NodeUp {
			ready = append(ready, m)
		}
	}
	slices.SortFunc(ready, func(a, b Member) int { return cmp.Compare(a.Node, b.Node) })
	switch {
	case len(ready) == 0:
		p.idle = "waiting for a learner to catch up"
		if len(p.voters) == 2 && len(p.deadVoters) == 0 && p.SinceChange >= transitionPatience {
			return p.demoteOther("the third voter does not come")
		}
		return Step{}
	case len(p.voters) == 1 && len(ready) < 2:
		p.idle = "waiting for a second learner: two voters are more fragile than one"
		return Step{}
	case !majority(p.healthy+1, len(p.voters)+1):
		p.idle = "too few healthy voters to change their number"
		return Step{}
	}
	return Step{StepPromote, ready[0].Node, fmt.Sprintf("%d of %d voters", alive, p.wantVoters)}
}

// removeDeadVoter takes a dead voter out when its replacement is in, or none can be had.
func (p *plan) removeDeadVoter() Step {
	if len(p.deadVoters) == 0 {
		return Step{}
	}
	alive := len(p.voters) - len(p.deadVoters)
	if alive < p.wantVoters && len(p.voters) <= p.wantVoters {
		return Step{} // wait for the replacement
	}
	if !majority(p.healthy, len(p.voters)-1) {
		p.idle = "too few healthy voters to remove a dead one"
		return Step{}
	}
	for _, m := range p.deadVoters {
		if m.Node != p.Self {
			return Step{StepRemove, m.Node, fmt.Sprintf("voter %v is gone", m.Node)}
		}
	}
	return Step{}
}

// shrink makes surplus voters learners.
func (p *plan) shrink() Step {
	if len(p.deadVoters) > 0 || len(p.voters) <= p.wantVoters {
		return Step{}
	}
	return p.demoteOther(fmt.Sprintf("%d voters, %d are wanted", len(p.voters), p.wantVoters))
}

// demoteOther demotes an unhealthy voter first, else the one with the highest ID.
func (p *plan) demoteOther(why string) Step {
	var worst *Member
	for i := range p.voters {
		m := &p.voters[i]
		if m.Node == p.Self {
			continue
		}
		if worst == nil || worst.Healthy && !m.Healthy || worst.Healthy == m.Healthy && m.Node > worst.Node {
			worst = m
		}
	}
	if worst == nil {
		return Step{}
	}
	after := p.healthy
	if worst.Healthy {
		after--
	}
	if !majority(after, len(p.voters)-1) {
		p.idle = "too few healthy voters to demote one"
		return Step{}
	}
	return Step{StepDemote, worst.Node, why}
}

// removeSurplus takes out learners nobody waits for.
func (p *plan) removeSurplus() Step {
	alive := len(p.voters) - len(p.deadVoters)
	if alive+len(p.learners) <= p.wantMembers || alive < p.wantVoters {
		return Step{}
	}
	var worst *Member
	for i := range p.learners {
		m := &p.learners[i]
		if worst == nil || worst.Healthy && !m.Healthy || worst.Healthy == m.Healthy && m.Node > worst.Node {
			worst = m
		}
	}
	if worst == nil {
		return Step{}
	}
	return Step{StepRemove, worst.Node, "no more copies of the metadata are wanted"}
}
