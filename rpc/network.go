// Package rpc is how nodes talk: one port, TLS 1.3 with certificates on both sides, the
// ALPN protocol selecting what a connection is for, and over it small calls (request and
// answer, many at once on one connection) or raw streams.
//
// It does not know what is said: meta/remote, replica, consensus and cluster bring their
// own methods. rpc/wire is the encoding they share; rpc/memnet is a network in memory for
// tests, where connections can be cut, delayed and partitioned, also under testing/synctest.
//
// Invariants:
//
//	R1  A connection is handed to a handler only after the peer's certificate was verified
//	    against the cluster CA and Credentials.Authorize accepted its node (rule 33).
//	R2  When a node is no longer authorized, Recheck closes its live connections at once.
//	R3  Every dial, handshake and call ends with its context or a named deadline.
package rpc

import (
	"context"
	"net"

	"github.com/honeyant/honeyant"
)

// Proto names what a connection is for; it is the ALPN protocol ID.
type Proto string

// The protocols. A version that can not be spoken any more gets a new number.
const (
	ProtoRaft    Proto = "honeyant-raft/1"    // consensus: hashicorp/raft's own framing
	ProtoMeta    Proto = "honeyant-meta/1"    // meta/remote: operations for the leader
	ProtoChunk   Proto = "honeyant-chunk/1"   // replica: chunk streams
	ProtoControl Proto = "honeyant-control/1" // cluster: heartbeats, maps, store commands
	ProtoMirror  Proto = "honeyant-mirror/1"  // consensus: durable index of a mirroring learner
	ProtoJoin    Proto = "honeyant-join/1"    // cluster: the only one without a client certificate
	ProtoBench   Proto = "honeyant-bench/1"   // bench/pair: measuring the way between nodes
)

// Conn is a connection whose other end is known. Peer is 0 only for ProtoJoin.
type Conn interface {
	net.Conn
	Peer() honeyant.NodeID
}

// Network makes connections to other nodes and accepts theirs. Safe for concurrent use.
type Network interface {
	// Dial connects to addr (host:port) and checks that node answers there; node 0
	// accepts any member. Ends with ctx.
	Dial(ctx context.Context, addr string, node honeyant.NodeID, p Proto) (Conn, error)
	// Listen gives the incoming connections of one protocol; once per protocol.
	Listen(p Proto) Listener
	// Addr is where others reach this network.
	Addr() string
}

// Listener hands out incoming connections of one protocol.
type Listener interface {
	Accept() (Conn, error) // net.ErrClosed after Close
	Close() error
}

// Method numbers a call within a protocol.
type Method uint16

// Handler answers calls. It runs on a goroutine of its own per call; req is only valid
// until it returns. The error's Kind and text cross the wire.
type Handler func(ctx context.Context, peer honeyant.NodeID, m Method, req []byte) (resp []byte, err error)

// Caller makes calls to nodes. Safe for concurrent use. Errors: those of the handler;
// Unavailable if no answer came before ctx ended or the connection broke (whether the
// call was carried out is then unknown).
type Caller interface {
	Call(ctx context.Context, node honeyant.NodeID, m Method, req []byte) (resp []byte, err error)
}

// Resolver tells a node's address, usually from the cluster map.
type Resolver func(honeyant.NodeID) (addr string, ok bool)
