package selftest

import (
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// fullPort is a listening socket whose queue is full: whoever connects hears nothing.
type fullPort struct {
	address string
	fd      int
	fill    []net.Conn
}

func newFullPort(host string, port int) (*fullPort, error) {
	ip := net.ParseIP(host)
	var at unix.Sockaddr
	family := unix.AF_INET
	if v4 := ip.To4(); v4 != nil {
		a := &unix.SockaddrInet4{Port: port}
		copy(a.Addr[:], v4)
		at = a
	} else if ip != nil {
		family = unix.AF_INET6
		a := &unix.SockaddrInet6{Port: port}
		copy(a.Addr[:], ip)
		at = a
	} else {
		return nil, fmt.Errorf("the origin needs an IP address to listen on, not %q", host)
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	p := &fullPort{fd: fd}
	reuse := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	if err := errors.Join(reuse, unix.Bind(fd, at), unix.Listen(fd, 0)); err != nil {
		return nil, errors.Join(err, p.close())
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		return nil, errors.Join(err, p.close())
	}
	switch n := name.(type) {
	case *unix.SockaddrInet4:
		port = n.Port
	case *unix.SockaddrInet6:
		port = n.Port
	}
	p.address = net.JoinHostPort(host, fmt.Sprint(port))
	// A queue of 0 takes one connection, on some kernels two; whoever comes then gets no answer to its SYN.
	const most, wait = 8, 150 * time.Millisecond
	for range most {
		c, err := net.DialTimeout("tcp", p.address, wait)
		if err != nil {
			return p, nil
		}
		p.fill = append(p.fill, c)
	}
	return nil, errors.Join(errors.New("the queue of a listening socket can not be filled on this machine"), p.close())
}

func (p *fullPort) close() error {
	for _, c := range p.fill {
		_ = c.Close() // nothing was said on it
	}
	return os.NewSyscallError("close", unix.Close(p.fd))
}
