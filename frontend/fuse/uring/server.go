package uring

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	gofuse "github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// ErrNotOffered says that the kernel did not offer io_uring for this connection.
var ErrNotOffered = errors.New("the kernel offers no FUSE over io_uring")

// Options of a Server.
type Options struct {
	// FD is a mounted connection whose INIT nobody has read. The server closes it when it ends.
	FD int
	// FS answers. Its methods may block.
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
	lanes    []*lane
	watch    watch
	helpers  helpers
	began    time.Time
	onGone   func()
	log      *slog.Logger

	threads sync.WaitGroup // goroutines of this server
	leads   atomic.Int32
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
		fd: o.FD, fs: o.FS, layout: o.Layout, log: o.Log, onGone: o.Gone, gone: make(chan struct{}), began: time.Now(),
		watch:    watch{stirs: make(chan struct{}, 1)},
		helpers:  helpers{work: make(chan apart)},
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

// open makes a lane for each CPU that runs; the first serves those that do not, too.
func (s *Server) open() error {
	entries := map[int][]*entry{}
	for cpu, depth := range s.layout.depths() {
		q := &queue{server: s, id: uint16(cpu), depth: depth}
		var err error
		if q.arena, err = newArena(depth, s.layout.Payload); err != nil {
			return err
		}
		s.queues = append(s.queues, q)
		by := s.layout.Online[0]
		if slices.Contains(s.layout.Online, cpu) {
			by = cpu
		}
		entries[by] = append(entries[by], q.arena.entries(q, depth, s.layout.Payload)...)
	}
	for _, cpu := range s.layout.Online {
		for i, e := range entries[cpu] {
			e.number = uint64(i)
		}
		l, err := newLane(s, cpu, entries[cpu])
		if err != nil {
			return err
		}
		s.lanes = append(s.lanes, l)
	}
	if err := s.init(s.readBuffer()); err != nil {
		return err
	}
	registered := make(chan error, len(s.lanes)) // all may answer after the first refusal
	for _, l := range s.lanes {
		s.threads.Add(1)
		go l.open(registered)
	}
	var faults []error
	for range s.lanes {
		faults = append(faults, <-registered)
	}
	if err := errors.Join(faults...); err != nil {
		for _, l := range s.lanes {
			l.close()
		}
		return err
	}
	s.threads.Add(1)
	go s.guard()
	return nil
}

// Serve returns when the connection has ended, however, and all requests under way have been answered.
func (s *Server) Serve() {
	s.listen()
	close(s.gone)
	s.onGone()
	for _, l := range s.lanes {
		l.close()
	}
	s.threads.Wait()
	s.free()
	s.fs.OnUnmount()
}

// Threads tells how many threads wait for requests, or did: one for each CPU, and one more for each answer that took
// unexpectedly long at the same time.
func (s *Server) Threads() int { return int(s.leads.Load()) }

// now is the time since the server began.
func (s *Server) now() time.Duration { return time.Since(s.began) }

func (s *Server) free() {
	for _, q := range s.queues {
		q.arena.free()
	}
	for _, l := range s.lanes {
		l.free()
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
