package transfer

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// place is where a path of this machine really is: a file system, and the path in it.
// Bind mounts of one directory have the same place, whatever they are called.
type place struct {
	device string // major:minor of the mount
	path   string // from the root of that file system
	real   string // the path without symbolic links, for people
}

// within tells whether p is q or lies below it.
func (p place) within(q place) bool {
	return p.device == q.device && below(p.path, q.path)
}

func below(path, dir string) bool {
	return path == dir || dir == "/" || strings.HasPrefix(path, dir+"/")
}

// mount is a line of /proc/self/mountinfo.
type mount struct {
	id     int
	device string
	root   string // the directory of the file system that is seen
	point  string // where
}

// readMounts reads mountinfo, proc_pid_mountinfo(5).
func readMounts(r io.Reader) ([]mount, error) {
	var all []mount
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		if len(f) < 5 {
			continue
		}
		id, err := strconv.Atoi(f[0])
		if err != nil {
			continue
		}
		all = append(all, mount{id, f[2], unescape(f[3]), unescape(f[4])})
	}
	return all, lines.Err()
}

// unescape undoes \040 and the like.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// placeOf finds the place of a path that exists, following symbolic links.
func placeOf(path string, mounts []mount) (place, error) {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return place{}, fault("open", path, err)
	}
	defer unix.Close(fd)
	real, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd))
	if err != nil {
		return place{}, fault("resolve", path, err)
	}
	id, err := mountID(fd)
	if err != nil {
		return place{}, fault("resolve", path, err)
	}
	for _, m := range mounts {
		if m.id == id && below(real, m.point) {
			return place{m.device, filepath.Join(m.root, strings.TrimPrefix(real, m.point)), real}, nil
		}
	}
	return place{}, fault("resolve", path, errors.New("its mount is not in /proc/self/mountinfo"))
}

// mountID reads the mount of an open file from fdinfo, proc_pid_fdinfo(5).
func mountID(fd int) (int, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/self/fdinfo/%d", fd))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(line, "mnt_id:"); ok {
			return strconv.Atoi(strings.TrimSpace(v))
		}
	}
	return 0, errors.New("no mnt_id in fdinfo")
}

// refuseSame refuses to copy src to dst, both paths of this machine, if dst is src or lies
// in it, by name, symbolic link, bind mount or hard link. Nothing is written. dst need not
// exist, its directory must. What this can not see (a network file system mounted twice)
// the probe finds (probe.go).
func refuseSame(src, dst string) error {
	info, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return fault("open", "/proc/self/mountinfo", err)
	}
	mounts, err := readMounts(info)
	info.Close()
	if err != nil {
		return fault("read", "/proc/self/mountinfo", err)
	}
	a, err := os.Lstat(src)
	if err != nil {
		return fault("stat", src, err)
	}
	if b, err := os.Lstat(dst); err == nil && os.SameFile(a, b) {
		return refusal("%s and %s are the same %s", src, dst, kindWord(a))
	}
	if !a.IsDir() {
		return nil
	}
	sp, err := placeOf(src, mounts)
	if err != nil {
		return err
	}
	dp, err := placeOf(dst, mounts)
	if err != nil { // not there yet: its directory
		parent, err := placeOf(filepath.Dir(dst), mounts)
		if err != nil {
			return err
		}
		dp = place{parent.device, filepath.Join(parent.path, filepath.Base(dst)), filepath.Join(parent.real, filepath.Base(dst))}
	}
	seen := []place{sp} // the source and what is mounted below it
	for _, m := range mounts {
		if m.point != sp.real && below(m.point, sp.real) {
			seen = append(seen, place{m.device, m.root, m.point})
		}
	}
	for _, p := range seen {
		if dp.path == p.path && dp.device == p.device {
			return refusal("%s and %s are the same directory (both are %s)", src, dst, p.real)
		}
		if dp.within(p) {
			return refusal("%s lies in %s: the copy would copy itself", dst, src)
		}
	}
	return refuseOver(src, sp, dp)
}

// refuseOver refuses a copy that would write over its own source: the source lies in the
// target, and has itself an entry that would come to lie where it is.
func refuseOver(src string, sp, dp place) error {
	if !sp.within(dp) {
		return nil
	}
	rest, err := filepath.Rel(dp.path, sp.path)
	if err != nil {
		return nil
	}
	first, _, _ := strings.Cut(rest, "/")
	if _, err := os.Lstat(filepath.Join(src, first)); err == nil {
		return refusal("%s lies in the target, and its own %q would be written over it", src, first)
	}
	return nil
}

func kindWord(i os.FileInfo) string {
	if i.IsDir() {
		return Dir.String()
	}
	return File.String()
}
