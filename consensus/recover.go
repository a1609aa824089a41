package consensus

import (
	"errors"

	hraft "github.com/hashicorp/raft"

	"github.com/honeyant/honeyant"
)

// ForceSingle makes the node whose directory Options names the only voter, with all of its
// log taken as committed: the way out when the other voters are lost for good (rule 3). The
// node must not be running; Options needs Dir, Self, FSM and, if the node has them, FS and
// Log. The caller raises the incarnation before the node serves (rule 4). Interrupted, it
// can be repeated. NotExist if there is no log to go on from.
func ForceSingle(o Options) error {
	const op = "consensus.ForceSingle"
	if err := o.check(); err != nil {
		return err
	}
	n := &Node{o: o}
	var broken error
	n.halted = func(err error) { broken = errors.Join(broken, err) }
	if err := n.openStores(); err != nil {
		return honeyant.E(op, honeyant.Other, o.Dir, err)
	}
	err := n.forceSingle()
	if broken != nil {
		err = broken // raft goes on after what the state machine refuses
	}
	if err = errors.Join(err, n.log.close()); err != nil {
		return honeyant.E(op, honeyant.Other, o.Dir, err)
	}
	return nil
}

func (n *Node) forceSingle() error {
	some, err := hraft.HasExistingState(n.log, n.log, n.snapshots)
	if err != nil {
		return err
	}
	last, _ := n.log.durable()
	if !some || last == 0 && n.snapshots.current() == nil {
		return honeyant.E("consensus.ForceSingle", honeyant.NotExist, n.o.Dir, errors.New("this node has no log"))
	}
	single := hraft.Configuration{Servers: []hraft.Server{{
		Suffrage: hraft.Voter, ID: serverID(n.o.Self), Address: serverAddress(n.o.Self),
	}}}
	return hraft.RecoverCluster(n.config(nil), n.fsm, n.log, n.log, n.snapshots, nil, single)
}
