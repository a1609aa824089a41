package node

import (
	"net"
	"os"
)

// NotifyReady tells systemd that the daemon serves (sd_notify(3)); without systemd nothing happens.
func NotifyReady() {
	path := os.Getenv("NOTIFY_SOCKET")
	if path == "" {
		return
	}
	if path[0] == '@' {
		path = "\x00" + path[1:]
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return // systemd then reports the missing notification itself
	}
	defer conn.Close()
	conn.Write([]byte("READY=1"))
}
