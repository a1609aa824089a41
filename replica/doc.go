// Package replica keeps one chunk in several stores: it writes, reads, copies, verifies and
// deletes replicas wherever they are, in this process or on another node. doc/format/wire.md
// is the protocol.
//
// It decides nothing about which stores hold a chunk (placement), nor who learns of it
// (meta): it does what it is told to named stores and says what came of it.
//
// Invariants:
//
//	P1  A replica is in Write's answer only if its store acknowledged it from stable storage
//	    with the sum of the caller's bytes.
//	P2  Every hop checks each frame before it syncs, the reader checks again [36].
//	P3  A store that fails, or a node that falls silent, costs the chunk that one replica; the
//	    others stay, and only its replacement is sent anew.
//	P4  Nothing is waited for without a deadline: Silence for a node of which nothing is heard,
//	    Patience for a store that works but does not end. A node found silent is avoided for a while.
//	P5  A node holds at most a few frames of each stream, and takes a bounded number of streams;
//	    streams that forward never wait for those that forward as far as they do, so chains
//	    crossing between nodes can not stand still.
//	P6  A store obeys no command of a lower incarnation than it has seen [4].
//	P7  A replica is reported as bad only on proof (its bytes fail their checksum), never
//	    because it could not be reached [12].
package replica
