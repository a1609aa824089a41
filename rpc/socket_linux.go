package rpc

import (
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// tuneSocket makes a silent peer noticed within about the given time: idle connections by
// keep-alive probes, those with unacknowledged data by the user timeout.
func tuneSocket(c net.Conn, silence time.Duration) error {
	t, ok := c.(*net.TCPConn)
	if !ok {
		return nil
	}
	err := t.SetKeepAliveConfig(net.KeepAliveConfig{
		Enable: true, Idle: max(silence/3, time.Second), Interval: max(silence/5, time.Second), Count: 3,
	})
	if err != nil {
		return err
	}
	raw, err := t.SyscallConn()
	if err != nil {
		return err
	}
	var set error
	err = raw.Control(func(fd uintptr) {
		set = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(silence.Milliseconds()))
	})
	if err != nil {
		return err
	}
	return set
}
