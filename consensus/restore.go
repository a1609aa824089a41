package consensus

import (
	"errors"

	hraft "github.com/hashicorp/raft"

	"github.com/honeyant/honeyant"
)

// Restore begins a log in the directory that Options names, which must have none, behind the state that
// Options.FSM holds: this node is the only voter of the given incarnation, and whoever joins it gets that state as a
// snapshot first. The node must not be running. Interrupted, the directory is to be removed before it is
// repeated. Exist if there is a log already.
func Restore(o Options, incarnation uint64) error {
	const op = "consensus.Restore"
	if err := o.check(); err != nil {
		return err
	}
	n := &Node{o: o}
	var broken error
	n.halted = func(err error) { broken = errors.Join(broken, err) }
	if err := n.openStores(); err != nil {
		return honeyant.E(op, honeyant.Other, o.Dir, err)
	}
	err := hraft.BootstrapCluster(n.config(nil), n.log, n.log, n.snapshots, nil, n.single())
	if errors.Is(err, hraft.ErrCantBootstrap) {
		err = honeyant.E(op, honeyant.Exist, o.Dir, errors.New("this node has a log"))
	}
	if err == nil {
		err = n.forceSingle(incarnation)
	}
	if broken != nil {
		err = broken
	}
	if err = errors.Join(err, n.log.close()); err != nil {
		return honeyant.E(op, honeyant.Other, o.Dir, err)
	}
	return nil
}

// single is the configuration of a cluster of which this node is the only voter.
func (n *Node) single() hraft.Configuration {
	return hraft.Configuration{Servers: []hraft.Server{{
		Suffrage: hraft.Voter, ID: serverID(n.o.Self), Address: serverAddress(n.o.Self),
	}}}
}
