// Package placement decides which stores hold a chunk's copies. It is pure: a map, a policy
// and a source of randomness in, stores out; it measures nothing and moves nothing.
//
// Invariants:
//
//	L1  Copies of one chunk are on different nodes.
//	L2  Only active stores on nodes that are up and with room for the chunk are chosen.
//	L3  Over many chunks unlike stores fill in proportion to what they have available, as far
//	    as L1 allows: a node's chance is exactly n x its share, at most 1. Then all space that
//	    n copies on different nodes can use is used, and Usable tells how much that is [26].
//	L4  Policy pinned never leaves its stores; policy local puts a copy on the writer's node
//	    whenever L2 allows, as the first.
package placement
