package consensus

import (
	"errors"
	"fmt"
	"io/fs"

	hraft "github.com/hashicorp/raft"

	"github.com/honeyant/honeyant"
)

// Restore begins a log in the directory that Options names, which must not be there, behind the state that
// Options.FSM holds: this node is the only voter of the given incarnation, and whoever joins it gets that state as a
// snapshot first. The node must not be running. Exist if there is such a directory already.
//
// The order, so that no half of it can be started (C11): the log with this node as its only voter, the incarnation, and
// the snapshot are made beside, each durable before the next; the log's directory gets its name by one
// rename; the directory above is synced. Interrupted before the rename, it can be repeated; after it, it is done.
func Restore(o Options, incarnation uint64) error {
	const op = "consensus.Restore"
	if err := o.check(); err != nil {
		return err
	}
	switch _, err := o.FS.Stat(o.Dir); {
	case err == nil:
		return honeyant.E(op, honeyant.Exist, o.Dir, errors.New("this node has a log"))
	case !errors.Is(err, fs.ErrNotExist):
		return honeyant.E(op, honeyant.Internal, o.Dir, err)
	}
	beside := o
	beside.Dir = o.Dir + ".restoring"
	if err := o.FS.RemoveAll(beside.Dir); err != nil { // of one that was interrupted
		return honeyant.E(op, honeyant.Internal, beside.Dir, err)
	}
	err := offline(op, beside, func(n *Node) error {
		if err := hraft.BootstrapCluster(n.config(nil), n.log, n.log, n.snapshots, nil, n.single()); err != nil {
			return err
		}
		return n.forceSingle(incarnation)
	})
	if err != nil {
		return err
	}
	if err := errors.Join(o.FS.Rename(beside.Dir, o.Dir), syncDir(o.FS, o.FS.PathDir(o.Dir))); err != nil {
		return honeyant.E(op, honeyant.Internal, o.Dir, fmt.Errorf("take the new log: %w", err))
	}
	return nil
}

// single is the configuration of a cluster of which this node is the only voter.
func (n *Node) single() hraft.Configuration {
	return hraft.Configuration{Servers: []hraft.Server{{
		Suffrage: hraft.Voter, ID: serverID(n.o.Self), Address: serverAddress(n.o.Self),
	}}}
}
