package meta

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/honeyant/honeyant"
)

// maxXattrNames bounds the bytes that an inode's attribute names take in listxattr(2), each
// with its closing NUL.
const maxXattrNames = 64 << 10

// checkXattrName refuses what is no name, and namespaces that are not kept.
func checkXattrName(op, name string) error {
	if len(name) > honeyant.MaxName {
		return honeyant.E(op, honeyant.OutOfRange, name[:32]+"...", nil)
	}
	if strings.ContainsRune(name, 0) {
		return honeyant.E(op, honeyant.Invalid, name, nil)
	}
	if name == xattrAccess || name == xattrDefault {
		return nil
	}
	for _, space := range []string{"user.", "trusted.", "security."} {
		if rest, ok := strings.CutPrefix(name, space); ok {
			if rest == "" {
				return honeyant.E(op, honeyant.Invalid, name, fmt.Errorf("nothing after the prefix"))
			}
			return nil
		}
	}
	return honeyant.E(op, honeyant.Unsupported, name, fmt.Errorf("no such namespace"))
}

// xattrWritable refuses attributes that this type of inode may not have.
func xattrWritable(op, name string, i *Inode) error {
	switch {
	case strings.HasPrefix(name, "user.") && !i.Attr.IsDir() && !i.Attr.IsFile():
		return honeyant.E(op, honeyant.NotPermitted, name, fmt.Errorf("only files and directories have user attributes"))
	case strings.HasPrefix(name, "system.") && i.Attr.IsSymlink():
		return honeyant.E(op, honeyant.Unsupported, name, fmt.Errorf("a symbolic link has no ACL"))
	}
	return nil
}

// xattrMark is the mark of an attribute that has one.
func xattrMark(name string) inodeMark {
	switch name {
	case xattrAccess:
		return markAccessACL
	case xattrDefault:
		return markDefaultACL
	case xattrCaps:
		return markCaps
	}
	return 0
}

// xattrNames goes through an inode's attribute names in order.
func (t *Tx) xattrNames(v honeyant.VolumeID, ino honeyant.Ino, fn func(name string) bool) {
	from := xattrKey(v, ino, "")
	t.scan(from, inoKey(tabXattr, v, ino+1), func(k, _ []byte) bool { return fn(string(k[len(from):])) })
}

// setXattr stores a value that has passed all checks.
func (t *Tx) setXattr(op string, v honeyant.VolumeID, i *Inode, name string, value []byte) error {
	k := xattrKey(v, i.Attr.Ino, name)
	if _, had := t.get(k); !had && i.Marks&markXattr != 0 {
		total := len(name) + 1
		t.xattrNames(v, i.Attr.Ino, func(n string) bool { total += len(n) + 1; return true })
		if total > maxXattrNames {
			return honeyant.E(op, honeyant.NoSpace, name, fmt.Errorf("too many extended attributes"))
		}
	}
	t.put(k, bytes.Clone(value))
	i.Marks |= markXattr | xattrMark(name)
	return nil
}

// removeXattr removes an attribute, if it is there.
func (t *Tx) removeXattr(v honeyant.VolumeID, i *Inode, name string) bool {
	k := xattrKey(v, i.Attr.Ino, name)
	if _, ok := t.get(k); !ok {
		return false
	}
	t.del(k)
	i.Marks &^= xattrMark(name)
	left := false
	t.xattrNames(v, i.Attr.Ino, func(string) bool { left = true; return false })
	if !left {
		i.Marks &^= markXattr
	}
	return true
}
