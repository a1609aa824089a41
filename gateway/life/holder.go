package life

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strconv"
	"strings"
)

// Holder is a process that has a listening socket.
type Holder struct {
	Process
	Command string         `json:"command"`
	Address netip.AddrPort `json:"address"`
}

func (h Holder) String() string {
	return fmt.Sprintf("pid %d (%s) listens on %s", h.PID, h.Command, h.Address)
}

// Holders names the processes that listen on a TCP port, on any address. A socket whose
// processes can not be seen (another user's, another container's) comes with PID 0.
func Holders(port uint16) ([]Holder, error) {
	sockets := map[uint64]netip.AddrPort{}
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		f, err := os.Open(table)
		if errors.Is(err, os.ErrNotExist) {
			continue // no IPv6 here
		}
		if err != nil {
			return nil, err
		}
		err = listening(f, port, sockets)
		if err := errors.Join(err, f.Close()); err != nil {
			return nil, fmt.Errorf("%s: %w", table, err)
		}
	}
	if len(sockets) == 0 {
		return nil, nil
	}
	return owners(sockets)
}

// listening adds the inode and address of each listening socket of a table as in proc_net_tcp.txt of the kernel's documents.
func listening(r io.Reader, port uint16, sockets map[uint64]netip.AddrPort) error {
	const local, state, inode, listen = 1, 3, 9, "0A"
	lines := bufio.NewScanner(r)
	lines.Scan() // the header
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		if len(f) <= inode || f[state] != listen {
			continue
		}
		addr, err := parseHexAddress(f[local])
		if err != nil {
			return err
		}
		number, err := strconv.ParseUint(f[inode], 10, 64)
		if err != nil {
			return fmt.Errorf("inode %q: %w", f[inode], err)
		}
		if addr.Port() == port && number != 0 {
			sockets[number] = addr
		}
	}
	return lines.Err()
}

// parseHexAddress reads "0100007F:1F90": groups of four bytes in the machine's order, then the port.
func parseHexAddress(text string) (netip.AddrPort, error) {
	host, port, ok := strings.Cut(text, ":")
	raw, err := hex.DecodeString(host)
	if !ok || err != nil || len(raw) != 4 && len(raw) != 16 {
		return netip.AddrPort{}, fmt.Errorf("address %q is not understood", text)
	}
	for i := 0; i < len(raw); i += 4 {
		binary.NativeEndian.PutUint32(raw[i:], binary.BigEndian.Uint32(raw[i:]))
	}
	number, err := strconv.ParseUint(port, 16, 16)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("port of %q: %w", text, err)
	}
	addr, _ := netip.AddrFromSlice(raw)
	return netip.AddrPortFrom(addr.Unmap(), uint16(number)), nil
}

// owners goes through the descriptors of all processes that may be seen.
func owners(sockets map[uint64]netip.AddrPort) ([]Holder, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var found []Holder
	seen := map[uint64]bool{}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		for inode := range heldBy(pid, sockets) {
			p, err := Identify(pid)
			if err != nil {
				break
			}
			seen[inode] = true
			found = append(found, Holder{p, commandOf(pid), sockets[inode]})
		}
	}
	for inode, addr := range sockets {
		if !seen[inode] {
			found = append(found, Holder{Command: "a process that can not be seen from here; ask as root: ss -ltnp", Address: addr})
		}
	}
	return found, nil
}

func heldBy(pid int, sockets map[uint64]netip.AddrPort) map[uint64]bool {
	dir := "/proc/" + strconv.Itoa(pid) + "/fd"
	fds, err := os.ReadDir(dir)
	if err != nil {
		return nil // ended, or not ours to see
	}
	held := map[uint64]bool{}
	for _, fd := range fds {
		target, err := os.Readlink(dir + "/" + fd.Name())
		if err != nil {
			continue
		}
		number, err := strconv.ParseUint(strings.TrimSuffix(strings.TrimPrefix(target, "socket:["), "]"), 10, 64)
		if _, ok := sockets[number]; err == nil && ok {
			held[number] = true
		}
	}
	return held
}

// commandOf is a process's command line, cut short.
func commandOf(pid int) string {
	const most = 120
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline")
	line := strings.TrimSpace(strings.ReplaceAll(string(text), "\x00", " "))
	if err != nil || line == "" {
		return "unknown"
	}
	if len(line) > most {
		line = strings.ToValidUTF8(line[:most], "") + "..."
	}
	return line
}
