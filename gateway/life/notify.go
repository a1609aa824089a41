package life

import (
	"errors"
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// notifySocket is where the address of systemd's socket stands after KeepNotify.
const notifySocket = "HONEYANT_NOTIFY_SOCKET"

// KeepNotify makes this process the one that talks with systemd, and not Caddy within it, which says READY=1 after its first
// load even if that has failed: systemctl start would succeed. Caddy reads the variable before any code of ours runs, so
// the process begins anew, with the same number, without it. Call it before anything else is opened. Without systemd nothing happens.
func KeepNotify() error {
	path := os.Getenv("NOTIFY_SOCKET")
	if path == "" {
		return nil
	}
	program, err := os.Executable()
	if err == nil {
		err = errors.Join(os.Unsetenv("NOTIFY_SOCKET"), os.Setenv(notifySocket, path))
	}
	if err == nil {
		err = unix.Exec(program, os.Args, os.Environ())
	}
	return fmt.Errorf("beginning anew without NOTIFY_SOCKET: %w", err)
}

// Notify tells systemd something, such as "READY=1" or "MAINPID=812" (sd_notify(3)), after KeepNotify. Without systemd nothing
// happens.
func Notify(state string) error {
	path := os.Getenv(notifySocket)
	if path == "" {
		return nil
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"}) // Go reads a leading @ as the abstract name space
	if err != nil {
		return fmt.Errorf("telling systemd %s: %w", state, err)
	}
	_, err = conn.Write([]byte(state))
	return errors.Join(err, conn.Close())
}
