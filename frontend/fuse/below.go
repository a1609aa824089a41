package fuse

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/honeyant/honeyant/internal/mountinfo"
)

// The namespace in which all processes are seen; its number is fixed (linux/proc_ns.h).
const initialPIDNamespace = "pid:[4026531836]"

// mountsBelow tells whether, in the mount namespace of any process, something is mounted on a directory or file of
// the file system with this device number. What can not be found out counts as yes: another PID namespace than the
// machine's does not show all processes.
func mountsBelow(minor uint32) bool {
	if ns, err := os.Readlink("/proc/self/ns/pid"); err != nil || ns != initialPIDNamespace {
		return true
	}
	seen := map[string]bool{}
	all, err := filepath.Glob("/proc/[0-9]*/ns/mnt")
	if err != nil {
		return true
	}
	for _, link := range all {
		ns, err := os.Readlink(link)
		if err != nil || seen[ns] {
			continue // it has ended
		}
		raw, err := os.ReadFile(strings.TrimSuffix(link, "ns/mnt") + "mountinfo")
		if err != nil || len(raw) == 0 {
			continue // likewise; another process of the namespace will tell
		}
		seen[ns] = true
		if coversPartOf(mountinfo.Parse(string(raw)), minor) {
			return true
		}
	}
	return len(seen) == 0
}

// coversPartOf tells whether one of the mounts lies on one of the device.
func coversPartOf(all []mountinfo.Mount, minor uint32) bool {
	ours := map[int]bool{}
	for _, m := range all {
		ours[m.ID] = m.Major == 0 && m.Minor == minor
	}
	return slices.ContainsFunc(all, func(m mountinfo.Mount) bool { return ours[m.Parent] })
}

// deviceOf is the minor device number of what is mounted at path, which is not touched for it.
func deviceOf(path string) (uint32, error) {
	e, ok, err := topmost(path)
	switch {
	case err != nil:
		return 0, err
	case !ok || !ours(e):
		return 0, fmt.Errorf("mounted, but /proc/self/mountinfo does not show it at %s", strconv.Quote(path))
	}
	return e.Minor, nil
}
