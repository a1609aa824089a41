package node

import (
	"context"
	"fmt"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/consensus"
	"github.com/honeyant/honeyant/internal/worker"
	"github.com/honeyant/honeyant/meta"
)

// voterStep bounds one change of the membership.
const voterStep = 30 * time.Second

// arranger remembers between steps of the voters job what consensus.NextStep needs to know.
type arranger struct {
	n       *Node
	shape   string // members and roles when last looked at
	changed time.Time
	mirror  honeyant.NodeID
}

// step is the job that keeps the quorum as the colony wants it (rules 3, 31): one change at a time.
func (a *arranger) step(ctx context.Context, p *worker.Pace) (bool, error) {
	n := a.n
	if err := n.commitRoles(ctx); err != nil {
		return false, err
	}
	m := n.tracker.Map()
	members, err := n.quorum.Members()
	if err != nil || m == nil {
		return false, err
	}
	if shape := shapeOf(members); shape != a.shape {
		a.shape, a.changed = shape, time.Now()
	}
	view := consensus.View{Self: n.identity.Self(), Members: members, Nodes: candidates(m), SinceChange: time.Since(a.changed)}
	a.mirror = consensus.Mirror(view, a.mirror)
	n.quorum.SetMirror(a.mirror)
	next := consensus.NextStep(view)
	p.Progress(next.Why, 0, 0)
	if next.Kind == consensus.StepNone {
		return false, nil
	}
	n.log.Info("the metadata quorum changes", "step", next.Kind, "node", next.Node, "why", next.Why)
	ctx, cancel := context.WithTimeout(ctx, voterStep)
	defer cancel()
	do := map[consensus.StepKind]func(context.Context, honeyant.NodeID) error{
		consensus.StepAddLearner: n.quorum.AddLearner, consensus.StepPromote: n.quorum.Promote,
		consensus.StepDemote: n.quorum.Demote, consensus.StepRemove: n.quorum.Remove,
		consensus.StepTransfer: func(ctx context.Context, _ honeyant.NodeID) error { return n.quorum.TransferLeadership(ctx) },
	}[next.Kind]
	if err := do(ctx, next.Node); err != nil {
		return false, err
	}
	return true, n.commitRoles(ctx)
}

// mayLock tells whether a node can be locked out at once. Without it the voters that answer must be a majority of the
// present configuration: with fewer they could not even commit that the node votes no more (rule 31). Those that were
// locked out before do not count, though they may have answered a moment ago.
func mayLock(members []consensus.Member, committed *honeyant.Map, id honeyant.NodeID) error {
	voters, rest, votes := 0, 0, false
	for _, one := range members {
		if one.Role != honeyant.RoleVoter {
			continue
		}
		voters++
		if one.Node == id {
			votes = true
		} else if known, ok := committed.Node(one.Node); ok && known.State != honeyant.NodeRemoved && one.Healthy {
			rest++
		}
	}
	if votes && rest <= voters/2 {
		return honeyant.E("node.Remove", honeyant.Conflict, id.String(),
			fmt.Errorf("it keeps the metadata, and of the %d machines that do only %d others answer: without it the colony would stand still. Start those that are down, or remove them first", voters, rest))
	}
	return nil
}

// candidates are the nodes that may keep metadata: those with a store, unless these are too
// few for three voters. Machines that only mount come and go more often.
func candidates(m *honeyant.Map) []honeyant.Node {
	hasStore := map[honeyant.NodeID]bool{}
	for _, s := range m.Stores {
		if s.State != honeyant.StoreRemoved {
			hasStore[s.Node] = true
		}
	}
	var list []honeyant.Node
	live := 0
	for _, one := range m.Nodes {
		gone := one.State == honeyant.NodeOut || one.State == honeyant.NodeRemoved
		if hasStore[one.ID] || gone || one.Role != honeyant.RoleNone {
			list = append(list, one)
			if !gone {
				live++
			}
		}
	}
	if live < 3 {
		return m.Nodes
	}
	return list
}

func shapeOf(members []consensus.Member) string {
	s := ""
	for _, one := range members {
		s += fmt.Sprintf("%d:%s ", one.Node, one.Role)
	}
	return s
}

// commitRoles writes down in the member list who votes, as consensus knows it.
func (n *Node) commitRoles(ctx context.Context) error {
	m := n.tracker.Map()
	members, err := n.quorum.Members()
	if err != nil || m == nil {
		return err
	}
	roles := map[honeyant.NodeID]honeyant.Role{}
	for _, one := range members {
		roles[one.Node] = one.Role
	}
	changed := false
	for _, one := range m.Nodes {
		if one.State == honeyant.NodeRemoved || one.Role == roles[one.ID] {
			continue
		}
		one.Role = roles[one.ID]
		if _, err := meta.Do(ctx, n.leader.Direct(), &meta.UpdateNode{Node: one, Set: meta.SetNodeRole}); err != nil {
			return err
		}
		changed = true
	}
	if changed {
		n.tracker.Refresh()
	}
	return nil
}
