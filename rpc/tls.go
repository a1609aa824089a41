package rpc

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/honeyant/honeyant"
)

// TLS is the real Network: one port, TLS 1.3, certificates on both sides, the ALPN
// protocol picking the Listener. Safe for concurrent use.
type TLS struct {
	ln    net.Listener
	creds Credentials
	o     Options

	mu        sync.Mutex // guards what follows
	listeners map[Proto]*listener
	live      map[*tlsConn]struct{} // every connection handed out and not closed
	young     map[net.Conn]struct{} // in their handshake
	closed    bool

	wg sync.WaitGroup
}

const (
	// maxHandshakes bounds the incoming connections that have not proved who they are.
	maxHandshakes = 128
	// maxStranger bounds those of one address, so that one stranger can not keep members out.
	maxStranger = 32
)

// protocols are those that can be listened to.
func protocols() []Proto {
	return []Proto{ProtoRaft, ProtoMeta, ProtoChunk, ProtoControl, ProtoMirror, ProtoJoin, ProtoBench}
}

// NewTLS serves the port ln, which it owns from now on, until Close.
func NewTLS(ln net.Listener, creds Credentials, o Options) *TLS {
	t := &TLS{
		ln: ln, creds: creds, o: o.withDefaults(), listeners: map[Proto]*listener{},
		live: map[*tlsConn]struct{}{}, young: map[net.Conn]struct{}{},
	}
	t.wg.Add(1)
	go t.accept()
	return t
}

// Addr is the address that ln listens on.
func (t *TLS) Addr() string { return t.ln.Addr().String() }

// Listen gives the incoming connections of one protocol. A second Listen for the same one
// takes over from the first.
func (t *TLS) Listen(p Proto) Listener {
	l := newListener(t.ln.Addr(), func(l *listener) {
		t.mu.Lock()
		defer t.mu.Unlock()
		if t.listeners[p] == l {
			delete(t.listeners, p)
		}
	})
	t.mu.Lock()
	old := t.listeners[p]
	if t.closed {
		l.shut()
	} else {
		t.listeners[p] = l
	}
	t.mu.Unlock()
	if old != nil {
		old.Close()
	}
	return l
}

// Close ends the port, all listeners and all connections, and waits. Twice is harmless.
func (t *TLS) Close() error {
	t.mu.Lock()
	t.closed = true
	var ends []interface{ Close() error }
	for _, l := range t.listeners {
		ends = append(ends, l)
	}
	for c := range t.live {
		ends = append(ends, c)
	}
	for c := range t.young {
		ends = append(ends, c)
	}
	t.mu.Unlock()
	err := t.ln.Close()
	for _, e := range ends {
		e.Close()
	}
	t.wg.Wait()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// Recheck closes the live connections of nodes that are no longer authorized [R2]. Call it
// whenever the member list changed.
func (t *TLS) Recheck() {
	t.mu.Lock()
	conns := make([]*tlsConn, 0, len(t.live))
	for c := range t.live {
		conns = append(conns, c)
	}
	t.mu.Unlock()
	for _, c := range conns {
		if c.peer == 0 {
			continue
		}
		if err := t.creds.Authorize(c.peer); err != nil {
			t.o.Log.Info("connection closed: node no longer authorized", "node", c.peer, "err", err)
			c.Close()
		}
	}
}

// Dial connects and proves both ends [R1]. Errors: Permission if somebody else than node
// answers or it is not authorized, Unavailable for all that may pass.
func (t *TLS) Dial(ctx context.Context, addr string, node honeyant.NodeID, p Proto) (Conn, error) {
	const op = "rpc.Dial"
	cfg := baseConfig(p)
	var peer honeyant.NodeID
	cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		if p == ProtoJoin {
			return &tls.Certificate{}, nil
		}
		return t.creds.TLSCertificate()
	}
	cfg.InsecureSkipVerify = true // VerifyConnection does it: by authority and node, not by host name
	cfg.VerifyConnection = func(cs tls.ConnectionState) (err error) {
		peer, err = t.verify(cs)
		if err == nil && node != 0 && peer != node {
			err = honeyant.E(op, honeyant.Permission, addr, fmt.Errorf("%s answers, not %s", peer, node))
		}
		return err
	}
	raw, err := dialTCP(ctx, addr, t.o.Keepalive)
	if err != nil {
		return nil, honeyant.E(op, honeyant.Unavailable, addr, err)
	}
	c, err := t.shake(ctx, raw, func(b *batchConn) *tls.Conn { return tls.Client(b, cfg) })
	if err != nil {
		return nil, honeyant.E(op, dialKind(err), addr, err)
	}
	c.peer = peer
	if err := t.keep(c); err != nil {
		return nil, honeyant.E(op, honeyant.Other, addr, err)
	}
	return c, nil
}

func dialKind(err error) honeyant.Kind {
	if honeyant.KindOf(err) == honeyant.Permission {
		return honeyant.Permission
	}
	return honeyant.Unavailable
}

func dialTCP(ctx context.Context, addr string, silence time.Duration) (net.Conn, error) {
	d := net.Dialer{KeepAlive: -1} // tuneSocket sets it
	raw, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	if err := tuneSocket(raw, silence); err != nil {
		raw.Close()
		return nil, err
	}
	return raw, nil
}

// baseConfig is what all connections share: TLS 1.3 (whose first choice on processors with
// AES is AES-128-GCM), full records, no resumption, so that each handshake proves the peer.
func baseConfig(p Proto) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, NextProtos: []string{string(p)},
		DynamicRecordSizingDisabled: true, SessionTicketsDisabled: true,
	}
}

// verify proves the other end of a handshake.
func (t *TLS) verify(cs tls.ConnectionState) (honeyant.NodeID, error) {
	node, err := verifyPeer(t.creds.Roots(), cs.PeerCertificates)
	if err != nil {
		return 0, err
	}
	if err := t.creds.Authorize(node); err != nil {
		return 0, honeyant.E("rpc.Verify", honeyant.Permission, node.String(), err)
	}
	return node, nil
}

// keep adds a connection to the live ones and asks once more whether its peer is
// authorized, so that a Recheck since the handshake can not have missed it [R2].
func (t *TLS) keep(c *tlsConn) error {
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		c.Close()
		return honeyant.E("rpc.Keep", honeyant.Unavailable, "", net.ErrClosed)
	}
	c.forget = t.forget
	t.live[c] = struct{}{}
	t.mu.Unlock()
	if c.peer == 0 {
		return nil
	}
	if err := t.creds.Authorize(c.peer); err != nil {
		c.Close()
		return honeyant.E("rpc.Keep", honeyant.Permission, c.peer.String(), err)
	}
	return nil
}

func (t *TLS) forget(c *tlsConn) {
	t.mu.Lock()
	delete(t.live, c)
	t.mu.Unlock()
}

// shake runs the handshake over raw, which it closes if that fails.
func (t *TLS) shake(ctx context.Context, raw net.Conn, wrap func(*batchConn) *tls.Conn) (*tlsConn, error) {
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		raw.Close()
		return nil, net.ErrClosed
	}
	t.young[raw] = struct{}{}
	t.mu.Unlock()
	defer func() {
		t.mu.Lock()
		delete(t.young, raw)
		t.mu.Unlock()
	}()
	b := newBatchConn(raw)
	tc := wrap(b)
	if err := tc.HandshakeContext(ctx); err != nil {
		raw.Close()
		return nil, err
	}
	return &tlsConn{Conn: tc, batch: b}, nil
}

// accept hands incoming connections to goroutines that shake hands.
func (t *TLS) accept() {
	defer t.wg.Done()
	slots := newDoor(maxHandshakes, maxStranger)
	for {
		raw, err := t.ln.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // out of descriptors, a connection reset in the queue: it passes
			t.o.Log.Warn("accept", "err", err)
			time.Sleep(50 * time.Millisecond)
			continue
		}
		leave, ok := slots.enter(raw.RemoteAddr())
		if !ok { // better one refused than a port that nobody can reach
			raw.Close()
			continue
		}
		t.wg.Add(1)
		go func() {
			defer t.wg.Done()
			defer leave()
			if err := t.incoming(raw); err != nil {
				t.o.Log.Debug("connection refused", "from", raw.RemoteAddr(), "err", err)
			}
		}()
	}
}

// incoming shakes hands with a client and gives the connection to its listener.
func (t *TLS) incoming(raw net.Conn) error {
	if err := tuneSocket(raw, t.o.Keepalive); err != nil {
		raw.Close()
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), t.o.Handshake)
	defer cancel()
	var p Proto
	var peer honeyant.NodeID
	cfg := &tls.Config{
		MinVersion: tls.VersionTLS13, SessionTicketsDisabled: true,
		GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			var ok bool
			if p, ok = t.pick(hello.SupportedProtos); !ok {
				return nil, honeyant.E("rpc.Accept", honeyant.Unsupported, fmt.Sprint(hello.SupportedProtos), nil)
			}
			return t.serverConfig(p, &peer), nil
		},
	}
	c, err := t.shake(ctx, raw, func(b *batchConn) *tls.Conn { return tls.Server(b, cfg) })
	if err != nil {
		return err
	}
	c.peer = peer
	if err := t.keep(c); err != nil {
		return err
	}
	t.mu.Lock()
	l := t.listeners[p]
	t.mu.Unlock()
	if l == nil || !l.deliver(ctx, c) {
		c.Close()
		return honeyant.E("rpc.Accept", honeyant.Unavailable, string(p), fmt.Errorf("nobody takes the connection"))
	}
	return nil
}

// pick is the first offered protocol that is listened to.
func (t *TLS) pick(offered []string) (Proto, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, p := range offered {
		if t.listeners[Proto(p)] != nil && slices.Contains(protocols(), Proto(p)) {
			return Proto(p), true
		}
	}
	return "", false
}

// serverConfig demands a certificate for all protocols but ProtoJoin.
func (t *TLS) serverConfig(p Proto, peer *honeyant.NodeID) *tls.Config {
	cfg := baseConfig(p)
	cfg.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return t.creds.TLSCertificate() }
	if p == ProtoJoin {
		return cfg
	}
	cfg.ClientAuth = tls.RequireAnyClientCert // VerifyConnection verifies it
	cfg.VerifyConnection = func(cs tls.ConnectionState) (err error) {
		*peer, err = t.verify(cs)
		return err
	}
	return cfg
}

// DialJoin connects for ProtoJoin knowing nothing but the SHA-256 of the CA's certificate
// (DER), which the join token carries. It returns the CA with the connection. Errors:
// Permission if the other end has another CA, Unavailable.
func DialJoin(ctx context.Context, addr string, pin [sha256.Size]byte) (Conn, *x509.Certificate, error) {
	const op = "rpc.DialJoin"
	var ca *x509.Certificate
	var peer honeyant.NodeID
	cfg := baseConfig(ProtoJoin)
	cfg.InsecureSkipVerify = true // VerifyConnection does it, by the pin
	cfg.VerifyConnection = func(cs tls.ConnectionState) (err error) {
		for _, c := range cs.PeerCertificates {
			if sha256.Sum256(c.Raw) == pin {
				ca = c
			}
		}
		if ca == nil {
			return honeyant.E(op, honeyant.Permission, addr, fmt.Errorf("its cluster is not the one of the token"))
		}
		roots := x509.NewCertPool()
		roots.AddCert(ca)
		peer, err = verifyPeer(roots, cs.PeerCertificates)
		return err
	}
	raw, err := dialTCP(ctx, addr, defaultKeepalive)
	if err != nil {
		return nil, nil, honeyant.E(op, honeyant.Unavailable, addr, err)
	}
	b := newBatchConn(raw)
	tc := tls.Client(b, cfg)
	if err := tc.HandshakeContext(ctx); err != nil {
		raw.Close()
		return nil, nil, honeyant.E(op, dialKind(err), addr, err)
	}
	return &tlsConn{Conn: tc, batch: b, peer: peer}, ca, nil
}
