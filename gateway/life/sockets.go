package life

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// firstPassed is the first descriptor that a parent passes on, by systemd's convention (sd_listen_fds(3)) and os/exec's.
const firstPassed = 3

// socketNames is the variable in which a gateway tells its successor what the passed descriptors are:
// keys of Listen, separated by spaces, in the order of the descriptors. systemd's own variables name a pid
// that the parent can not know before the start.
const socketNames = "HONEYANT_GATEWAY_SOCKETS"

// Sockets are the listening TCP sockets of this process. Each is opened once, or taken over from the predecessor or
// from systemd, and every Listen of its address gets a listener of its own on that same socket, so that an
// old and a new configuration (or process) share one queue. The socket is closed with its last listener.
//
// All methods may be called from several goroutines.
type Sockets struct {
	mu        sync.Mutex
	held      map[string]*held // by key
	inherited []*inherited
	live      map[string]*Conn // by the address of the other end
	none      chan struct{}    // closed when live gets empty, while somebody waits for that
	paused    chan struct{}    // closed by Resume, nil if not paused
}

// inherited is a passed socket that nobody has asked for yet.
type inherited struct {
	key  string // "" from systemd
	addr netip.AddrPort
	file *os.File
}

// NewSockets takes over what the environment says was passed: by a predecessor or by systemd. It takes the
// variables out of the environment, so that no child believes them.
func NewSockets() (*Sockets, error) {
	s := &Sockets{held: map[string]*held{}, live: map[string]*Conn{}}
	var keys []string
	count := 0
	if names, ok := os.LookupEnv(socketNames); ok {
		keys = strings.Fields(names)
		count = len(keys)
	} else if pid, err := strconv.Atoi(os.Getenv("LISTEN_PID")); err == nil && pid == os.Getpid() {
		count, err = strconv.Atoi(os.Getenv("LISTEN_FDS"))
		if err != nil || count < 0 || count > 1024 {
			return nil, fmt.Errorf("LISTEN_FDS=%q is no number of sockets", os.Getenv("LISTEN_FDS"))
		}
		keys = make([]string, count)
	}
	for _, name := range []string{socketNames, "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"} {
		if err := os.Unsetenv(name); err != nil {
			return nil, err
		}
	}
	for i := range count {
		in, err := takeOver(firstPassed+i, keys[i])
		if err != nil {
			return nil, errors.Join(err, s.CloseUnclaimed())
		}
		s.inherited = append(s.inherited, in)
	}
	return s, nil
}

// Passed answers how many sockets were passed that nobody has asked for yet.
func (s *Sockets) Passed() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.inherited)
}

func takeOver(fd int, key string) (*inherited, error) {
	unix.CloseOnExec(fd)
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, fmt.Errorf("passed descriptor %d: %w", fd, err)
	}
	f := os.NewFile(uintptr(fd), "passed socket "+strconv.Itoa(fd))
	ln, err := net.FileListener(f)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("passed descriptor %d does not listen: %w", fd, err), f.Close())
	}
	in := &inherited{key: key, file: f}
	if tcp, ok := ln.Addr().(*net.TCPAddr); ok {
		in.addr = tcp.AddrPort()
	}
	return in, ln.Close() // only its address was wanted
}

// Listen gives a listener on a TCP address such as ":443" or "127.0.0.1:8443", which is the caller's to close.
// If the port is taken the error names who has it.
func (s *Sockets) Listen(ctx context.Context, address string, config net.ListenConfig) (net.Listener, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.held[address]
	if h == nil {
		f, err := s.open(ctx, address, config)
		if err != nil {
			return nil, err
		}
		h, err = s.hold(address, f)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("listening on %s: %w", address, err), f.Close())
		}
		s.held[address] = h
	}
	l := &listener{held: h, closed: make(chan struct{})}
	h.listeners[l] = struct{}{}
	return l, nil
}

// open finds the socket among the inherited ones or makes it. The caller has the lock.
func (s *Sockets) open(ctx context.Context, address string, config net.ListenConfig) (*os.File, error) {
	for i, in := range s.inherited {
		if in.key == address || in.key == "" && covers(in.addr, address) {
			s.inherited = slices.Delete(s.inherited, i, i+1)
			return in.file, nil
		}
	}
	ln, err := config.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, nameHolder(err, address)
	}
	f, err := duplicate(ln.(*net.TCPListener), address)
	if err := errors.Join(err, ln.Close()); err != nil {
		return nil, fmt.Errorf("keeping the socket of %s: %w", address, err)
	}
	return f, nil
}

// duplicate copies a descriptor without touching its mode, which all copies share: a File that package net makes
// would turn it to blocking once its Fd is asked for (by os/exec), and then neither accepting nor closing ends in time.
func duplicate(c syscall.Conn, name string) (*os.File, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, err
	}
	copied, copyErr := -1, error(nil)
	err = raw.Control(func(fd uintptr) { copied, copyErr = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0) })
	if err := errors.Join(err, copyErr); err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(copied), name), nil
}

// covers tells if a socket bound to have serves what was asked for: the same port, and the same
// address unless any was asked for.
func covers(have netip.AddrPort, asked string) bool {
	host, port, err := net.SplitHostPort(asked)
	if err != nil || port != strconv.Itoa(int(have.Port())) {
		return false
	}
	addr, err := netip.ParseAddr(host)
	if host == "" || err == nil && addr.IsUnspecified() {
		return true // who passes a socket of that port has chosen the address
	}
	return err == nil && addr.Unmap() == have.Addr().Unmap()
}

// nameHolder says who has the port that could not be had.
func nameHolder(err error, address string) error {
	if !errors.Is(err, unix.EADDRINUSE) {
		return err
	}
	_, text, splitErr := net.SplitHostPort(address)
	port, parseErr := strconv.ParseUint(text, 10, 16)
	if splitErr != nil || parseErr != nil {
		return err
	}
	holders, findErr := Holders(uint16(port))
	if findErr != nil || len(holders) == 0 {
		return fmt.Errorf("%w; who has it could not be found out, ask as root: ss -ltnp", err)
	}
	names := make([]string, len(holders))
	for i, h := range holders {
		names[i] = h.String()
	}
	return fmt.Errorf("%w: %s; stop it, or take over from a running gateway with: honeyant gateway upgrade", err, strings.Join(names, ", "))
}

// CloseUnclaimed closes the passed sockets that no configuration has asked for: a socket that
// nobody accepts from would let its clients hang.
func (s *Sockets) CloseUnclaimed() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for _, in := range s.inherited {
		errs = append(errs, in.file.Close())
	}
	s.inherited = nil
	return errors.Join(errs...)
}

// Addresses lists what is listened on, as it was asked for, sorted.
func (s *Sockets) Addresses() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.keys()
}

func (s *Sockets) keys() []string {
	var keys []string
	for key := range s.held {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

// passOn gives the descriptors for a successor and the variable that names them. The files are copies, to be closed by the caller.
func (s *Sockets) passOn() (files []*os.File, variable string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	keys := s.keys()
	for _, key := range keys {
		f, err := duplicate(s.held[key].file, key)
		if err != nil {
			return nil, "", errors.Join(fmt.Errorf("copying the socket of %s: %w", key, err), closeAll(files))
		}
		files = append(files, f)
	}
	return files, socketNames + "=" + strings.Join(keys, " "), nil
}

func closeAll(files []*os.File) error {
	var errs []error
	for _, f := range files {
		errs = append(errs, f.Close())
	}
	return errors.Join(errs...)
}

// Pause lets new connections wait in the kernel's queue until Resume, while one configuration gives way to another.
func (s *Sockets) Pause() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.paused == nil {
		s.paused = make(chan struct{})
	}
}

// Change remembers the listeners that are open. The function it answers waits until those of them are closed whose socket has
// got another one since, or the context ends, and tells how many are still open: Caddy says that a configuration is changed
// when it has begun to close the listeners of the one before.
func (s *Sockets) Change() (settled func(context.Context) int) {
	before := map[*listener]struct{}{}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range s.held {
		for l := range h.listeners {
			before[l] = struct{}{}
		}
	}
	open := func() int {
		s.mu.Lock()
		defer s.mu.Unlock()
		all := 0
		for _, h := range s.held {
			old, added := 0, false
			for l := range h.listeners {
				if _, ok := before[l]; ok {
					old++
				} else {
					added = true
				}
			}
			if added {
				all += old
			}
		}
		return all
	}
	return func(ctx context.Context) int {
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for {
			n := open()
			if n == 0 {
				return 0
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				return n
			}
		}
	}
}

// Resume ends a Pause; sockets that nobody listens on any more are closed.
func (s *Sockets) Resume() error {
	s.mu.Lock()
	if s.paused != nil {
		close(s.paused)
		s.paused = nil
	}
	var unused []*held
	for key, h := range s.held {
		if len(h.listeners) == 0 {
			delete(s.held, key)
			unused = append(unused, h)
		}
	}
	s.mu.Unlock()
	var errs []error
	for _, h := range unused {
		errs = append(errs, h.close())
	}
	return errors.Join(errs...)
}

// StopAccepting takes no more connections. Those it has live on; those in the kernel's queue go to whoever shares the socket.
func (s *Sockets) StopAccepting() error {
	s.mu.Lock()
	var all []*held
	for _, h := range s.held {
		all = append(all, h)
	}
	s.mu.Unlock()
	var errs []error
	for _, h := range all {
		errs = append(errs, h.stop())
	}
	return errors.Join(errs...)
}

// Used tells that a request came over the connection from that address.
func (s *Sockets) Used(remote string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.live[remote]; c != nil {
		c.used = true
	}
}

// Fresh counts the connections that a server has, over which no request has come yet, and that are younger than young; those
// that are older were opened in advance, as browsers do, and those that wait for the end of a pause are nobody's. A server that
// is told to end drops the first request of a fresh connection (net/http does), so it is told so only when there are none, or
// after a limit.
func (s *Sockets) Fresh(young time.Duration) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, c := range s.live {
		if c.given && !c.used && time.Since(c.since) < young {
			n++
		}
	}
	return n
}

// Live is the number of connections that are open.
func (s *Sockets) Live() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.live)
}

// Drain waits until no connection is open, at most until the context ends; then it closes the
// rest by force (RST) and says how many those were.
func (s *Sockets) Drain(ctx context.Context) (cut int) {
	s.mu.Lock()
	if len(s.live) == 0 {
		s.mu.Unlock()
		return 0
	}
	if s.none == nil {
		s.none = make(chan struct{})
	}
	none := s.none
	s.mu.Unlock()
	select {
	case <-none:
		return 0
	case <-ctx.Done():
	}
	s.mu.Lock()
	rest := make([]*Conn, 0, len(s.live))
	for _, c := range s.live {
		rest = append(rest, c)
	}
	s.mu.Unlock()
	for _, c := range rest {
		_ = c.SetLinger(0) // closed already: then there is nothing to cut
		if err := c.Close(); err == nil {
			cut++
		}
	}
	return cut
}
