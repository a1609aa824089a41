// Package mountinfo reads what is mounted from /proc/self/mountinfo, proc_pid_mountinfo(5). No mounted file system is touched:
// one whose daemon is dead or hung is listed like the others.
package mountinfo

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// Path is the file that Read reads.
const Path = "/proc/self/mountinfo"

// Mount is one mount of this process's namespace.
type Mount struct {
	ID           int    // mnt_id of fdinfo
	Parent       int    // ID of the mount that it is on
	Major, Minor uint32 // of st_dev; for FUSE Minor is also the number of the connection
	Root         string // the directory of the file system that is seen
	Point        string // where it is seen
	Type         string // of the file system, with the subtype: fuse.honeyant
	Source       string // a device, or what the file system calls itself
}

// Device is the device as sysfs names it, such as 254:0.
func (m Mount) Device() string { return fmt.Sprintf("%d:%d", m.Major, m.Minor) }

// Read lists what is mounted, in the order of mounting. Its error names the file.
func Read() ([]Mount, error) {
	raw, err := os.ReadFile(Path)
	if err != nil {
		return nil, err
	}
	return Parse(string(raw)), nil
}

// Parse reads the lines of the file; what is not a mount is passed over.
func Parse(text string) []Mount {
	var all []Mount
	for line := range strings.Lines(text) {
		// 36 35 98:0 /root /mount/point options [optional ...] - type source super-options
		left, right, ok := strings.Cut(line, " - ")
		l, r := strings.Fields(left), strings.SplitN(right, " ", 3) // the source may be empty
		if !ok || len(l) < 5 || len(r) < 3 || r[0] == "" {
			continue
		}
		major, minor, _ := strings.Cut(l[2], ":")
		id, err1 := strconv.Atoi(l[0])
		parent, err4 := strconv.Atoi(l[1])
		maj, err2 := strconv.ParseUint(major, 10, 32)
		mnr, err3 := strconv.ParseUint(minor, 10, 32)
		if err1 != nil || err2 != nil || err3 != nil || err4 != nil {
			continue
		}
		all = append(all, Mount{ID: id, Parent: parent, Major: uint32(maj), Minor: uint32(mnr), Root: unescape(l[3]), Point: unescape(l[4]),
			Type: unescape(r[0]), Source: unescape(r[1])})
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
