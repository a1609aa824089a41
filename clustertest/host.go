package clustertest

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/admin"
	"github.com/honeyant/honeyant/cluster"
	"github.com/honeyant/honeyant/config"
	"github.com/honeyant/honeyant/disk"
	"github.com/honeyant/honeyant/node"
	"github.com/honeyant/honeyant/rpc"
	"github.com/honeyant/honeyant/volume"
)

// Host is the machine of one node: what stays when the node dies.
type Host struct {
	ID   honeyant.NodeID
	Addr string
	Disk *Disk

	c    *Cluster
	life atomic.Int64 // how many nodes died here; counts the directories
	dir  string
	node atomic.Pointer[node.Node]
	dead atomic.Bool
}

func (c *Cluster) newHost(id honeyant.NodeID) *Host {
	h := &Host{ID: id, Addr: fmt.Sprintf("10.0.0.%d:7268", id), c: c, dir: c.path(id, 0)}
	h.Disk = newDisk(h.dir)
	c.hosts[id] = h
	return h
}

// Node is the running node, nil if there is none. Safe for concurrent use.
func (h *Host) Node() *node.Node {
	if h.dead.Load() {
		return nil
	}
	return h.node.Load()
}

// Lives counts how often the node died. Safe for concurrent use.
func (h *Host) Lives() int { return int(h.life.Load()) }

// Volume is the node's volume; the test fails if there is none within a minute.
func (h *Host) Volume() *volume.Volume {
	h.c.TB.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var v *volume.Volume
	h.c.Eventually("a volume", time.Minute, func() bool {
		var err error
		v, err = h.Node().Volume(ctx)
		return err == nil
	})
	return v
}

// Command runs a command of the node's socket.
func (h *Host) Command(name string, params, result any) error {
	n := h.Node()
	if n == nil {
		return honeyant.E("clustertest.Command", honeyant.Unavailable, h.ID.String(), errors.New("it does not run"))
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	return n.Command(ctx, name, params, result)
}

// parts are the network and the disks in memory.
func (h *Host) parts() node.Parts {
	return node.Parts{
		Listen: func(_ *config.Config, id *cluster.Identity, _ rpc.Options) (node.Network, error) {
			return &network{h.c.World.Node(h.ID, h.Addr), id}, nil
		},
		DialJoin: h.dialJoin,
		Disk:     func(string) (disk.FS, error) { return h.Disk.Chunks(), nil },
		FS:       h.Disk.Files(),
	}
}

// dialJoin connects as a machine that has no certificate yet.
func (h *Host) dialJoin(ctx context.Context, addr string, pin [sha256.Size]byte) (rpc.Conn, *x509.Certificate, error) {
	text, err := os.ReadFile(config.Layout(h.c.hosts[1].dir).Identity() + "/ca.crt")
	if err != nil {
		return nil, nil, err
	}
	block, _ := pem.Decode(text)
	ca, err := x509.ParseCertificate(block.Bytes)
	if err != nil || sha256.Sum256(ca.Raw) != pin {
		return nil, nil, honeyant.E("clustertest.dialJoin", honeyant.Permission, addr, err)
	}
	conn, err := h.c.World.Node(h.ID, h.Addr).Dial(ctx, addr, 0, rpc.ProtoJoin)
	return conn, ca, err
}

func (h *Host) place() (node.Place, error) {
	if err := os.MkdirAll(h.dir, 0o700); err != nil {
		return node.Place{}, err
	}
	cfg := config.Default()
	cfg.Dir, cfg.Name, cfg.Listen = h.dir, h.ID.String(), h.Addr
	cfg.Stores = []config.Store{{Path: h.dir + "/store", Capacity: config.Size(h.c.o.Capacity)}}
	cfg.Memory = config.MinMemory
	if h.c.o.Tune != nil {
		h.c.o.Tune(cfg)
	}
	return node.Place{Dir: h.dir, Parts: h.parts()}, config.Write(h.dir, cfg)
}

func (h *Host) init() error {
	p, err := h.place()
	if err != nil {
		return err
	}
	_, err = node.Init(context.Background(), p)
	return err
}

func (h *Host) join(j admin.Join) error {
	p, err := h.place()
	if err != nil {
		return err
	}
	r, err := node.Join(context.Background(), p, j)
	if err == nil && r.Node != h.ID.String() {
		err = fmt.Errorf("it is %s, not %v", r.Node, h.ID)
	}
	return err
}

func (h *Host) start() error {
	if h.Node() != nil {
		return errors.New("it runs")
	}
	n, err := node.Open(context.Background(), h.dir, node.Options{Quiet: true, Parts: h.parts(), Log: h.c.log.With("at", h.ID)})
	if err != nil {
		return err
	}
	h.node.Store(n)
	h.dead.Store(false)
	return nil
}

func (h *Host) stop() error {
	n := h.node.Swap(nil)
	if n == nil {
		return nil
	}
	return n.Close()
}

// fall gives the machine the disks and the directory as they are after the death of the
// process or of the machine; what is left of the old node ends in the background.
func (h *Host) fall(process bool) {
	h.c.TB.Helper()
	old := h.node.Swap(nil)
	next := h.c.path(h.ID, int(h.life.Add(1)))
	h.c.check(h.Disk.fall(process, h.c.Rand, h.dir, next))
	h.c.check(os.CopyFS(next, os.DirFS(h.dir)))
	h.dir = next
	if old != nil {
		h.c.ending.Go(func() { _ = old.Close() }) // it can reach nobody and its disks are nobody's
	}
}

// network is memnet with the checks that TLS makes.
type network struct {
	rpcNode
	id *cluster.Identity
}

type rpcNode interface {
	rpc.Network
	Recheck(authorize func(honeyant.NodeID) error)
	Close() error
}

// Recheck implements node.Network.
func (n *network) Recheck() { n.rpcNode.Recheck(n.id.Authorize) }

// Dial implements rpc.Network.
func (n *network) Dial(ctx context.Context, addr string, to honeyant.NodeID, p rpc.Proto) (rpc.Conn, error) {
	if to != 0 {
		if err := n.id.Authorize(to); err != nil {
			return nil, err
		}
	}
	return n.rpcNode.Dial(ctx, addr, to, p)
}

// Listen implements rpc.Network.
func (n *network) Listen(p rpc.Proto) rpc.Listener { return &listener{n.rpcNode.Listen(p), n.id} }

type listener struct {
	rpc.Listener
	id *cluster.Identity
}

// Accept hands out connections of members only.
func (l *listener) Accept() (rpc.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil || conn.Peer() == 0 || l.id.Authorize(conn.Peer()) == nil {
			return conn, err
		}
		conn.Close()
	}
}
