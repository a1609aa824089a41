package cluster

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/config"
	"github.com/honeyant/honeyant/meta"
	"github.com/honeyant/honeyant/rpc"
	"github.com/honeyant/honeyant/rpc/wire"
)

const (
	joinsAtOnce  = 8                // connections served at once; more wait in the queue
	joinPatience = 10 * time.Second // for a joiner's request, and again for its answer
)

// ServeJoin answers machines that want to join, on any member: what they ask goes to the
// leader. It returns when ctx ends (then it closes l and waits) or Accept fails.
func (a *Agent) ServeJoin(ctx context.Context, l rpc.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel() // before the wait
	slots := make(chan struct{}, joinsAtOnce)
	for {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return nil
		}
		conn, err := l.Accept()
		if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
			if conn != nil {
				conn.Close()
			}
			return nil
		}
		if err != nil {
			return honeyant.E("cluster.ServeJoin", honeyant.Other, "", err)
		}
		wg.Add(1)
		go func() {
			defer wg.Done()
			defer func() { <-slots }()
			a.serveJoinConn(ctx, conn)
		}()
	}
}

// serveJoinConn reads the one request of a connection and answers it.
func (a *Agent) serveJoinConn(ctx context.Context, conn rpc.Conn) {
	defer conn.Close()
	ctx, cancel := context.WithTimeout(ctx, joinWait)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	answer := []byte{joinTaken}
	reply, err := func() ([]byte, error) {
		if err := conn.SetReadDeadline(time.Now().Add(joinPatience)); err != nil {
			return nil, err
		}
		raw, err := readJoin(conn, joinRequests)
		if err != nil {
			return nil, err
		}
		req := new(joinRequest)
		if err := wire.Unmarshal(raw, req.fields); err != nil {
			return nil, err
		}
		req.Member.Address = fillHost(req.Member.Address, conn.RemoteAddr())
		return a.forwardJoin(ctx, wire.Marshal(req.fields))
	}()
	if err != nil {
		a.o.Log.Info("join refused", "from", conn.RemoteAddr(), "err", err)
		answer, reply = []byte{joinRefused}, rpc.EncodeError(told(err))
	}
	if err := errors.Join(conn.SetWriteDeadline(time.Now().Add(joinPatience)), writeJoin(conn, append(answer, reply...))); err != nil {
		a.o.Log.Debug("join answer not sent", "from", conn.RemoteAddr(), "err", err)
	}
}

// told is what a stranger may know of why a join failed: what the leader judged about the
// request itself. All else, as who leads and what is broken, stays in the log.
func told(err error) error {
	for e := err; e != nil; e = errors.Unwrap(e) {
		at, ok := e.(*honeyant.Error)
		if !ok || at.Op != opJoin {
			continue
		}
		switch at.Kind {
		case honeyant.Invalid, honeyant.Permission, honeyant.NotPermitted, honeyant.Conflict:
			plain := *at
			plain.Node = 0
			return &plain
		}
	}
	switch honeyant.KindOf(err) {
	case honeyant.Corrupt, honeyant.Invalid:
		return honeyant.E(opJoin, honeyant.Invalid, "request", errors.New("it is not one that this version understands"))
	}
	return honeyant.E(opJoin, honeyant.Unavailable, "", errors.New("the cluster can not let anybody in just now: try again, and if it stays so look into a member's log"))
}

// opJoin marks what the leader says of a request for the one who made it.
const opJoin = "cluster.Join"

// forwardJoin takes a request to the leader, which may be here, until ctx ends.
func (a *Agent) forwardJoin(ctx context.Context, raw []byte) ([]byte, error) {
	return a.askLeader(ctx, MethodJoin, raw)
}

// admit is the leader's part of a join: the member list first, then the certificate. The
// authority's key is read from the settings for each signature and kept nowhere.
func (t *Tracker) admit(ctx context.Context, raw []byte) ([]byte, error) {
	const op = "cluster.Join"
	req := new(joinRequest)
	if err := wire.Unmarshal(raw, req.fields); err != nil {
		return nil, err
	}
	csr, err := parseRequest(req.CSR)
	if err != nil {
		return nil, err
	}
	var token Token
	if copy(token.Secret[:], req.Secret) != len(token.Secret) {
		return nil, honeyant.E(op, honeyant.Invalid, "token", nil)
	}
	if host, _, err := net.SplitHostPort(req.Member.Address); err != nil || host == "" {
		return nil, honeyant.E(op, honeyant.Invalid, req.Member.Address, errors.New("the node's address must be host:port"))
	}
	pub, err := x509.MarshalPKIXPublicKey(csr.PublicKey)
	if err != nil {
		return nil, honeyant.E(op, honeyant.Invalid, "key", err)
	}
	ca, err := LoadCA(ctx, t.o.Doer)
	if err != nil {
		return nil, err
	}
	m := req.Member
	if err := t.check(ctx, req, token.Hash()); err != nil {
		return nil, err
	}
	added, err := meta.Do(ctx, t.o.Doer, &meta.AddNode{
		Name: m.Name, Address: m.Address, Zone: m.Zone, TokenHash: token.Hash(), PublicKey: pub,
	})
	if errors.Is(err, honeyant.NotPermitted) {
		return nil, honeyant.E(op, honeyant.Permission, m.Name, fmt.Errorf("%w (if it is the token: honeyant token create makes a new one)", err))
	}
	if err != nil {
		return nil, err
	}
	der, err := ca.sign(csr.PublicKey, added.Node.ID)
	if err != nil {
		return nil, err
	}
	t.Refresh()
	list, err := meta.Do(ctx, t.o.Doer, &meta.ListNodes{})
	if err != nil {
		return nil, err
	}
	reply := &joinReply{Certificate: der, Map: list.Map}
	reply.Map.Leader, reply.Map.Version = t.o.Self, 0 // whatever is published replaces it
	t.o.Log.Info("node joined", "node", added.Node.ID, "name", m.Name, "address", m.Address)
	return wire.Marshal(reply.fields), nil
}

// check refuses a member that others could not tell from one that is there, or not show. Who has no token learns
// nothing from it.
func (t *Tracker) check(ctx context.Context, req *joinRequest, tokenHash []byte) error {
	const op = "cluster.Join"
	tokens, err := meta.Do(ctx, t.o.Doer, &meta.ListTokens{})
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(tokens.Tokens, func(k meta.Token) bool { return bytes.Equal(k.Hash, tokenHash) }) {
		return nil // a retry, or refused in the next step
	}
	m := req.Member
	for _, label := range []string{m.Name, m.Zone} {
		if fault := config.LabelFault(label); label != "" && fault != "" {
			return honeyant.E(op, honeyant.Invalid, "name or zone", errors.New(fault))
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.published == nil {
		return nil
	}
	for _, n := range t.published.Nodes {
		if h := t.nodes[n.ID]; n.Address == m.Address && h != nil && h.spoke && !h.down {
			return honeyant.E(op, honeyant.Conflict, m.Address, fmt.Errorf(
				"%s answers at that address: say another --listen or --advertise; if this machine was %s before, stop its daemon and wait until `honeyant node ls` calls it down", n.ID, n.ID))
		}
	}
	return nil
}

// renew is the leader's part of a renewal: a certificate for the node that asks, which its
// present certificate and the member list vouch for.
func (t *Tracker) renew(ctx context.Context, node honeyant.NodeID, raw []byte) ([]byte, error) {
	csr, err := parseRequest(raw)
	if err != nil {
		return nil, err
	}
	list, err := meta.Do(ctx, t.o.Doer, &meta.ListNodes{})
	if err != nil {
		return nil, err
	}
	if n, ok := list.Map.Node(node); !ok || n.State == honeyant.NodeRemoved {
		return nil, honeyant.E("cluster.Renew", honeyant.Permission, node.String(), errors.New("no member"))
	}
	ca, err := LoadCA(ctx, t.o.Doer)
	if err != nil {
		return nil, err
	}
	return ca.sign(csr.PublicKey, node)
}
