// Package remote carries metadata operations from a session to the leader, wherever that is: the wire, the
// server beside a node's meta.Leader, and the client side of a session, which retries across changes of the
// leader until it knows the outcome.
//
// Invariants (numbers of doc/invariants.md in brackets):
//
//	W1  A change is sent with the same slot and seq until its outcome is known; only then the slot is used
//	    again, even if the caller has long been told that its time is over. [23]
//	W2  What a session has open is said again to every new leader, and "that was all" only after every open
//	    that was under way before has ended. It is said of what was opened under a lease before its
//	    recall is acknowledged, and in each new term of leases. [22]
//	W3  A release never takes back a later open: what a session says about its opens carries a stamp. [22]
//	W4  A session that was told Fenced says Fenced to everybody from then on. [18]
//	W6  Leases are used only in the era in which they were granted: one epoch, one term, and never longer than
//	    their TTL after the newest answered renewal was sent. A new epoch's leader hears that the session knows
//	    of it only after the leases of the old one are out of use. [15, 17]
//	W5  Every call ends with its context or after Options.Deadline ("meta-call").
//	W8  Exclusive leases are used only while leases are in force and everything held was claimed in the present era. What
//	    was recalled or returned since a Take began is not in its answer. [17, 18]
//	W7  A change whose caller has gone without its outcome is never done after a change that was asked for later:
//	    no change is sent before that outcome is known. [23]
package remote
