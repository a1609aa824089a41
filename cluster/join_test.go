package cluster_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/cluster"
	"github.com/honeyant/honeyant/meta"
	"github.com/honeyant/honeyant/rpc"
	"github.com/honeyant/honeyant/rpc/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// machine is a node over real TLS on 127.0.0.1, as package node would build it.
type machine struct {
	id      *cluster.Identity
	net     *rpc.TLS
	agent   *cluster.Agent
	tracker *cluster.Tracker
	calls   *rpc.Client
	addr    string
	stop    func()
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	return ln
}

// boot runs a node with its identity on a port.
func boot(t *testing.T, s *metadata, id *cluster.Identity, ln net.Listener, first *honeyant.Map) *machine {
	t.Helper()
	m := &machine{id: id, addr: ln.Addr().String()}
	m.net = rpc.NewTLS(ln, id, rpc.Options{})
	m.calls = rpc.NewClient(m.net, func(n honeyant.NodeID) (string, bool) { return m.agent.Resolve(n) }, rpc.ProtoControl, rpc.Options{})
	m.tracker = cluster.NewTracker(cluster.TrackerOptions{
		Self: id.Self(), Doer: s.local(id.Self()), Calls: m.calls, Every: 20 * time.Millisecond,
		Last: func() *honeyant.Map { return m.agent.Map() },
	})
	var err error
	m.agent, err = cluster.NewAgent(cluster.AgentOptions{
		Identity: id, Calls: m.calls, Doer: s.remote(), Tracker: m.tracker, First: first,
		Self: cluster.Member{Address: m.addr}, Every: 20 * time.Millisecond,
	})
	must(t, err)
	m.agent.OnMap(func(_, _ *honeyant.Map) { m.net.Recheck() })
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 2)
	go func() { served <- rpc.Serve(ctx, m.net.Listen(rpc.ProtoControl), m.agent.Handle, rpc.Options{}) }()
	go func() { served <- m.agent.ServeJoin(ctx, m.net.Listen(rpc.ProtoJoin)) }()
	m.agent.Start()
	stopped := false
	m.stop = func() {
		if stopped {
			return
		}
		stopped = true
		must(t, m.agent.Close())
		must(t, m.tracker.Close())
		cancel()
		must(t, errors.Join(<-served, <-served))
		must(t, m.calls.Close())
		must(t, m.net.Close())
	}
	t.Cleanup(m.stop)
	return m
}

// found starts a cluster of one.
func found(t *testing.T) (*metadata, *machine, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "identity")
	id, err := cluster.Init(dir)
	must(t, err)
	if !id.Founding() {
		t.Error("a new founder has nothing to found")
	}
	s, ln := newMetadata(), listen(t)
	must(t, id.Found(t.Context(), s.remote(), cluster.Member{Name: "one", Address: ln.Addr().String()}))
	must(t, id.Found(t.Context(), s.remote(), cluster.Member{Name: "one"})) // again: nothing to do
	if id.Founding() {
		t.Error("the authority's key is still on disk")
	}
	m := boot(t, s, id, ln, nil)
	m.tracker.Lead(1)
	return s, m, dir
}

func token(t *testing.T, s *metadata, id *cluster.Identity, o cluster.TokenOptions) string {
	t.Helper()
	tok, _, err := cluster.CreateToken(t.Context(), s.remote(), id.Pin(), o)
	must(t, err)
	return tok.String()
}

func join(t *testing.T, dir, via, token string, ln net.Listener) (*cluster.Identity, *honeyant.Map, error) {
	t.Helper()
	addr := "127.0.0.1:1"
	if ln != nil {
		addr = ln.Addr().String()
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	return cluster.Join(ctx, cluster.JoinOptions{Dir: dir, Address: via, Token: token, Member: cluster.Member{Name: "joiner", Address: addr, Zone: "z"}})
}

// eventually waits until cond holds.
func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	deadline := time.NewTimer(10 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-deadline.C:
			t.Fatalf("not within 10 s: %s", what)
		case <-tick.C:
		}
	}
}

func TestJoinOverTLS(t *testing.T) {
	s, one, _ := found(t)
	ln := listen(t)
	dir := filepath.Join(t.TempDir(), "identity")
	id, first, err := join(t, dir, one.addr, token(t, s, one.id, cluster.TokenOptions{Uses: 1}), ln)
	must(t, err)
	if id.Self() != 2 || id.Cluster() != one.id.Cluster() || len(first.Nodes) != 2 || first.Leader != 1 {
		t.Fatalf("joined as %v, map %+v", id.Self(), first)
	}
	id, err = cluster.LoadIdentity(dir) // the machine died right after the join: no map but the join's own
	must(t, err)
	two := boot(t, s, id, ln, nil)
	eventually(t, "both nodes are up in both maps", func() bool {
		for _, m := range []*machine{one, two} {
			cur := m.agent.Map()
			a, _ := cur.Node(1)
			b, _ := cur.Node(2)
			if a.State != honeyant.NodeUp || b.State != honeyant.NodeUp || b.Name != "joiner" || b.Zone != "" && b.Zone != "z" {
				return false
			}
		}
		return two.agent.Fresh() == nil && one.agent.Fresh() == nil
	})
	// A third one joins through the node that does not lead.
	id3, _, err := join(t, filepath.Join(t.TempDir(), "identity"), two.addr, token(t, s, one.id, cluster.TokenOptions{}), nil)
	must(t, err)
	if id3.Self() != 3 {
		t.Errorf("third node is %v", id3.Self())
	}
	again, err := cluster.LoadIdentity(dir)
	must(t, err)
	if again.Self() != 2 || again.Pin() != one.id.Pin() {
		t.Errorf("loaded identity is of %v", again.Self())
	}
	if info, err := os.Stat(filepath.Join(dir, "node.key")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("node.key: %v %v", info.Mode(), err)
	}
	if _, _, err := join(t, dir, one.addr, token(t, s, one.id, cluster.TokenOptions{}), ln); !errors.Is(err, honeyant.Exist) {
		t.Errorf("joining twice: %v", err)
	}
}

func TestJoinRefusals(t *testing.T) {
	s, one, _ := found(t)
	good := token(t, s, one.id, cluster.TokenOptions{})
	parsed, err := cluster.ParseToken(good)
	must(t, err)
	used := token(t, s, one.id, cluster.TokenOptions{Uses: 1})
	_, _, err = join(t, t.TempDir(), one.addr, used, nil)
	must(t, err)
	revoked := token(t, s, one.id, cluster.TokenOptions{})
	rt, err := cluster.ParseToken(revoked)
	must(t, err)
	_, err = meta.Do(t.Context(), s.remote(), &meta.RevokeToken{Name: rt.Name()})
	must(t, err)
	for name, tc := range map[string]struct {
		token string
		kind  honeyant.Kind
		words string
	}{
		"no token":        {"", honeyant.Invalid, "begins with hat1-"},
		"cut off":         {good[:60], honeyant.Invalid, "not whole"},
		"typing error":    {good[:20] + flip(good[20]) + good[21:], honeyant.Invalid, "typing error"},
		"never made":      {cluster.NewToken(one.id.Pin()).String(), honeyant.Permission, "unknown, used up or revoked"},
		"expired":         {token(t, s, one.id, cluster.TokenOptions{Life: time.Nanosecond}), honeyant.Permission, "expired"},
		"used up":         {used, honeyant.Permission, "unknown, used up or revoked"},
		"revoked":         {revoked, honeyant.Permission, "unknown, used up or revoked"},
		"another cluster": {cluster.Token{Secret: parsed.Secret, Pin: sha256.Sum256(nil)}.String(), honeyant.Permission, "cluster is not the one of the token"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			_, _, err := join(t, dir, one.addr, tc.token, nil)
			if !errors.Is(err, tc.kind) || !strings.Contains(err.Error(), tc.words) {
				t.Errorf("%v; want kind %v and %q", err, tc.kind, tc.words)
			}
			if _, err := cluster.LoadIdentity(dir); !errors.Is(err, honeyant.NotExist) {
				t.Errorf("an identity was left: %v", err)
			}
		})
	}
}

// A second machine at the address of one that answers, as behind one address or with a second directory on one machine,
// would take its place in the map: connections to it would end at the other.
func TestJoinAtATakenAddress(t *testing.T) {
	s, one, _ := found(t)
	tok := token(t, s, one.id, cluster.TokenOptions{Uses: 1})
	eventually(t, "the leader hears itself", func() bool { return one.agent.Fresh() == nil })
	o := cluster.JoinOptions{Dir: t.TempDir(), Address: one.addr, Token: tok, Member: cluster.Member{Name: "two", Address: one.addr}}
	if _, _, err := cluster.Join(t.Context(), o); !errors.Is(err, honeyant.Conflict) || !strings.Contains(err.Error(), "--listen") {
		t.Errorf("at the leader's address: %v", err)
	}
	o.Member.Address, o.Member.Name = "127.0.0.1:1", "two\x1b[2J"
	if _, _, err := cluster.Join(t.Context(), o); !errors.Is(err, honeyant.Invalid) {
		t.Errorf("with a name that is none: %v", err)
	}
	o.Member.Name = "two"
	if _, _, err := cluster.Join(t.Context(), o); err != nil {
		t.Errorf("the token was used up by what was refused: %v", err)
	}
}

func flip(c byte) string {
	if c == 'a' {
		return "b"
	}
	return "a"
}

// Nobody who has not shown a token makes a member read more than a request can be: eight strangers who each announce the
// largest answer would take more memory than a small node has.
func TestStrangerAnnouncesTooMuch(t *testing.T) {
	_, one, _ := found(t)
	conn, _, err := rpc.DialJoin(t.Context(), one.addr, one.id.Pin())
	must(t, err)
	defer conn.Close()
	_, err = conn.Write([]byte{0, 0x10, 0, 0}) // 1 MiB will follow
	must(t, err)
	must(t, conn.SetReadDeadline(time.Now().Add(5*time.Second)))
	var head [5]byte
	if _, err := io.ReadFull(conn, head[:]); err != nil || head[4] != 0 {
		t.Fatalf("not refused at once: %x, %v", head, err)
	}
}

// Every member can list the hashes of the tokens. Who knows one, and not the secret, does not come in: else a removed
// machine could come back with a hash that it kept.
func TestHashIsNoToken(t *testing.T) {
	s, one, _ := found(t)
	good, err := cluster.ParseToken(token(t, s, one.id, cluster.TokenOptions{}))
	must(t, err)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	must(t, err)
	for name, c := range map[string]struct {
		proof []byte
		in    byte
	}{"hash": {good.Hash(), 0}, "secret": {good.Secret[:], 1}} {
		conn, _, err := rpc.DialJoin(t.Context(), one.addr, one.id.Pin())
		must(t, err)
		defer conn.Close()
		body := wire.Marshal(func(c2 *wire.Codec) {
			address, zone := "127.0.0.1:9", ""
			c2.Bytes(&c.proof, 32)
			c2.Bytes(&csr, 1<<12)
			c2.String(&name, 255)
			c2.String(&address, 300)
			c2.String(&zone, 255)
		})
		_, err = conn.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...))
		must(t, err)
		must(t, conn.SetReadDeadline(time.Now().Add(5*time.Second)))
		var head [5]byte
		if _, err := io.ReadFull(conn, head[:]); err != nil || head[4] != c.in {
			t.Errorf("with the %s: answer %x, %v; want it to begin with %d", name, head, err, c.in)
		}
	}
}

// A man in the middle has a cluster of his own and passes nothing on: the secret must never
// reach him.
func TestJoinManInTheMiddle(t *testing.T) {
	s, one, _ := found(t)
	good := token(t, s, one.id, cluster.TokenOptions{})
	other, err := cluster.Init(filepath.Join(t.TempDir(), "identity"))
	must(t, err)
	evil := rpc.NewTLS(listen(t), other, rpc.Options{})
	defer evil.Close()
	l := evil.Listen(rpc.ProtoJoin)
	got := make(chan []byte, 1)
	go func() {
		defer close(got)
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		raw, _ := io.ReadAll(conn)
		got <- raw
	}()
	_, _, err = join(t, t.TempDir(), evil.Addr(), good, nil)
	if !errors.Is(err, honeyant.Permission) {
		t.Errorf("join through a stranger: %v", err)
	}
	l.Close()
	if raw := <-got; len(raw) > 0 {
		t.Errorf("%d bytes were told to the stranger", len(raw))
	}
}

// The answer of the first try is lost; the second one, with the same key and a token that is
// used up by now, gets the same ID.
func TestJoinRetryGetsTheSameID(t *testing.T) {
	s, one, _ := found(t)
	tok := token(t, s, one.id, cluster.TokenOptions{Uses: 1})
	dir := t.TempDir()
	id, _, err := join(t, dir, one.addr, tok, nil)
	must(t, err)
	for _, lost := range [][]string{{"node.crt"}, {"node.crt", "ca.crt"}} {
		for _, f := range lost {
			must(t, os.Remove(filepath.Join(dir, f)))
		}
		again, _, err := join(t, dir, one.addr, tok, nil)
		must(t, err)
		if again.Self() != id.Self() {
			t.Errorf("retry became %v, was %v", again.Self(), id.Self())
		}
	}
}

func TestRemovedNodeIsCutAndRefused(t *testing.T) {
	s, one, _ := found(t)
	ln := listen(t)
	id, first, err := join(t, t.TempDir(), one.addr, token(t, s, one.id, cluster.TokenOptions{}), ln)
	must(t, err)
	two := boot(t, s, id, ln, first)
	eventually(t, "two is fresh", func() bool { return two.agent.Fresh() == nil })
	l := one.net.Listen(rpc.ProtoChunk)
	accepted := make(chan rpc.Conn, 1)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			accepted <- c
		}
	}()
	live, err := two.net.Dial(t.Context(), one.addr, 1, rpc.ProtoChunk)
	must(t, err)
	defer live.Close()
	server := <-accepted
	defer server.Close()

	_, err = meta.Do(t.Context(), s.remote(), &meta.RemoveNode{ID: 2})
	must(t, err)
	one.tracker.Refresh()
	must(t, live.SetReadDeadline(time.Now().Add(5*time.Second)))
	if _, err := live.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the live connection of a removed node was not cut: %v", err)
	}
	// TLS 1.3: the client may believe in its handshake until it reads.
	if c, err := two.net.Dial(t.Context(), one.addr, 1, rpc.ProtoChunk); err == nil {
		must(t, c.SetReadDeadline(time.Now().Add(5*time.Second)))
		if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("a removed node was let in: %v", err)
		}
		c.Close()
	}
	if err := one.id.Authorize(2); !errors.Is(err, honeyant.Permission) {
		t.Errorf("authorize: %v", err)
	}
	l.Close()
	for len(accepted) > 0 {
		(<-accepted).Close()
		t.Error("a connection of a removed node was handed out")
	}
}

func TestLoadIdentityFaults(t *testing.T) {
	fresh := func(t *testing.T) string {
		dir := filepath.Join(t.TempDir(), "identity")
		_, err := cluster.Init(dir)
		must(t, err)
		return dir
	}
	for name, tc := range map[string]struct {
		harm func(t *testing.T, dir string)
		kind honeyant.Kind
	}{
		"none":           {func(t *testing.T, dir string) { must(t, os.RemoveAll(dir)) }, honeyant.NotExist},
		"no certificate": {func(t *testing.T, dir string) { must(t, os.Remove(filepath.Join(dir, "node.crt"))) }, honeyant.NotExist},
		"no key":         {func(t *testing.T, dir string) { must(t, os.Remove(filepath.Join(dir, "node.key"))) }, honeyant.Corrupt},
		"no authority":   {func(t *testing.T, dir string) { must(t, os.Remove(filepath.Join(dir, "ca.crt"))) }, honeyant.Corrupt},
		"rubbish": {func(t *testing.T, dir string) {
			must(t, os.WriteFile(filepath.Join(dir, "ca.crt"), []byte("x"), 0o600))
		}, honeyant.Corrupt},
		"another's key":   {func(t *testing.T, dir string) { swap(t, dir, fresh(t), "node.key") }, honeyant.Corrupt},
		"another's CA":    {func(t *testing.T, dir string) { swap(t, dir, fresh(t), "ca.crt") }, honeyant.Corrupt},
		"a CA as a node":  {func(t *testing.T, dir string) { swapAs(t, dir, dir, "ca.crt", "node.crt") }, honeyant.Corrupt},
		"another's paper": {func(t *testing.T, dir string) { swap(t, dir, fresh(t), "node.crt") }, honeyant.Corrupt},
	} {
		t.Run(name, func(t *testing.T) {
			dir := fresh(t)
			tc.harm(t, dir)
			if _, err := cluster.LoadIdentity(dir); !errors.Is(err, tc.kind) {
				t.Errorf("%v, want %v", err, tc.kind)
			}
		})
	}
	dir := fresh(t)
	if _, err := cluster.Init(dir); !errors.Is(err, honeyant.Exist) {
		t.Errorf("init twice: %v", err)
	}
}

func swap(t *testing.T, dir, from, name string) { t.Helper(); swapAs(t, dir, from, name, name) }

func swapAs(t *testing.T, dir, from, name, as string) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(from, name))
	must(t, err)
	must(t, os.WriteFile(filepath.Join(dir, as), raw, 0o600))
}

// A machine whose clock stands in the year 2000, as in a synctest bubble, joins a cluster
// made today, and both reach each other (rule 33).
func TestClockFarBehind(t *testing.T) {
	_, one, _ := found(t)
	ca := one.id
	synctest.Test(t, func(t *testing.T) {
		if time.Now().Year() > 2001 {
			t.Skip("the bubble's clock is not far behind")
		}
		conn, cert, err := rpc.DialJoin(t.Context(), one.addr, ca.Pin())
		must(t, err)
		defer conn.Close()
		if sha256.Sum256(cert.Raw) != ca.Pin() || conn.Peer() != 1 {
			t.Errorf("peer %v", conn.Peer())
		}
	})
}
