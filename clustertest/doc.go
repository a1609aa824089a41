// Package clustertest runs a whole colony in one process: every node is a node.Node with all
// that belongs to it, on a network in memory (rpc/memnet) and disks in memory that know what
// is synced, in the fake time of a testing/synctest bubble. Links can be cut and delayed,
// nodes can be stopped, killed, lose power, one or all at the same moment, and start again;
// disks can be slow, full, or fail.
//
// Only the small files of a node's own directory (identity, configuration, map, markers) are
// real files; their crash safety is tested where they are written.
//
// Invariants:
//
//	T1  What was acknowledged by a node before it lost its power was acknowledged by what its
//	    disks hold afterwards: power goes off first, then the disks are copied.
//	T2  A node that died does nothing to the one that starts in its place: not its network,
//	    not its disks, not its directory are the same.
//	T3  Randomness comes from one seed, which is logged; HONEYANT_SEED sets it. Goroutines still run
//	    as the scheduler likes: a seed repeats the plan of a test, not each step.
package clustertest
