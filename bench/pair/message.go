// Package pair measures the way from one node of a colony to another: connect, handshake,
// round trip, the difference of the clocks, one and eight streams, with TLS over the colony's
// port and without it over a port of its own, and ssh. It also carries the history of
// measurements from node to node.
//
// It brings both ends. The Server answers on the protocol rpc.ProtoBench, whose
// connections are authenticated like all others of the colony; a node measures another
// with Measure, and Colony lets every node do so, one pair at a time.
//
// Invariants:
//
//	P1  A port without TLS is open only while a member of the colony asks for it over an
//	    authenticated connection, and takes only connections that show the token it was given.
//	P2  A node takes part in one measurement at a time; a second one is refused.
//	P3  Everything that a request made (ports, connections, processes) ends with its connection.
package pair

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/bench"
)

// The operations of a Request.
const (
	opEcho    = "echo"    // the server sends every byte back until the connection ends
	opReceive = "receive" // a stream follows; the answer tells its bytes and time
	opRaw     = "raw"     // opens a port without TLS; lives as long as this connection
	opPairs   = "pairs"   // measure the way to other nodes
	opGroups  = "groups"  // measure this machine
	opSSH     = "ssh"     // starts an sshd; lives as long as this connection
	opTime    = "time"    // what the server's clock shows
	opHistory = "history" // the IDs of all runs that the server keeps
	opRun     = "run"     // one of them
	opFetch   = "fetch"   // the caller has new runs: come and get them
)

// request is what a connection of rpc.ProtoBench begins with; after the answer the next
// one may follow.
type request struct {
	Op      string            `json:"op"`
	Streams int               `json:"streams,omitempty"` // opRaw
	To      []honeyant.NodeID `json:"to,omitempty"`      // opPairs
	Work    Work              `json:"work,omitzero"`     // opPairs, opGroups
	ID      string            `json:"id,omitempty"`      // opRun
}

// Work is what a node is asked to measure.
type Work struct {
	Groups  []string `json:"groups,omitempty"` // default: bench.DefaultGroups
	Profile string   `json:"profile,omitempty"`
	Gentle  bool     `json:"gentle,omitempty"`
	Size    int64    `json:"size_bytes,omitempty"`
}

// answer is the reply to a request, or a step on the way to it.
type answer struct {
	Kind    honeyant.Kind `json:"kind,omitempty"` // of Error
	Error   string        `json:"error,omitempty"`
	Bytes   int64         `json:"bytes,omitempty"` // opReceive
	Nanos   int64         `json:"nanos,omitempty"`
	Address string        `json:"address,omitempty"` // opRaw: host may be empty
	Token   []byte        `json:"token,omitempty"`
	Step    *Step         `json:"step,omitempty"` // more answers follow
	Run     *bench.Run    `json:"run,omitempty"`
	Login   *bench.Login  `json:"login,omitempty"` // opSSH
	Clock   int64         `json:"clock,omitempty"` // opTime: ns since 1970
	IDs     []string      `json:"ids,omitempty"`   // opHistory
}

// Step tells how far a measurement is.
type Step struct {
	Node   string        `json:"node"` // where it runs
	Text   string        `json:"text"` // what is being done
	Result *bench.Result `json:"result,omitempty"`
}

// The sizes of messages, which are a length of 4 bytes, big endian, and JSON.
const (
	maxRequest = 64 << 10
	maxAnswer  = 16 << 20
)

// answerWait bounds the wait for a small message.
const answerWait = 20 * time.Second

func writeMessage(conn net.Conn, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if len(text) > maxAnswer {
		return fmt.Errorf("a message of %d bytes", len(text))
	}
	conn.SetWriteDeadline(time.Now().Add(answerWait))
	_, err = conn.Write(append(binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(text)), uint32(len(text))), text...))
	return err
}

// readMessage reads exactly one message, so that a stream may follow it.
func readMessage(conn io.Reader, limit int, v any) error {
	var head [4]byte
	if _, err := io.ReadFull(conn, head[:]); err != nil {
		return err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n > uint32(limit) {
		return honeyant.E("pair.Read", honeyant.Corrupt, "", fmt.Errorf("a message of %d bytes", n))
	}
	text := make([]byte, n)
	if _, err := io.ReadFull(conn, text); err != nil {
		return err
	}
	if err := json.Unmarshal(text, v); err != nil {
		return honeyant.E("pair.Read", honeyant.Corrupt, "", err)
	}
	return nil
}

// ask sends a request and reads its first answer.
func ask(conn net.Conn, q request) (answer, error) { return askFor(conn, q, answerWait) }

// askFor is ask where the answer may take longer.
func askFor(conn net.Conn, q request, wait time.Duration) (a answer, err error) {
	if err := writeMessage(conn, q); err != nil {
		return a, err
	}
	err = readAnswer(conn, wait, &a)
	return a, err
}

func readAnswer(conn net.Conn, wait time.Duration, a *answer) error {
	conn.SetReadDeadline(time.Now().Add(wait))
	if err := readMessage(conn, maxAnswer, a); err != nil {
		return err
	}
	return a.fault()
}

// fault is the error that came with an answer.
func (a *answer) fault() error {
	if a.Error == "" {
		return nil
	}
	return &honeyant.Error{Kind: a.Kind, Err: errors.New(a.Error)}
}
