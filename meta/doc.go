// Package meta is the metadata of a cluster: what names, inodes, extents, chunks, locks,
// sessions, nodes and policies are, and the operations that change them.
//
// An operation is a value (Op), one file each: its fields, its reply, and eval, a pure
// function of the state before (Tx) that yields the state after. The leader evaluates
// operations one after another over the database plus an overlay of what is not committed
// yet, gathers the changes of many into one batch, and proposes the batch to consensus;
// every replica applies bytes. So eval runs once, on one node, and needs no determinism
// across versions, but it has no clock, no I/O and no goroutines: time and liveness come
// in through Tx.
//
// Parts: Op and Tx (op.go, tx.go), keys (keys.go) and records (records.go), one file per
// operation, State (what every replica runs), Leader (evaluation and group commit).
// meta/remote carries operations from a session to the leader; meta/metatest holds the
// reference model.
//
// Lock order: pending.mu, tenure.reaping, State.apply, leaseTable.mu, State.mu. The
// tables of sessions and opens have locks of their own, under which nothing else is taken.
//
// Invariants (numbers of doc/invariants.md in brackets):
//
//	M1  A batch carries (epoch, seq); a replica applies only (current epoch, last seq+1),
//	    everything else is a no-op that returns Superseded. An epoch is the log index of its
//	    epoch-open. [1]
//	M2  No answer leaves before the batch it depends on is applied. [1]
//	M3  The applied index is part of the same database batch as its effects. [2]
//	M4  One record per (session, slot): the same seq gets the stored reply, a higher one
//	    runs, a lower one is refused. [23]
//	M5  No op touches more than MaxTouched keys; what is larger is queued and done by a
//	    worker in slices. [24]
//	M6  A chunk's count is the number of extents that refer to it; at 0 it moves to the
//	    dead list, and only from there is it ever reclaimed. [13, 25]
//	M7  Extents of a data ID never overlap and never reach past what was committed.
//	M8  Parent times and link counts change in the same batch as the name. [27]
//	M9  Nothing an orphan needs is deleted before every live session has said in this epoch
//	    what it has open, nor while one has a lease on the orphan, or had when it fell silent. [22]
//	M10 An extent that a pending cut hides counts only below the inode's floor; whoever reads
//	    extents goes through scanVisible (doc/format/extents.md). [24]
//	M11 What can not be done within M5 and is the caller's to divide fails with OutOfRange and
//	    changes nothing; the caller asks for less at a time. [24]
//	M12 An answer leaves only when nobody remembers anything, under a lease, that a change which it shows has made
//	    wrong. [15, 17]
//	M13 Nothing is answered to anybody, nor changed, after a look at an inode that another session holds exclusively, or
//	    may hold since an earlier epoch. [17, 18, 19]
//	M14 An exclusive lease ends when it is returned, when its session is closed, or when its session's leases have lapsed
//	    and somebody wants it. No Flush is evaluated before its session has said what it holds. [14, 18]
package meta
