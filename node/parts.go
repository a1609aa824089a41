package node

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"net"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/cluster"
	"github.com/honeyant/honeyant/config"
	"github.com/honeyant/honeyant/disk"
	"github.com/honeyant/honeyant/rpc"
)

// Parts are what a node stands on besides its directory of configuration and identity. Nil
// ones are the real thing; package clustertest brings networks and disks in memory.
type Parts struct {
	// Listen opens the node's one port.
	Listen func(c *config.Config, id *cluster.Identity, o rpc.Options) (Network, error)
	// DialJoin connects to a member whose authority the pin names, as rpc.DialJoin does.
	DialJoin func(ctx context.Context, addr string, pin [sha256.Size]byte) (rpc.Conn, *x509.Certificate, error)
	// Disk is the directory of a store.
	Disk func(path string) (disk.FS, error)
	// FS is where the metadata and their log are.
	FS vfs.FS
}

// Network is the node's one port.
type Network interface {
	rpc.Network
	// Recheck closes the connections to nodes that are no members any more.
	Recheck()
	Close() error
}

func (p Parts) withDefaults() Parts {
	if p.Listen == nil {
		p.Listen = listenTLS
	}
	if p.DialJoin == nil {
		p.DialJoin = rpc.DialJoin
	}
	if p.Disk == nil {
		p.Disk = func(path string) (disk.FS, error) { return disk.OpenDir(path) }
	}
	if p.FS == nil {
		p.FS = vfs.Default
	}
	return p
}

func listenTLS(c *config.Config, id *cluster.Identity, o rpc.Options) (Network, error) {
	ln, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return nil, honeyant.E("node.Open", honeyant.Conflict, c.Listen, fmt.Errorf("%w; `honeyant doctor` tells more", err))
	}
	return rpc.NewTLS(ln, id, o), nil
}

// syncDir makes the names in a directory durable.
func syncDir(fs vfs.FS, path string) error {
	d, err := fs.OpenDir(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
