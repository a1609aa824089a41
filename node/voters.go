package node

import (
	"context"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/internal/worker"
	"github.com/honeyant/honeyant/meta"
)

// arrangeVoters is the job that keeps the quorum as the colony wants it: one step at a time.
func (n *Node) arrangeVoters(ctx context.Context, p *worker.Pace) (bool, error) {
	return false, n.commitRoles(ctx)
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
