package transfer

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/honeyant/honeyant/internal/mountinfo"
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

// placeOf finds the place of a path that exists, following symbolic links.
func placeOf(path string, mounts []mountinfo.Mount) (place, error) {
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
		if m.ID == id && below(real, m.Point) {
			return place{m.Device(), filepath.Join(m.Root, strings.TrimPrefix(real, m.Point)), real}, nil
		}
	}
	return place{}, fault("resolve", path, errors.New("its mount is not in "+mountinfo.Path))
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
	mounts, err := mountinfo.Read()
	if err != nil {
		return fault("read", mountinfo.Path, err)
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
		if m.Point != sp.real && below(m.Point, sp.real) {
			seen = append(seen, place{m.Device(), m.Root, m.Point})
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
