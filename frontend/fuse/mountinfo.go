package fuse

import (
	"bufio"
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/honeyant/honeyant"
)

// fsType is what mount(8) and df -T show.
const fsType = "fuse.honeyant"

// mountEntry is one line of /proc/self/mountinfo. It is found without touching the mounted
// file system, whose daemon may be dead or hung.
type mountEntry struct {
	path  string
	minor uint32 // of st_dev; for FUSE also the number of the connection
	major uint32
	kind  string // file system type
}

// mounts lists what is mounted, in the order of mounting.
func mounts() ([]mountEntry, error) {
	raw, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, honeyant.E("fuse.mounts", honeyant.Internal, "/proc/self/mountinfo", err)
	}
	return parseMountinfo(raw), nil
}

func parseMountinfo(raw []byte) []mountEntry {
	var all []mountEntry
	s := bufio.NewScanner(bytes.NewReader(raw))
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		left, right, ok := strings.Cut(s.Text(), " - ")
		f := strings.Fields(left)
		kind, _, _ := strings.Cut(right, " ")
		if !ok || len(f) < 5 {
			continue
		}
		maj, mnr, _ := strings.Cut(f[2], ":")
		major, err1 := strconv.ParseUint(maj, 10, 32)
		minor, err2 := strconv.ParseUint(mnr, 10, 32)
		if err1 != nil || err2 != nil {
			continue
		}
		all = append(all, mountEntry{path: unescape(f[4]), major: uint32(major), minor: uint32(minor), kind: kind})
	}
	return all
}

// unescape turns the kernel's \040 and the like back into bytes.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if v, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(v))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// topmost is the mount that covers path itself, the last one if several are stacked.
func topmost(path string) (mountEntry, bool, error) {
	all, err := mounts()
	if err != nil {
		return mountEntry{}, false, err
	}
	for i := len(all) - 1; i >= 0; i-- {
		if all[i].path == path {
			return all[i], true, nil
		}
	}
	return mountEntry{}, false, nil
}

// canonical is path as mountinfo would name it. What is a mount point is not touched: it
// may not answer.
func canonical(path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", honeyant.E("fuse.canonical", honeyant.Invalid, path, err)
	}
	if abs == "/" {
		return abs, nil
	}
	dir, err := filepath.EvalSymlinks(filepath.Dir(abs))
	if err != nil {
		return "", honeyant.E("fuse.canonical", kindOfOS(err), path, err)
	}
	abs = filepath.Join(dir, filepath.Base(abs))
	if _, mounted, err := topmost(abs); err != nil || mounted {
		return abs, err
	}
	if resolved, err := filepath.EvalSymlinks(abs); err == nil {
		return resolved, nil
	}
	return abs, nil // does not exist: the caller's own call says so
}

func kindOfOS(err error) honeyant.Kind {
	switch {
	case errors.Is(err, os.ErrNotExist):
		return honeyant.NotExist
	case errors.Is(err, os.ErrPermission):
		return honeyant.Permission
	case errors.Is(err, syscall.ENOTDIR):
		return honeyant.NotDir
	case errors.Is(err, syscall.ELOOP):
		return honeyant.Loop
	}
	return honeyant.Internal
}
