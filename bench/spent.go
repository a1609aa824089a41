package bench

import (
	"bufio"
	"io"
	"os"
	"strconv"
	"strings"
)

// Spent is what a run took of what a metered machine may be billed for, as the kernel
// counted it.
type Spent struct {
	ReadBytes    int64 `json:"read_bytes"`     // from disks, by the run and its commands
	WriteBytes   int64 `json:"write_bytes"`    // to disks, by the run and its commands
	NetSentBytes int64 `json:"net_sent_bytes"` // out of the machine's interfaces but lo, by whomever
}

// readSpent is what has been taken so far: /proc/self/io, which has the children that were
// waited for in it, and /proc/net/dev. Nothing where the kernel does not count.
func readSpent() *Spent {
	s := &Spent{}
	if f, err := os.Open("/proc/self/io"); err == nil {
		s.ReadBytes, s.WriteBytes = diskBytes(f)
		f.Close()
	}
	if f, err := os.Open("/proc/net/dev"); err == nil {
		s.NetSentBytes = sentBytes(f)
		f.Close()
	}
	return s
}

// since is what was taken between from and s.
func (s *Spent) since(from *Spent) *Spent {
	return &Spent{ReadBytes: s.ReadBytes - from.ReadBytes, WriteBytes: s.WriteBytes - from.WriteBytes, NetSentBytes: s.NetSentBytes - from.NetSentBytes}
}

func diskBytes(in io.Reader) (read, written int64) {
	for lines := bufio.NewScanner(in); lines.Scan(); {
		key, value, _ := strings.Cut(lines.Text(), ": ")
		n, err := strconv.ParseInt(value, 10, 64)
		switch {
		case err != nil:
		case key == "read_bytes":
			read = n
		case key == "write_bytes":
			written = n
		}
	}
	return read, written
}

// sentBytes adds up the ninth column of /proc/net/dev, proc_pid_net(5).
func sentBytes(in io.Reader) (sent int64) {
	for lines := bufio.NewScanner(in); lines.Scan(); {
		name, columns, ok := strings.Cut(lines.Text(), ":")
		fields := strings.Fields(columns)
		if !ok || strings.TrimSpace(name) == "lo" || len(fields) < 9 {
			continue
		}
		if n, err := strconv.ParseInt(fields[8], 10, 64); err == nil {
			sent += n
		}
	}
	return sent
}
