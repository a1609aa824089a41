package life

import (
	"errors"
	"fmt"
	"net"
	"os"
)

// Notify tells systemd something, such as "READY=1" or "MAINPID=812" (sd_notify(3)). Without systemd nothing happens.
func Notify(state string) error {
	path := os.Getenv("NOTIFY_SOCKET")
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
