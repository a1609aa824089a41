// Package ledger knows every connection and every request of the gateway while it lives: its
// side, its phase, its age, its bytes, when it last made progress, and until when it may go
// on. It ends what is over its deadline, and what an operator kills.
//
// It is the answer to workers that hang for days: nothing in the gateway waits without being
// in the ledger with the name of what it waits for and a limit.
//
// Connections of TCP are followed as they are read and written (Conn), those of QUIC by the
// datagrams of their socket (QUIC).
//
// Invariants:
//
//	L1  A wait has a deadline with a name from Limits; past it the wait is ended, counted,
//	    logged with a stable code, and its error says which limit it was.
//	L2  Time counts against the side that is waited for: a slow client never makes a
//	    deadline of the origin fire, nor the other way round.
//	L3  IDs are 64 bits, ascending, and never used twice by one process.
//	L4  What has ended leaves the ledger at once; the last ones are kept in Recent.
//	L5  Listing takes no lock that a transfer holds across I/O.
//
// Standard library only, so that the command line can use the types without the gateway.
package ledger
