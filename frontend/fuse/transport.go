package fuse

import (
	"errors"
	"fmt"
	"log/slog"
	"os"

	gofuse "github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/frontend/fuse/uring"
)

// Transport is the way by which requests come from the kernel.
type Transport string

// Transports.
const (
	// TransportAuto takes io_uring where the machine has it, and else the device.
	TransportAuto Transport = "auto"
	// TransportURing is FUSE over io_uring: Linux 6.14, root, and a switch of the kernel that is turned on if it is off.
	TransportURing Transport = "uring"
	// TransportDev is /dev/fuse.
	TransportDev Transport = "dev"
)

// ParseTransport reads the name of a transport; the empty one is auto. Kind: Invalid.
func ParseTransport(name string) (Transport, error) {
	switch t := Transport(name); t {
	case "":
		return TransportAuto, nil
	case TransportAuto, TransportURing, TransportDev:
		return t, nil
	}
	return "", honeyant.E("fuse.ParseTransport", honeyant.Invalid, name, errors.New("want auto, uring or dev"))
}

// ConnectOptions of a connection.
type ConnectOptions struct {
	Transport Transport // default auto
	// Notices makes root's connection one that can be written to, for notices to the kernel.
	Notices bool
	// Gone is called when the connection has ended and requests may still be under way; only over io_uring, where
	// nobody else would end them early.
	Gone func()
	Log  *slog.Logger
}

// Connection is a mounted file system that Serve has to be called for.
type Connection struct {
	Transport Transport // what it became: uring or dev
	device    int       // to write notices to, -1: none; as long as Serve runs
	serve     func()
}

// Serve answers requests until the connection has ended and all have been answered, then calls OnUnmount.
func (c *Connection) Serve() { c.serve() }

// Connect mounts fs at path over the transport asked for. with.MaxInflightRequestBytes bounds the memory for requests
// under way. Errors are the kernel's.
func Connect(fs gofuse.RawFileSystem, path string, with *gofuse.MountOptions, o ConnectOptions) (*Connection, error) {
	layout, why := rings(with, o.Transport, o.Log)
	switch {
	case why == nil:
		c, err := connectRings(fs, path, *with, layout, o)
		if err == nil || o.Transport == TransportURing {
			return c, err
		}
		o.Log.Warn("fuse: no connection over io_uring, taking /dev/fuse", "error", err)
	case o.Transport == TransportURing:
		return nil, why
	case o.Transport != TransportDev:
		o.Log.Info("fuse: requests come over /dev/fuse", "because", why)
	}
	return connectDevice(fs, path, *with, o)
}

func connectDevice(fs gofuse.RawFileSystem, path string, with gofuse.MountOptions, o ConnectOptions) (*Connection, error) {
	device := -1
	from := path
	if o.Notices && with.DirectMountStrict {
		fd, err := mountDevice(path, &with)
		if err != nil {
			return nil, err
		}
		device, from = fd, fmt.Sprintf("/dev/fd/%d", fd)
		with.DirectMountStrict = false // it is mounted
	}
	server, err := gofuse.NewServer(fs, from, &with)
	if err != nil {
		if device >= 0 {
			err = errors.Join(err, unix.Unmount(path, unix.MNT_DETACH))
		}
		return nil, err
	}
	return &Connection{Transport: TransportDev, device: device, serve: server.Serve}, nil
}

func connectRings(fs gofuse.RawFileSystem, path string, with gofuse.MountOptions, layout uring.Layout, o ConnectOptions) (*Connection, error) {
	with.MaxWrite = layout.Payload
	fd, err := mountDevice(path, &with)
	if err != nil {
		return nil, err
	}
	server, err := uring.New(uring.Options{FD: fd, FS: fs, Protocol: &with, Layout: layout, Gone: o.Gone, Log: o.Log})
	if err != nil {
		return nil, errors.Join(err, unix.Unmount(path, unix.MNT_DETACH))
	}
	o.Log.Info("fuse: requests come over io_uring", "path", path, "entries_per_cpu", layout.Depth, "request_kib", layout.Payload>>10)
	return &Connection{Transport: TransportURing, device: fd, serve: server.Serve}, nil
}

// rings tells how to cut the memory for FUSE over io_uring, or why there will be none. It turns the kernel's switch on.
func rings(with *gofuse.MountOptions, t Transport, log *slog.Logger) (uring.Layout, error) {
	if t == TransportDev {
		return uring.Layout{}, errors.New("it was asked for")
	}
	state := uring.Look()
	switch {
	case os.Geteuid() != 0:
		return uring.Layout{}, errors.New("FUSE over io_uring needs root")
	case !state.Kernel:
		return uring.Layout{}, errors.New("this kernel has no FUSE over io_uring (Linux 6.14, CONFIG_FUSE_IO_URING)")
	case state.Rings != nil:
		return uring.Layout{}, state.Rings
	}
	layout, err := uring.Fit(with.MaxInflightRequestBytes)
	if err != nil {
		return uring.Layout{}, err
	}
	if !state.Switch {
		if err := uring.SwitchOn(); err != nil {
			return uring.Layout{}, err
		}
		log.Info("fuse: turned on FUSE over io_uring for this machine, until it restarts", "file", uring.Parameter)
	}
	return layout, nil
}
