package config

import (
	"os"
	"path/filepath"
	"strings"
	"time"
)

// FileName is the configuration file's name in the node's directory.
const FileName = "honeyant.toml"

// DefaultPort is the one port of a node.
const DefaultPort = "7268"

// Config is the configuration of one node. Relative paths are relative to Dir.
type Config struct {
	Dir string // where it was loaded from; not part of the file

	Name      string // of this machine, for people
	Listen    string // host:port
	Advertise string // host:port where others reach this node; empty: see Address
	Zone      string // machines of a zone fail together; empty: one zone for all
	Stores    []Store
	Mounts    []Mount

	Memory          Size // cap of the daemon; 0: see MemoryBytes
	MetadataReserve Size // disk space kept for metadata; 0: see MetadataReserveOf

	DownAfter     time.Duration // silence until a node is down
	OutAfter      time.Duration // silence until a node's chunks are re-created elsewhere
	BackupEvery   time.Duration // how often the metadata are backed up into the stores
	FlushInterval time.Duration // how long written data may stay in memory without fsync
	CallDeadline  time.Duration // how long a file call waits when the cluster can not be reached
	KernelCache   bool          // the kernel may keep names and attributes under leases
	FUSETransport string        // how mounts get their requests: auto, uring, dev
	LogLevel      string        // debug, info, warn, error
}

// Store is a directory of this machine that holds chunks.
type Store struct {
	Path     string
	Capacity Size // 0: all that the disk has, but for the reserve
}

// Mount is a volume that the daemon mounts at start.
type Mount struct {
	Volume string
	Path   string
}

// Default is the configuration of a node whose file is empty or absent.
func Default() *Config {
	return &Config{
		Name: hostName(), Listen: "0.0.0.0:" + DefaultPort,
		Stores:    []Store{{Path: "store"}},
		DownAfter: 10 * time.Second, OutAfter: 10 * time.Minute,
		BackupEvery: time.Hour, FlushInterval: time.Second, CallDeadline: 30 * time.Second, KernelCache: true,
		FUSETransport: "auto", LogLevel: "info",
	}
}

// Clone is a copy that shares nothing.
func (c *Config) Clone() *Config {
	d := *c
	d.Stores = append([]Store(nil), c.Stores...)
	d.Mounts = append([]Mount(nil), c.Mounts...)
	return &d
}

// resolve makes the paths absolute.
func (c *Config) resolve() {
	for i := range c.Stores {
		if p := c.Stores[i].Path; p != "" && !filepath.IsAbs(p) {
			c.Stores[i].Path = filepath.Join(c.Dir, p)
		}
	}
	for i := range c.Mounts {
		if c.Mounts[i].Volume == "" {
			c.Mounts[i].Volume = "main"
		}
	}
}

// hostName is the machine's name, cut to what a node's name may be.
func hostName() string {
	name, err := os.Hostname()
	if err != nil {
		return "node"
	}
	name, _, _ = strings.Cut(name, ".")
	name = strings.Map(func(r rune) rune {
		if nameRune(r) {
			return r
		}
		return '-'
	}, name)
	name = strings.Trim(name[:min(len(name), maxLabel)], "-._")
	if name == "" {
		return "node"
	}
	return name
}
