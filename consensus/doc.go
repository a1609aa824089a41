// Package consensus replicates a log of commands over the voters of a cluster and applies
// it to a StateMachine on each of them, learners included. It carries bytes and does not
// know what they mean. hashicorp/raft is inside and stays inside: no type of it is exported.
//
// On disk (doc/format/raft.md) a node has a log and its stable values in one Pebble with a
// synced write-ahead log, and one snapshot, which is a checkpoint of the state machine made
// of hard links.
//
// Invariants:
//
//	C1  A command is applied at most once, in log order, by one goroutine. Entries at or
//	    below StateMachine.AppliedIndex are skipped when the log is replayed. [1] [2]
//	C2  A snapshot is published only when the state in it is durable; a node whose state is
//	    older than its snapshot restores that snapshot before it takes part. [2]
//	C3  The first error of the state machine, the log or the stable store halts this node's
//	    part in consensus for good: nothing is skipped, nothing is retried. [9]
//	C4  With a mirror in sync no command is applied on the leader, and so none answered or
//	    readable, before the mirror has reported it durable; after MirrorSilence without
//	    progress the leader goes solo and says so. [3]
//	C5  Memory and disk are bounded by bytes, not entries: the entry cache, the log between
//	    snapshots, the log behind a snapshot. [29]
//	C6  Entries that a follower needs after the snapshot it is installing are kept. [29]
//	C7  Interrupted at any step, a snapshot's persistence or installation leaves the old one
//	    or the new one whole. [30]
//	C8  Verify says yes only if a majority of the voters confirmed, after the call began,
//	    that they know of no later term. [39]
//	C9  Every wait ends: by its context, a named deadline, Close or the halt.
//	C10 Nodes of different incarnations exchange nothing but that fact; the one behind halts for
//	    good and says so. A node without an incarnation takes, durably and before anything
//	    else, that of the first it meets. A leader alone waits for its mirror from its start. [4]
//	C11 A log that begins behind a restored state is there whole, with the snapshot of that
//	    state, or not at all: a node without one has no part in consensus. [2] [6]
package consensus
