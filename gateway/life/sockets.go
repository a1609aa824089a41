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
	live      map[*Conn]struct{}
	none      chan struct{} // closed when live gets empty, while somebody waits for that
}

// held is an open socket with those who listen on it.
type held struct {
	file      *os.File
	listeners map[*listener]struct{}
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
	s := &Sockets{held: map[string]*held{}, live: map[*Conn]struct{}{}}
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
		h = &held{f, map[*listener]struct{}{}}
		s.held[address] = h
	}
	ln, err := net.FileListener(h.file)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("listening on %s: %w", address, err), s.dropIfUnused(address))
	}
	tcp, ok := ln.(*net.TCPListener)
	if !ok {
		return nil, errors.Join(fmt.Errorf("listening on %s: the passed socket is no TCP socket", address), ln.Close(), s.dropIfUnused(address))
	}
	l := &listener{TCPListener: tcp, sockets: s, key: address}
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
	f, err := ln.(*net.TCPListener).File()
	if err := errors.Join(err, ln.Close()); err != nil {
		return nil, fmt.Errorf("keeping the socket of %s: %w", address, err)
	}
	return f, nil
}

// covers tells if a socket bound to have serves what was asked for: the same port, and the same
// address, or any address where any was asked for.
func covers(have netip.AddrPort, asked string) bool {
	host, port, err := net.SplitHostPort(asked)
	if err != nil || port != strconv.Itoa(int(have.Port())) {
		return false
	}
	addr, err := netip.ParseAddr(host)
	if host == "" || err == nil && addr.IsUnspecified() {
		return have.Addr().IsUnspecified()
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

// dropIfUnused closes the socket if nobody listens on it any more. The caller has the lock.
func (s *Sockets) dropIfUnused(key string) error {
	h := s.held[key]
	if h == nil || len(h.listeners) > 0 {
		return nil
	}
	delete(s.held, key)
	return h.file.Close()
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
		fd, err := unix.FcntlInt(s.held[key].file.Fd(), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			return nil, "", errors.Join(fmt.Errorf("copying the socket of %s: %w", key, err), closeAll(files))
		}
		files = append(files, os.NewFile(uintptr(fd), key))
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

// StopAccepting closes all listeners. Connections live on; those in the queue go to whoever shares the socket.
func (s *Sockets) StopAccepting() error {
	s.mu.Lock()
	var all []*listener
	for _, h := range s.held {
		for l := range h.listeners {
			all = append(all, l)
		}
	}
	s.mu.Unlock()
	var errs []error
	for _, l := range all {
		if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
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
	for c := range s.live {
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

// listener is one user's ear on a held socket.
type listener struct {
	*net.TCPListener
	sockets *Sockets
	key     string
	closing sync.Once
}

// Accept waits for the next connection, which counts as live until it is closed.
func (l *listener) Accept() (net.Conn, error) {
	tcp, err := l.AcceptTCP()
	if err != nil {
		return nil, err
	}
	c := &Conn{TCPConn: tcp, sockets: l.sockets}
	l.sockets.mu.Lock()
	l.sockets.live[c] = struct{}{}
	l.sockets.mu.Unlock()
	return c, nil
}

// Close stops this ear; the socket goes with the last one.
func (l *listener) Close() error {
	err := net.ErrClosed
	l.closing.Do(func() {
		err = l.TCPListener.Close()
		l.sockets.mu.Lock()
		defer l.sockets.mu.Unlock()
		if h := l.sockets.held[l.key]; h != nil {
			delete(h.listeners, l)
			err = errors.Join(err, l.sockets.dropIfUnused(l.key))
		}
	})
	return err
}

// Conn is an accepted connection that its Sockets know of. Everything that a *net.TCPConn can do it can.
type Conn struct {
	*net.TCPConn
	sockets *Sockets
	closing sync.Once
}

// Close closes the connection and takes it off the list; again it gives net.ErrClosed.
func (c *Conn) Close() error {
	err := net.ErrClosed
	c.closing.Do(func() {
		err = c.TCPConn.Close()
		s := c.sockets
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.live, c)
		if len(s.live) == 0 && s.none != nil {
			close(s.none)
			s.none = nil
		}
	})
	return err
}
