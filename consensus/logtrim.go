package consensus

import (
	"time"

	hraft "github.com/hashicorp/raft"
)

// trimRetry is how long a snapshot that could not be taken is not tried again.
const trimRetry = 10 * time.Second

// entriesStored is called by raft's main goroutine when entries became durable.
func (n *Node) entriesStored() {
	n.progress.stored()
	if _, grown, _ := n.log.size(); grown >= n.o.Limits.LogGrowth {
		select {
		case n.trim <- struct{}{}:
		default:
		}
	}
}

// watchLog takes a snapshot whenever the log has grown by LogGrowth bytes (C5).
func (n *Node) watchLog() {
	for {
		select {
		case <-n.trim:
		case <-n.ctx.Done():
			return
		}
		if _, grown, _ := n.log.size(); grown < n.o.Limits.LogGrowth {
			continue
		}
		if err := n.Snapshot(); err != nil {
			n.o.Log.Warn("no snapshot", "err", err)
			retry := time.NewTimer(trimRetry)
			select {
			case <-retry.C:
			case <-n.ctx.Done():
			}
			retry.Stop()
		}
	}
}

// Snapshot takes one now and trims the log behind it down to Limits.LogTrailing.
func (n *Node) Snapshot() error {
	bytes, _, entries := n.log.size()
	trailing := uint64(64)
	if bytes > 0 {
		trailing = max(1, uint64(float64(n.o.Limits.LogTrailing)/float64(bytes)*float64(entries)))
	}
	c := n.raft.ReloadableConfig()
	c.TrailingLogs = trailing
	if err := n.raft.ReloadConfig(c); err != nil {
		return raftError("consensus.Snapshot", err)
	}
	err := n.raft.Snapshot().Error()
	if err != nil && err != hraft.ErrNothingNewToSnapshot {
		return raftError("consensus.Snapshot", err)
	}
	n.log.snapshotTaken()
	return nil
}
