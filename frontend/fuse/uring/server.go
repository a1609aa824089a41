package uring

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	gofuse "github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// ErrNotOffered says that the kernel did not offer io_uring for this connection.
var ErrNotOffered = errors.New("the kernel offers no FUSE over io_uring")

// Options of a Server.
type Options struct {
	// FD is a mounted connection whose INIT nobody has read. The server closes it when it ends.
	FD int
	// FS answers. Its methods are called on threads of the CPU of the program that waits and may block.
	FS gofuse.RawFileSystem
	// Protocol is what to negotiate; MaxWrite must be Layout.Payload, in the mount's max_read too.
	Protocol *gofuse.MountOptions
	Layout   Layout
	// Gone is called, if set, when the connection has ended, so that requests under way can be ended early.
	Gone func()
	Log  *slog.Logger // default: discards
}

// Server serves one connection.
type Server struct {
	fd       int
	fs       gofuse.RawFileSystem
	protocol *gofuse.ProtocolServer
	layout   Layout
	queues   []*queue
	spare    *spare
	onGone   func()
	log      *slog.Logger

	threads sync.WaitGroup // goroutines of this server
	workers atomic.Int32
	gone    chan struct{}
}

// New answers INIT and registers the queues; from then on requests are served. Whatever it returns, FD is the server's.
// Errors: ErrNotOffered, or what the kernel said.
func New(o Options) (*Server, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Gone == nil {
		o.Gone = func() {}
	}
	protocol := *o.Protocol
	protocol.ExtraCapabilities |= gofuse.CAP_OVER_IO_URING
	s := &Server{
		fd: o.FD, fs: o.FS, layout: o.Layout, log: o.Log, onGone: o.Gone, gone: make(chan struct{}),
		protocol: gofuse.NewProtocolServer(o.FS, &protocol),
	}
	if err := s.open(); err != nil {
		close(s.gone)
		s.threads.Wait()
		s.free()
		return nil, err
	}
	return s, nil
}

func (s *Server) open() error {
	for cpu, depth := range s.layout.depths() {
		q := &queue{server: s, id: uint16(cpu), depth: depth}
		var err error
		if q.arena, err = newArena(depth, s.layout.Payload); err != nil {
			return err
		}
		s.queues = append(s.queues, q)
	}
	var err error
	if s.spare, err = newSpare(s); err != nil {
		return err
	}
	made, start := make(chan error), make(chan bool)
	s.threads.Add(1)
	go s.spare.run(made, start)
	if err := <-made; err != nil {
		return err
	}
	err = s.init(s.readBuffer())
	start <- err == nil
	if err == nil {
		err = <-made
	}
	return err
}

// Serve returns when the connection has ended, however, and all requests under way have been answered.
func (s *Server) Serve() {
	s.listen()
	close(s.gone)
	s.onGone()
	s.spare.close()
	s.threads.Wait()
	s.free()
	s.fs.OnUnmount()
}

// Threads tells how many threads serve requests: as many as there were at once, at most.
func (s *Server) Threads() int { return int(s.workers.Load()) }

func (s *Server) free() {
	for _, q := range s.queues {
		q.arena.free()
	}
	if s.spare != nil {
		_ = unix.Close(s.spare.wake) // nothing is buffered
	}
	_ = unix.Close(s.fd)
}

// ended notes why an entry came back without a request.
func (s *Server) ended(res int32) {
	switch errno := unix.Errno(-res); errno {
	case unix.ENOTCONN, unix.ECONNABORTED, unix.ENODEV, unix.ECANCELED: // the connection has ended
	default:
		s.log.Error("fuse: a ring entry is lost", "error", fmt.Errorf("%w", errno))
	}
}
