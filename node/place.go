package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/admin"
	"github.com/honeyant/honeyant/cluster"
	"github.com/honeyant/honeyant/config"
)

// Place is what init and join are told about this machine. Empty means the default.
type Place struct {
	Dir       string
	Name      string
	Listen    string
	Advertise string
	Zone      string
	Capacity  int64 // bytes; 0: all but a reserve
	NoStore   bool  // only mount
	Memory    int64 // bytes
	Parts     Parts
}

// configure makes the configuration of a new node, or adds to the one that is there already.
func (p *Place) configure() (*config.Config, error) {
	c, err := config.Load(p.Dir)
	if err != nil {
		return nil, err
	}
	set := func(to *string, value string) {
		if value != "" {
			*to = value
		}
	}
	set(&c.Name, p.Name)
	set(&c.Listen, p.Listen)
	set(&c.Advertise, p.Advertise)
	set(&c.Zone, p.Zone)
	if p.Memory > 0 {
		c.Memory = config.Size(p.Memory)
	}
	switch {
	case p.NoStore:
		c.Stores = []config.Store{}
	case p.Capacity > 0 && len(c.Stores) > 0:
		c.Stores[0].Capacity = config.Size(p.Capacity)
	}
	if err := c.Validate(); err != nil {
		return nil, err
	}
	return c, nil
}

// prepare locks the directory, refuses one that belongs to a colony already, and writes the
// configuration.
func (p *Place) prepare() (*config.Config, error) {
	dir, err := config.OpenDir(p.Dir)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	if id, err := cluster.LoadIdentity(dir.Identity()); err == nil && !id.Founding() {
		return nil, honeyant.E("node.Init", honeyant.Exist, p.Dir, fmt.Errorf("this directory is node %s of a colony already; start it with honeyant serve, or choose another --dir", id.Self()))
	}
	c, err := p.configure()
	if err != nil {
		return nil, err
	}
	return c, config.Write(p.Dir, c)
}

// joinDeadline bounds a join, which waits for the other machine.
const joinDeadline = time.Minute

// Init begins a colony in p.Dir and answers how the next machine joins. Interrupted at any
// step it can be repeated. Kinds: Exist if the directory belongs to a colony, Invalid.
func Init(ctx context.Context, p Place) (admin.Join, error) {
	if _, err := p.prepare(); err != nil {
		return admin.Join{}, err
	}
	if _, err := cluster.Init(filepath.Join(config.Layout(p.Dir).Identity())); err != nil && !errors.Is(err, honeyant.Exist) {
		return admin.Join{}, err
	}
	n, err := Open(ctx, p.Dir, Options{Quiet: true, Parts: p.Parts})
	if err != nil {
		return admin.Join{}, err
	}
	join, err := n.firstToken(ctx)
	return join, errors.Join(err, n.Close())
}

// firstToken waits until the stores are registered, so that a colony is whole from its start.
func (n *Node) firstToken(ctx context.Context) (admin.Join, error) {
	ctx, cancel := context.WithTimeout(ctx, foundDeadline)
	defer cancel()
	if err := n.stores.register(ctx, n.agent); err != nil {
		return admin.Join{}, err
	}
	return n.createToken(ctx, admin.TokenRequest{})
}

// Join makes the machine of p.Dir a member of the colony that join names. Interrupted at any
// step it can be repeated. Kinds: Exist, Invalid, Permission (token), Unavailable.
func Join(ctx context.Context, p Place, join admin.Join) (JoinReply, error) {
	c, err := p.prepare()
	if err != nil {
		return JoinReply{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, joinDeadline)
	defer cancel()
	layout := config.Layout(p.Dir)
	id, first, err := cluster.Join(ctx, cluster.JoinOptions{
		Dir: layout.Identity(), Address: withPort(join.Address), Token: join.Token, Dial: p.Parts.DialJoin,
		Member: cluster.Member{Name: c.Name, Address: c.Address(), Zone: c.Zone},
	})
	if err != nil {
		return JoinReply{}, err
	}
	if err := cluster.SaveMap(layout.MapFile(), first); err != nil {
		return JoinReply{}, err
	}
	return JoinReply{Node: id.Self().String(), Cluster: id.Cluster()}, nil
}

// withPort adds the default port to an address without one.
func withPort(address string) string {
	if _, _, err := net.SplitHostPort(address); err != nil {
		return net.JoinHostPort(address, config.DefaultPort)
	}
	return address
}

// Marker files in the node's directory.
const (
	promotedFile   = "promoted"   // promote was run: raise the incarnation before serving
	supersededFile = "superseded" // another was promoted: put the metadata aside before starting
)

func (n *Node) marker(name string) string { return filepath.Join(n.path, name) }

// setAside moves metadata that must not be used any more out of the way (rule 4). What the
// stores hold stays: chunk IDs and generations keep it apart.
func (n *Node) setAside() error {
	if _, err := os.Stat(n.marker(supersededFile)); err != nil {
		return nil
	}
	// A promotion of this node that was not through is over with what it promoted.
	if err := os.Remove(n.marker(promotedFile)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return honeyant.E("node.Open", honeyant.Internal, promotedFile, err)
	}
	suffix := ".superseded-" + time.Now().UTC().Format("20060102-150405")
	for _, dir := range []string{n.dir.Raft(), n.dir.Meta()} {
		if err := n.parts.FS.Rename(dir, dir+suffix); err != nil && !errors.Is(err, os.ErrNotExist) {
			return honeyant.E("node.Open", honeyant.Internal, dir, err)
		}
	}
	if err := syncDir(n.parts.FS, n.path); err != nil {
		return honeyant.E("node.Open", honeyant.Internal, n.path, err)
	}
	n.log.Warn("the metadata of this node were superseded by a promotion elsewhere; they are kept aside", "suffix", suffix)
	if err := os.Remove(n.marker(supersededFile)); err != nil {
		return honeyant.E("node.Open", honeyant.Internal, n.path, err)
	}
	return syncDir(vfs.Default, n.path)
}
