package gateway

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/certmagic"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/gateway/colony"
	"github.com/honeyant/honeyant/gateway/ledger"
	"github.com/honeyant/honeyant/volume/fileapi"
)

// DefaultSocket is the daemon's where none is configured.
const DefaultSocket = "/var/lib/honeyant/honeyant.sock"

// place is a directory of a volume, reached through a daemon.
type place struct {
	Socket string         `json:"socket,omitempty"` // of the daemon; DefaultSocket
	Path   string         `json:"path,omitempty"`   // directory in the volume
	Limit  caddy.Duration `json:"limit,omitempty"`  // of one call, and of one piece of a file; the deadline file_read
}

func (p *place) client() *fileapi.Client {
	if p.Socket == "" {
		p.Socket = DefaultSocket
	}
	if p.Limit == 0 {
		p.Limit = caddy.Duration(ledger.Defaults().FileRead)
	}
	return fileapi.New(p.Socket, time.Duration(p.Limit))
}

// UnmarshalCaddyfile reads `honeyant [PATH] { socket FILE; path PATH; limit TIME }`.
func (p *place) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if d.NextArg() {
		p.Path = d.Val()
	}
	for d.NextBlock(0) {
		name := d.Val()
		var value string
		if !d.AllArgs(&value) {
			return d.ArgErr()
		}
		switch name {
		case "socket":
			p.Socket = value
		case "path":
			p.Path = value
		case "limit":
			v, err := caddy.ParseDuration(value)
			if err != nil || v <= 0 {
				return d.Errf("limit %q: write a time such as 30s", value)
			}
			p.Limit = caddy.Duration(v)
		default:
			return d.Errf("honeyant takes socket, path and limit, not %q", name)
		}
	}
	return nil
}

// fsModule serves sites from a volume:
//
//	filesystem colony honeyant /www
type fsModule struct {
	place
	fs.StatFS `json:"-"`
	opened    *fileapi.Client
}

// CaddyModule is Caddy's.
func (m *fsModule) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "caddy.fs.honeyant", New: func() caddy.Module { return new(fsModule) }}
}

// Open opens a file.
func (m *fsModule) Open(name string) (fs.File, error) {
	f, err := m.StatFS.Open(name)
	return f, unavailable(err)
}

// Stat tells what a name is.
func (m *fsModule) Stat(name string) (fs.FileInfo, error) {
	i, err := m.StatFS.Stat(name)
	return i, unavailable(err)
}

// unavailable gives status 503 to errors of a daemon that does not answer.
func unavailable(err error) error {
	if errors.Is(err, honeyant.Unavailable) {
		return caddyhttp.Error(http.StatusServiceUnavailable, err)
	}
	return err
}

// Provision connects nothing yet: a daemon that is down is an error of each request.
func (m *fsModule) Provision(caddy.Context) error {
	m.opened = m.client()
	m.StatFS = &colony.FS{Client: m.opened, Root: m.Path}
	return nil
}

// Cleanup closes connections.
func (m *fsModule) Cleanup() error {
	if m.opened == nil {
		return nil
	}
	return m.opened.Close()
}

// storageModule keeps certificates in a volume:
//
//	storage honeyant /.gateway
type storageModule struct {
	place
	storage *colony.Storage
}

// DefaultStorage is the directory for certificates where none is configured.
const DefaultStorage = "/.honeyant/gateway"

// CaddyModule is Caddy's.
func (m *storageModule) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "caddy.storage.honeyant", New: func() caddy.Module { return new(storageModule) }}
}

// Provision connects nothing yet.
func (m *storageModule) Provision(ctx caddy.Context) error {
	if m.Path == "" {
		m.Path = DefaultStorage
	}
	m.storage = colony.NewStorage(m.client(), m.Path, ctx.Slogger())
	return nil
}

// CertMagicStorage is Caddy's.
func (m *storageModule) CertMagicStorage() (certmagic.Storage, error) {
	if m.storage == nil {
		return nil, fmt.Errorf("the storage was not provisioned")
	}
	return m.storage, nil
}

// Cleanup ends the renewing of locks.
func (m *storageModule) Cleanup() error {
	if m.storage == nil {
		return nil
	}
	return m.storage.Close()
}

var (
	_ caddy.StorageConverter = (*storageModule)(nil)
	_ caddy.CleanerUpper     = (*storageModule)(nil)
	_ caddy.CleanerUpper     = (*fsModule)(nil)
	_ fs.StatFS              = (*fsModule)(nil)
)
