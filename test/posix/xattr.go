package posix

import (
	"encoding/binary"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

func (c *check) xattr(path, name string) (string, error) {
	buf := make([]byte, 65536)
	n, err := unix.Lgetxattr(path, name, buf)
	return string(buf[:max(n, 0)]), err
}

func (c *check) xattrs(path string) []string {
	c.Helper()
	buf := make([]byte, 65536)
	n, err := unix.Llistxattr(path, buf)
	c.ok(err, "listxattr")
	return strings.FieldsFunc(string(buf[:n]), func(r rune) bool { return r == 0 })
}

func xattrCases() []testCase {
	return []testCase{
		{"set, get, list, remove", false, func(c *check) {
			for _, k := range []kind{file, dir} {
				p := c.make(k, string(k), 0o755)
				err := unix.Setxattr(p, "user.one", []byte("1"), 0)
				c.skipIf(err, unix.EOPNOTSUPP)
				c.ok(err, "set")
				before := c.later(p)
				c.ok(unix.Setxattr(p, "user.two", []byte("two\x00bytes"), 0), "set binary")
				c.touched(p, before, false, true, "setxattr")
				c.ok(unix.Setxattr(p, "user.none", nil, 0), "set empty")
				for name, want := range map[string]string{"user.one": "1", "user.two": "two\x00bytes", "user.none": ""} {
					got, err := c.xattr(p, name)
					c.ok(err, "get ", name)
					equal(c, got, want, name, " of ", k)
				}
				for _, name := range []string{"user.one", "user.two", "user.none"} {
					equal(c, slices.Contains(c.xattrs(p), name), true, "list has ", name)
				}
				c.ok(unix.Removexattr(p, "user.one"), "remove")
				_, err = c.xattr(p, "user.one")
				c.want(unix.ENODATA, err, "get what was removed")
				c.want(unix.ENODATA, unix.Removexattr(p, "user.one"), "remove again")
				equal(c, slices.Contains(c.xattrs(p), "user.one"), false, "list has user.one")
			}
		}},
		{"XATTR_CREATE and XATTR_REPLACE", false, func(c *check) {
			p := c.write("f", "x", 0o644)
			err := unix.Setxattr(p, "user.a", []byte("1"), unix.XATTR_CREATE)
			c.skipIf(err, unix.EOPNOTSUPP)
			c.ok(err, "create")
			c.want(unix.EEXIST, unix.Setxattr(p, "user.a", []byte("2"), unix.XATTR_CREATE), "create again")
			c.want(0, unix.Setxattr(p, "user.a", []byte("3"), unix.XATTR_REPLACE), "replace")
			c.want(unix.ENODATA, unix.Setxattr(p, "user.b", []byte("4"), unix.XATTR_REPLACE), "replace nothing")
			got, _ := c.xattr(p, "user.a")
			equal(c, got, "3", "value")
		}},
		{"sizes", false, func(c *check) {
			p := c.write("f", "x", 0o644)
			err := unix.Setxattr(p, "user.a", []byte("12345"), 0)
			c.skipIf(err, unix.EOPNOTSUPP)
			c.ok(err, "set")
			n, err := unix.Getxattr(p, "user.a", nil)
			c.ok(err, "ask the size")
			equal(c, n, 5, "size")
			_, err = unix.Getxattr(p, "user.a", make([]byte, 3))
			c.want(unix.ERANGE, err, "get into 3 bytes")
			_, err = unix.Listxattr(p, make([]byte, 2))
			c.want(unix.ERANGE, err, "list into 2 bytes")
			n, err = unix.Listxattr(p, nil)
			c.ok(err, "ask the size of the list")
			equal(c, n >= len("user.a")+1, true, "size of the list")
			c.want(unix.E2BIG, unix.Setxattr(p, "user.big", make([]byte, 65537), 0), "65537 bytes")
			c.oneOf([]unix.Errno{0, unix.ENOSPC}, unix.Setxattr(p, "user.large", make([]byte, 2000), 0), "2000 bytes")
			c.want(unix.ERANGE, unix.Setxattr(p, "user."+strings.Repeat("n", 251), []byte("x"), 0), "name of 256")
			c.want(0, unix.Setxattr(p, "user."+strings.Repeat("n", 250), []byte("x"), 0), "name of 255")
			c.want(unix.ERANGE, unix.Setxattr(p, "", []byte("x"), 0), "no name")
			c.oneOf([]unix.Errno{unix.EOPNOTSUPP}, unix.Setxattr(p, "strange.name", []byte("x"), 0), "unknown class")
			c.oneOf([]unix.Errno{unix.EINVAL, unix.EOPNOTSUPP}, unix.Setxattr(p, "user.", []byte("x"), 0), "only a class")
		}},
		{"user. is for files and directories", false, func(c *check) {
			c.want(unix.EPERM, unix.Lsetxattr(c.make(symlink, "l", 0), "user.a", []byte("1"), 0), "symlink")
			c.want(unix.EPERM, unix.Lsetxattr(c.make(fifo, "p", 0o644), "user.a", []byte("1"), 0), "fifo")
		}},
		{"who may", true, func(c *check) {
			p := c.write("f", "x", 0o644)
			err := unix.Setxattr(p, "user.a", []byte("1"), 0)
			c.skipIf(err, unix.EOPNOTSUPP)
			c.ok(err, "set")
			c.ok(unix.Setxattr(p, "trusted.t", []byte("root only"), 0), "set trusted")
			c.as(alice, alice, nil, func() {
				c.want(unix.EACCES, unix.Setxattr(p, "user.a", []byte("2"), 0), "set on a read-only file")
				_, err := c.xattr(p, "user.a")
				c.want(0, err, "get")
				_, err = c.xattr(p, "trusted.t")
				c.oneOf([]unix.Errno{unix.EPERM, unix.ENODATA}, err, "get trusted")
				c.want(unix.EPERM, unix.Setxattr(p, "trusted.t", []byte("2"), 0), "set trusted")
				equal(c, slices.Contains(c.xattrs(p), "trusted.t"), false, "a user sees trusted names")
				c.want(unix.EPERM, unix.Setxattr(p, "security.thing", []byte("2"), 0), "set security")
			})
			c.ok(unix.Chmod(p, 0), "chmod")
			c.as(alice, alice, nil, func() {
				_, err := c.xattr(p, "user.a")
				c.want(unix.EACCES, err, "get from an unreadable file")
			})
			equal(c, slices.Contains(c.xattrs(p), "trusted.t"), true, "root sees trusted names")
		}},
		{"by descriptor, and with the inode", false, func(c *check) {
			p := c.write("f", "x", 0o644)
			fd := c.open(p, unix.O_RDONLY, 0)
			err := unix.Fsetxattr(fd, "user.a", []byte("1"), 0)
			c.skipIf(err, unix.EOPNOTSUPP)
			c.ok(err, "fsetxattr")
			c.ok(unix.Link(p, c.at("g")), "link")
			c.ok(unix.Rename(p, c.at("h")), "rename")
			got, err := c.xattr(c.at("g"), "user.a")
			c.ok(err, "get by another name")
			equal(c, got, "1", "value by another name")
			c.ok(unix.Unlink(c.at("g")), "unlink")
			c.ok(unix.Unlink(c.at("h")), "unlink")
			buf := make([]byte, 8)
			n, err := unix.Fgetxattr(fd, "user.a", buf)
			c.ok(err, "fgetxattr of an unlinked file")
			equal(c, string(buf[:n]), "1", "value")
			c.write("f", "y", 0o644)
			_, err = c.xattr(c.at("f"), "user.a")
			c.want(unix.ENODATA, err, "a new file has none")
		}},
	}
}

// aclEntry is one line of an ACL as the kernel's xattr keeps it.
type aclEntry struct {
	tag  uint16
	perm uint16
	id   uint32
}

// Tags of acl(5).
const (
	aclUserObj  = 0x01
	aclUser     = 0x02
	aclGroupObj = 0x04
	aclGroup    = 0x08
	aclMask     = 0x10
	aclOther    = 0x20
	aclNoID     = 0xffffffff

	aclAccess  = "system.posix_acl_access"
	aclDefault = "system.posix_acl_default"
)

func aclBytes(entries ...aclEntry) []byte {
	raw := binary.LittleEndian.AppendUint32(nil, 2)
	for _, e := range entries {
		raw = binary.LittleEndian.AppendUint16(raw, e.tag)
		raw = binary.LittleEndian.AppendUint16(raw, e.perm)
		raw = binary.LittleEndian.AppendUint32(raw, e.id)
	}
	return raw
}

func aclParse(raw string) map[aclEntry]bool {
	all := map[aclEntry]bool{}
	b := []byte(raw)
	for at := 4; at+8 <= len(b); at += 8 {
		all[aclEntry{binary.LittleEndian.Uint16(b[at:]), binary.LittleEndian.Uint16(b[at+2:]), binary.LittleEndian.Uint32(b[at+4:])}] = true
	}
	return all
}

func aclCases() []testCase {
	named := aclBytes(aclEntry{aclUserObj, 6, aclNoID}, aclEntry{aclUser, 6, alice}, aclEntry{aclGroupObj, 0, aclNoID},
		aclEntry{aclGroup, 4, guild}, aclEntry{aclMask, 6, aclNoID}, aclEntry{aclOther, 0, aclNoID})
	set := func(c *check, p, name string, acl []byte) {
		c.Helper()
		err := unix.Setxattr(p, name, acl, 0)
		c.skipIf(err, unix.EOPNOTSUPP)
		c.ok(err, "set ", name)
	}
	may := func(c *check, uid, gid int, p string, flags int, want unix.Errno, what string) {
		c.Helper()
		c.as(uid, gid, nil, func() { c.want(want, try(p, flags), what) })
	}
	return []testCase{
		{"named users and groups", true, func(c *check) {
			p := c.write("f", "x", 0o600)
			set(c, p, aclAccess, named)
			equal(c, c.lstat(p).Mode&0o777, uint32(0o660), "mode shows the mask")
			may(c, alice, alice, p, unix.O_RDWR, 0, "named user")
			may(c, bob, guild, p, unix.O_RDONLY, 0, "named group reads")
			may(c, bob, guild, p, unix.O_WRONLY, unix.EACCES, "named group writes")
			may(c, carol, staff, p, unix.O_RDONLY, unix.EACCES, "other")
			got, err := c.xattr(p, aclAccess)
			c.ok(err, "get")
			equal(c, len(aclParse(got)), 6, "entries read back")
		}},
		{"chmod changes the mask", true, func(c *check) {
			p := c.write("f", "x", 0o600)
			set(c, p, aclAccess, named)
			c.ok(unix.Chmod(p, 0o640), "chmod")
			may(c, alice, alice, p, unix.O_RDONLY, 0, "named user reads")
			may(c, alice, alice, p, unix.O_WRONLY, unix.EACCES, "named user writes")
			got, _ := c.xattr(p, aclAccess)
			equal(c, aclParse(got)[aclEntry{aclMask, 4, aclNoID}], true, "mask is r")
			equal(c, aclParse(got)[aclEntry{aclUser, 6, alice}], true, "entry is rw still")
		}},
		{"a minimal ACL is the mode", true, func(c *check) {
			p := c.write("f", "x", 0o600)
			set(c, p, aclAccess, aclBytes(aclEntry{aclUserObj, 6, aclNoID}, aclEntry{aclGroupObj, 4, aclNoID}, aclEntry{aclOther, 4, aclNoID}))
			equal(c, c.lstat(p).Mode&0o777, uint32(0o644), "mode")
			_, err := c.xattr(p, aclAccess)
			c.want(unix.ENODATA, err, "get")
		}},
		{"remove", true, func(c *check) {
			p := c.write("f", "x", 0o600)
			set(c, p, aclAccess, named)
			c.ok(unix.Removexattr(p, aclAccess), "remove")
			may(c, alice, alice, p, unix.O_RDONLY, unix.EACCES, "named user")
			_, err := c.xattr(p, aclAccess)
			c.want(unix.ENODATA, err, "get")
		}},
		{"default ACL", true, func(c *check) {
			d := c.make(dir, "d", 0o777)
			set(c, d, aclDefault, aclBytes(aclEntry{aclUserObj, 7, aclNoID}, aclEntry{aclUser, 7, alice}, aclEntry{aclGroupObj, 5, aclNoID},
				aclEntry{aclMask, 7, aclNoID}, aclEntry{aclOther, 0, aclNoID}))
			c.withUmask(0o077, func() {
				c.ok(create(file, d+"/f", 0o666), "file")
				c.ok(create(dir, d+"/sub", 0o777), "directory")
				c.ok(create(fifo, d+"/p", 0o666), "fifo")
				c.ok(create(symlink, d+"/l", 0), "symlink")
			})
			equal(c, c.lstat(d+"/f").Mode&0o777, uint32(0o660), "mode of the file: the umask does not count")
			equal(c, c.lstat(d+"/p").Mode&0o777, uint32(0o660), "mode of the fifo")
			equal(c, c.lstat(d+"/sub").Mode&0o777, uint32(0o770), "mode of the directory")
			may(c, alice, staff, d+"/f", unix.O_RDWR, 0, "named user")
			may(c, bob, staff, d+"/f", unix.O_RDONLY, unix.EACCES, "other")
			got, err := c.xattr(d+"/sub", aclDefault)
			c.ok(err, "default of the directory")
			equal(c, len(aclParse(got)), 5, "entries handed down")
			got, err = c.xattr(d+"/f", aclAccess)
			c.ok(err, "ACL of the file")
			equal(c, aclParse(got)[aclEntry{aclUser, 7, alice}], true, "entry handed down")
			_, err = c.xattr(d+"/f", aclDefault)
			c.oneOf([]unix.Errno{unix.ENODATA}, err, "a file has no default ACL")
		}},
		{"errors", true, func(c *check) {
			p := c.write("f", "x", 0o600)
			set(c, p, aclAccess, named)
			c.oneOf([]unix.Errno{unix.EINVAL, unix.EOPNOTSUPP}, unix.Setxattr(p, aclAccess, []byte("rubbish"), 0), "rubbish")
			c.want(unix.EINVAL, unix.Setxattr(p, aclAccess, aclBytes(aclEntry{aclUserObj, 6, aclNoID}), 0), "incomplete")
			c.want(unix.EINVAL, unix.Setxattr(p, aclAccess, aclBytes(aclEntry{aclUserObj, 6, aclNoID}, aclEntry{aclUser, 6, alice},
				aclEntry{aclGroupObj, 0, aclNoID}, aclEntry{aclOther, 0, aclNoID}), 0), "named without a mask")
			c.want(unix.EACCES, unix.Setxattr(p, aclDefault, named, 0), "default ACL of a file")
			c.as(alice, alice, nil, func() {
				c.want(unix.EPERM, unix.Setxattr(p, aclAccess, named, 0), "by another user")
			})
		}},
	}
}
