package transfer

import (
	"fmt"
	"strings"

	"github.com/honeyant/honeyant/rpc/wire"
)

// Kind is what a name stands for.
type Kind uint8

// The kinds cross the wire: the list is only ever appended to.
const (
	File Kind = iota + 1
	Dir
	Symlink
	Fifo
	Socket
	CharDevice
	BlockDevice
	kindEnd
)

// String is the kind in words.
func (k Kind) String() string {
	words := [...]string{File: "file", Dir: "directory", Symlink: "symbolic link", Fifo: "fifo", Socket: "socket",
		CharDevice: "character device", BlockDevice: "block device"}
	if k == 0 || int(k) >= len(words) {
		return fmt.Sprintf("kind %d", uint8(k))
	}
	return words[k]
}

// Entry is a name with everything that a copy keeps. Times are nanoseconds since 1970.
type Entry struct {
	Name   string // a single path element; empty for a root that is a directory
	Kind   Kind
	Mode   uint32 // permissions with set-user-ID, set-group-ID and sticky: 07777
	UID    uint32
	GID    uint32
	Size   int64 // bytes
	Blocks int64 // of 512 bytes, as st_blocks
	Atime  int64
	Mtime  int64
	Ctime  int64
	Dev    uint64
	Ino    uint64
	Links  uint32 // hard links
	Rdev   uint64 // the device that a device file stands for
	Target string // of a symbolic link
	Xattrs []Xattr
}

// Xattr is one extended attribute. POSIX ACLs are two of them (system.posix_acl_*).
type Xattr struct {
	Name  string
	Value []byte
}

// Limits of what is taken from another machine; those of Linux.
const (
	maxName   = 4096 // one element, or what a symbolic link stands for
	maxXattr  = 64 << 10
	maxXattrs = 1024
	maxPath   = 1 << 20
)

func (x *Xattr) fields(c *wire.Codec) {
	c.String(&x.Name, maxName)
	c.Bytes(&x.Value, maxXattr)
}

func (e *Entry) fields(c *wire.Codec) {
	c.String(&e.Name, maxName)
	wire.Uint(c, &e.Kind)
	wire.Uint(c, &e.Mode)
	wire.Uint(c, &e.UID)
	wire.Uint(c, &e.GID)
	wire.Int(c, &e.Size)
	wire.Int(c, &e.Blocks)
	wire.Int(c, &e.Atime)
	wire.Int(c, &e.Mtime)
	wire.Int(c, &e.Ctime)
	wire.Uint(c, &e.Dev)
	wire.Uint(c, &e.Ino)
	wire.Uint(c, &e.Links)
	wire.Uint(c, &e.Rdev)
	c.String(&e.Target, maxName)
	wire.Slice(c, &e.Xattrs, maxXattrs, func(c *wire.Codec, x *Xattr) { x.fields(c) })
	if c.Decoding() && (e.Kind == 0 || e.Kind >= kindEnd || e.Size < 0 || !validName(e.Name)) {
		c.Failf("not an entry: kind %d, size %d, name %q", e.Kind, e.Size, e.Name)
	}
}

// validName keeps names of other machines from leaving the directory they belong to.
// The empty name is a root's.
func validName(name string) bool {
	return name != "." && name != ".." && !strings.ContainsAny(name, "/\x00")
}

// validPath tells whether path is one that join makes: elements that stay below the root.
func validPath(path string) bool {
	if path == "" {
		return true
	}
	for _, element := range strings.Split(path, "/") {
		if element == "" || !validName(element) {
			return false
		}
	}
	return true
}

// join is the path of a name in a directory, both below a root; "" is the root.
func join(dir, name string) string {
	switch {
	case dir == "":
		return name
	case name == "":
		return dir
	}
	return dir + "/" + name
}

// split is the directory and the last element of a path below a root.
func split(path string) (dir, name string) {
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		return path[:i], path[i+1:]
	}
	return "", path
}

// sparse tells whether a file has holes, or is kept in fewer bytes than it has.
func (e *Entry) sparse() bool { return e.Kind == File && e.Blocks*512 < e.Size }

// sameContent tells whether what is there already has the content of e, judged as rsync
// does: kind, size and time of last change, or what a link or device stands for. A target
// that keeps whole seconds is compared in whole seconds.
func (e *Entry) sameContent(there *Entry) bool {
	if e.Kind != there.Kind {
		return false
	}
	switch e.Kind {
	case File:
		return e.Size == there.Size && sameTime(e.Mtime, there.Mtime)
	case Symlink:
		return e.Target == there.Target
	case CharDevice, BlockDevice:
		return e.Rdev == there.Rdev
	}
	return true
}

const second = int64(1e9)

func sameTime(source, target int64) bool {
	return source == target || target%second == 0 && floorSecond(source) == target
}

func floorSecond(t int64) int64 {
	if r := t % second; r < 0 {
		return t - r - second
	} else {
		return t - r
	}
}

// sameMeta tells whether mode, owner, times and attributes are those of e already.
func (e *Entry) sameMeta(there *Entry) bool {
	if e.UID != there.UID || e.GID != there.GID || !sameTime(e.Mtime, there.Mtime) || len(e.Xattrs) != len(there.Xattrs) {
		return false
	}
	if e.Kind != Symlink && e.Mode != there.Mode {
		return false
	}
	for i, x := range e.Xattrs {
		if y := there.Xattrs[i]; x.Name != y.Name || string(x.Value) != string(y.Value) {
			return false
		}
	}
	return true
}

// unchanged tells whether a source file is still as it was when it was listed.
func (e *Entry) unchanged(now *Entry) bool {
	return e.Ino == now.Ino && e.Size == now.Size && e.Mtime == now.Mtime
}
