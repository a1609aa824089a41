package cluster

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/config"
	"github.com/honeyant/honeyant/rpc"
	"github.com/honeyant/honeyant/rpc/wire"
)

// joinWait bounds a join as a whole unless ctx ends earlier.
const joinWait = 60 * time.Second

// A join message: its length (4 bytes, big-endian), then the body, of at most joinRequests or joinAnswer bytes.
const (
	joinRequests = 64 << 10
	joinAnswer   = 16 << 20
)

// JoinOptions say how a machine joins.
type JoinOptions struct {
	Dir     string // identity directory
	Address string // host:port of any member
	Token   string
	Member  Member // Address may have an empty host: the member that is asked fills it in
	// Dial makes the connection; nil: rpc.DialJoin.
	Dial func(ctx context.Context, addr string, pin [sha256.Size]byte) (rpc.Conn, *x509.Certificate, error)
}

// Join makes this machine a member: it proves that it has its key, shows the token, and gets
// a certificate and the first map, over a connection whose authority the token pins. On
// return the identity is on stable storage. Interrupted at any step it can be repeated, and
// gets the same node ID. Errors: Exist if the machine is in a cluster already, Invalid for a
// token that is none, Permission if the cluster refuses, Unavailable.
func Join(ctx context.Context, o JoinOptions) (*Identity, *honeyant.Map, error) {
	const op = "cluster.Join"
	token, err := ParseToken(o.Token)
	if err != nil {
		return nil, nil, err
	}
	if _, err := os.Stat(filepath.Join(o.Dir, fileCert)); err == nil {
		return nil, nil, honeyant.E(op, honeyant.Exist, o.Dir, errors.New("this machine is in a cluster already"))
	}
	key, keyPEM, err := ensureKey(o.Dir)
	if err != nil {
		return nil, nil, err
	}
	csr, err := request(key)
	if err != nil {
		return nil, nil, honeyant.E(op, honeyant.Internal, o.Member.Name, err)
	}
	ctx, cancel := context.WithTimeout(ctx, joinWait)
	defer cancel()
	dial := o.Dial
	if dial == nil {
		dial = rpc.DialJoin
	}
	conn, ca, err := dial(ctx, o.Address, token.Pin)
	if err != nil {
		return nil, nil, honeyant.E(op, honeyant.Other, o.Address, err)
	}
	defer conn.Close()
	reply, err := askToJoin(ctx, conn, &joinRequest{Secret: token.Secret[:], CSR: csr, Member: o.Member})
	if err != nil {
		return nil, nil, honeyant.E(op, honeyant.Other, o.Address, err)
	}
	id, err := o.keep(reply, ca, keyPEM)
	if err != nil {
		return nil, nil, err
	}
	id.members.Store(&reply.Map)
	return id, &reply.Map, nil
}

// keep checks the answer and writes the identity, the node's certificate last: without the
// map a complete identity would find nobody.
func (o *JoinOptions) keep(reply *joinReply, ca *x509.Certificate, keyPEM []byte) (*Identity, error) {
	certPEM, caPEM := encodeCert(reply.Certificate), encodeCert(ca.Raw)
	id, err := assemble(certPEM, caPEM, keyPEM)
	if err != nil {
		return nil, honeyant.E("cluster.Join", honeyant.Corrupt, o.Address, err)
	}
	if reply.Map.Cluster != id.cluster {
		return nil, honeyant.E("cluster.Join", honeyant.Corrupt, o.Address, fmt.Errorf("a map of cluster %q", reply.Map.Cluster))
	}
	id.dir = o.Dir
	if err := SaveMap(filepath.Join(o.Dir, fileFirst), &reply.Map); err != nil {
		return nil, err
	}
	if err := config.WriteFile(filepath.Join(o.Dir, fileCACert), caPEM, 0o644); err != nil {
		return nil, err
	}
	return id, config.WriteFile(filepath.Join(o.Dir, fileCert), certPEM, 0o644)
}

// askToJoin makes the one request of a join connection.
func askToJoin(ctx context.Context, conn rpc.Conn, req *joinRequest) (*joinReply, error) {
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	if err := writeJoin(conn, wire.Marshal(req.fields)); err != nil {
		return nil, honeyant.E("cluster.Join", honeyant.Unavailable, "", err)
	}
	raw, err := readJoin(conn, joinAnswer)
	if err != nil {
		return nil, honeyant.E("cluster.Join", honeyant.Unavailable, "", err)
	}
	return decodeJoinReply(raw)
}

// The body of an answer begins with one of these.
const (
	joinRefused = 0 // then an error as rpc encodes it
	joinTaken   = 1 // then a joinReply
)

func decodeJoinReply(raw []byte) (*joinReply, error) {
	if len(raw) > 0 && raw[0] == joinTaken {
		reply := new(joinReply)
		return reply, wire.Unmarshal(raw[1:], reply.fields)
	}
	if len(raw) > 0 && raw[0] == joinRefused {
		return nil, rpc.DecodeError(raw[1:], 0)
	}
	return nil, honeyant.E("cluster.Join", honeyant.Corrupt, "", errors.New("unknown answer"))
}

func writeJoin(w io.Writer, body []byte) error {
	_, err := w.Write(append(binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(body)), uint32(len(body))), body...))
	return err
}

func readJoin(r io.Reader, most uint32) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	size := binary.BigEndian.Uint32(head[:])
	if size > most {
		return nil, honeyant.E("cluster.Join", honeyant.Corrupt, "", fmt.Errorf("a message of %d bytes", size))
	}
	// Grows with what arrives: a lying length costs nothing.
	body, err := io.ReadAll(io.LimitReader(r, int64(size)))
	if err == nil && len(body) != int(size) {
		err = io.ErrUnexpectedEOF
	}
	return body, err
}

// fillHost puts the host that a connection came from into an address without one.
func fillHost(address string, from net.Addr) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	if ip := net.ParseIP(host); host != "" && (ip == nil || !ip.IsUnspecified()) {
		return address
	}
	seen, _, err := net.SplitHostPort(from.String())
	if err != nil {
		return address
	}
	return net.JoinHostPort(seen, port)
}
