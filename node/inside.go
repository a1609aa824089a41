package node

import (
	"context"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/admin"
	"github.com/honeyant/honeyant/volume"
)

// What the command socket and the mounts give to other processes, for those in this one.

// Self is this node's ID.
func (n *Node) Self() honeyant.NodeID { return n.identity.Self() }

// Map is the newest map of the colony that this node knows, nil before the first. Never change it.
func (n *Node) Map() *honeyant.Map { return n.agent.Map() }

// Leads tells whether this node leads the metadata, as far as it knows.
func (n *Node) Leads() bool {
	_, ok := n.leader.Epoch()
	return ok
}

// Volume is the volume that all mounts of this node share; Close ends it. Kinds: Unavailable
// while no leader is found.
func (n *Node) Volume(ctx context.Context) (*volume.Volume, error) { return n.mounts.use(ctx) }

// Command runs a command of the socket; params and result are Go values of what it takes and
// answers, result may be nil. Kind Unsupported if there is no such command.
func (n *Node) Command(ctx context.Context, name string, params, result any) error {
	local, _ := n.commands()
	method, ok := local[name]
	if !ok {
		return honeyant.E("node.Command", honeyant.Unsupported, name, nil)
	}
	if params == nil {
		params = admin.None{}
	}
	return callMethod(ctx, method, params, result)
}
