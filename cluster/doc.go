// Package cluster is who belongs to a cluster and who is alive: identities and certificates,
// join tokens, heartbeats, and the map that every node has of all others.
//
// A machine founds a cluster (Init, Identity.Found) or joins one (Join) and has an Identity
// from then on, which is its rpc.Credentials. Every node runs an Agent: it sends a heartbeat
// to the leader each second, gets the map back, keeps it, and answers control calls. Nodes
// that may lead also run a Tracker, which does the leader's part while it leads.
//
// The metadata (nodes, stores, tokens, the authority's key) are reached through meta.Doer;
// package node joins the parts and lets rpc recheck its connections on each new map.
//
// Invariants (numbers of doc/invariants.md in brackets):
//
//	C1  Only the hash of a token is kept, and a joiner talks only to the authority that its
//	    token pins.
//	C2  The authority's key leaves the replicated settings only into the memory of the
//	    leader that signs: joins and renewals are carried to it. On disk beside them it is
//	    only between init and founding. [33]
//	C3  Whom a node serves is decided by the member list, not by certificates alone; before
//	    the first map is known the certificate counts. A node whose map is older than the TTL
//	    says so by Fresh and serves no peer; heartbeats, raft and joins go on, so that a
//	    cluster in which everybody is stale can start. [33]
//	C4  Maps are ordered by (incarnation, epoch, version); a node never goes back. [4]
//	C5  Silence is counted on the leader's monotonic clock, from what it received; a new
//	    leader gives every node a full grace. A leader that can not prove its leadership
//	    answers no heartbeat. No wall clock decides who is in or up.
//	C6  Down is never committed; out and back are. Losing a map loses nothing.
//	C7  The same key always gets the same node ID: every step of a join can be repeated.
//
// No lock is held during a call, a callback or I/O. Agent.mu and Tracker.mu are never held
// together.
package cluster
