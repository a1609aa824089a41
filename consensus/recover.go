package consensus

import (
	"errors"
	"fmt"

	hraft "github.com/hashicorp/raft"

	"github.com/honeyant/honeyant"
)

// ForceSingle makes the node whose directory Options names the only voter, with all of its
// log taken as committed: the way out when the other voters are lost for good (rule 3). From now
// on it is of the given incarnation, which is higher than any the cluster had: the others are
// refused and stop when they meet it (rule 4). The node must not be running; Options needs Dir,
// Self, FSM and, if the node has them, FS and Log. Interrupted, it can be repeated. NotExist if
// there is no log to go on from.
func ForceSingle(o Options, incarnation uint64) error {
	return offline("consensus.ForceSingle", o, func(n *Node) error { return n.forceSingle(incarnation) })
}

// offline does work on what is in Options.Dir of a node that is not running; it closes it before it returns.
func offline(op string, o Options, work func(*Node) error) error {
	if err := o.check(); err != nil {
		return err
	}
	n := &Node{o: o}
	var broken error
	n.halted = func(err error) { broken = errors.Join(broken, err) }
	if err := n.openStores(); err != nil {
		return honeyant.E(op, honeyant.Other, o.Dir, err)
	}
	err := work(n)
	if broken != nil {
		err = broken // raft goes on after what the state machine refuses
	}
	if err = errors.Join(err, n.log.close()); err != nil {
		return honeyant.E(op, honeyant.Other, o.Dir, err)
	}
	return nil
}

func (n *Node) forceSingle(incarnation uint64) error {
	some, err := hraft.HasExistingState(n.log, n.log, n.snapshots)
	if err != nil {
		return err
	}
	last, _ := n.log.durable()
	if !some || last == 0 && n.snapshots.current() == nil {
		return honeyant.E("consensus.ForceSingle", honeyant.NotExist, n.o.Dir, errors.New("this node has no log"))
	}
	if n.Incarnation() > incarnation {
		return honeyant.E("consensus.ForceSingle", honeyant.Invalid, n.o.Dir, fmt.Errorf("incarnation %d is not above %d", incarnation, n.Incarnation()))
	}
	// The number comes first: a node that is alone with its log must never pass for one of the others.
	if err := n.incarnation.raise(incarnation); err != nil {
		return err
	}
	return hraft.RecoverCluster(n.config(nil), n.fsm, n.log, n.log, n.snapshots, nil, n.single())
}

// StoredIncarnation reads the incarnation of the node whose directory Options names and which is not
// running; 0 if it has none.
func StoredIncarnation(o Options) (uint64, error) {
	const op = "consensus.StoredIncarnation"
	if err := o.check(); err != nil {
		return 0, err
	}
	n := &Node{o: o}
	n.halted = func(error) {}
	if err := makeDir(o.FS, o.Dir); err != nil {
		return 0, honeyant.E(op, honeyant.Other, o.Dir, err)
	}
	var err error
	if n.log, err = openLogStore(o.FS.PathJoin(o.Dir, logDir), &n.o, n.halt); err != nil {
		return 0, honeyant.E(op, honeyant.Other, o.Dir, err)
	}
	err = n.incarnation.load(n.log)
	return n.Incarnation(), errors.Join(err, n.log.close())
}
