package posix

import (
	"golang.org/x/sys/unix"
)

func rename2(from, to string, flags uint) error {
	return unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, flags)
}

func renameCases() []testCase {
	return []testCase{
		{"every kind to a new name", false, func(c *check) {
			for _, k := range everyKind() {
				p, q := c.make(k, string(k), 0o644), c.at("moved "+string(k))
				ino, before, parent := c.lstat(p).Ino, c.later(p), c.later(c.dir)
				c.ok(unix.Rename(p, q), "rename ", k)
				c.missing(p)
				equal(c, c.lstat(q).Ino, ino, "inode of ", k)
				equal(c, after(c.lstat(q).Mtim, before.Mtim), false, "mtime of ", k, " changed")
				c.touched(c.dir, parent, true, true, "rename "+string(k))
			}
		}},
		{"into another directory", false, func(c *check) {
			for _, k := range everyKind() {
				a, b := c.make(dir, "a", 0o755), c.make(dir, "b", 0o755)
				p := c.make(k, "a/x", 0o755)
				beforeA, beforeB := c.later(a), c.later(b)
				c.ok(unix.Rename(p, b+"/y"), "rename ", k)
				c.touched(a, beforeA, true, true, "rename out "+string(k))
				c.touched(b, beforeB, true, true, "rename in "+string(k))
				delta := uint64(0)
				if k == dir {
					delta = 1
				}
				equal(c, uint64(c.lstat(a).Nlink), 2, "links of the old parent with ", k)
				equal(c, uint64(c.lstat(b).Nlink), 2+delta, "links of the new parent with ", k)
				c.ok(remove(k, b+"/y"), "remove")
				c.ok(unix.Rmdir(a), "rmdir")
				c.ok(unix.Rmdir(b), "rmdir")
			}
		}},
		{"over what exists", false, renameMatrix},
		{"a directory into itself", false, func(c *check) {
			d := c.make(dir, "d", 0o755)
			c.make(dir, "d/e", 0o755)
			c.want(unix.EINVAL, unix.Rename(d, d+"/x"), "into itself")
			c.want(unix.EINVAL, unix.Rename(d, d+"/e/x"), "into a descendant")
			c.oneOf([]unix.Errno{unix.ENOTEMPTY, unix.EEXIST}, unix.Rename(d+"/e", d), "over its parent")
		}},
		{"dots", false, func(c *check) {
			d := c.make(dir, "d", 0o755)
			c.oneOf([]unix.Errno{unix.EBUSY, unix.EINVAL}, unix.Rename(d+"/.", c.at("x")), "from .")
			c.oneOf([]unix.Errno{unix.EBUSY, unix.EINVAL}, unix.Rename(d+"/..", c.at("x")), "from ..")
			c.oneOf([]unix.Errno{unix.EBUSY, unix.EINVAL, unix.EEXIST, unix.ENOTEMPTY}, unix.Rename(c.make(dir, "e", 0o755), d+"/."), "to .")
		}},
		{"onto itself and onto another name of itself", false, func(c *check) {
			p, q := c.write("f", "x", 0o644), c.at("g")
			c.want(0, unix.Rename(p, p), "onto itself")
			c.ok(unix.Link(p, q), "link")
			c.want(0, unix.Rename(p, q), "onto another name")
			equal(c, c.lstat(p).Nlink, 2, "both names stay")
			equal(c, c.lstat(q).Ino, c.lstat(p).Ino, "inode")
		}},
		{"replaced file loses a link", false, func(c *check) {
			p := c.write("f", "x", 0o644)
			q := c.write("g", "y", 0o644)
			c.ok(unix.Link(q, c.at("h")), "link")
			before := c.later(c.at("h"))
			c.ok(unix.Rename(p, q), "rename")
			equal(c, c.lstat(c.at("h")).Nlink, 1, "links")
			c.touched(c.at("h"), before, false, true, "being replaced")
			equal(c, c.read(q), "x", "content")
		}},
		{"RENAME_NOREPLACE", false, func(c *check) {
			for _, k := range everyKind() {
				p, q := c.make(k, string(k), 0o644), c.make(k, "other "+string(k), 0o644)
				err := rename2(p, q, unix.RENAME_NOREPLACE)
				c.skipIf(err, unix.EINVAL, unix.ENOSYS)
				c.want(unix.EEXIST, err, k)
				c.want(0, rename2(p, c.at("new "+string(k)), unix.RENAME_NOREPLACE), "to a new name ", k)
			}
			c.want(unix.EINVAL, rename2(c.at("new file"), c.at("other file"), unix.RENAME_NOREPLACE|unix.RENAME_EXCHANGE), "both flags")
			c.want(unix.ENOENT, rename2(c.at("none"), c.at("x"), unix.RENAME_NOREPLACE), "missing")
		}},
		{"RENAME_EXCHANGE", false, renameExchange},
		{"a directory that may not be written", true, func(c *check) {
			c.ok(unix.Chmod(c.dir, 0o777), "chmod")
			a, b := c.make(dir, "a", 0o777), c.make(dir, "b", 0o777)
			d := c.make(dir, "a/d", 0o555)
			c.give(d, bob, bob)
			c.as(alice, alice, nil, func() {
				c.want(unix.EACCES, unix.Rename(d, b+"/d"), "its .. would change")
				c.want(0, unix.Rename(d, a+"/e"), "in the same parent")
			})
		}},
		{"a moved directory keeps its content", false, func(c *check) {
			a, b := c.make(dir, "a", 0o755), c.make(dir, "b", 0o755)
			c.make(dir, "a/d", 0o755)
			c.write("a/d/f", "inside", 0o644)
			fd := c.open(a+"/d/f", unix.O_RDONLY, 0)
			c.ok(unix.Rename(a+"/d", b+"/d"), "rename")
			equal(c, c.read(b+"/d/f"), "inside", "content")
			buf := make([]byte, 8)
			n, err := unix.Pread(fd, buf, 0)
			c.ok(err, "read")
			equal(c, string(buf[:n]), "inside", "content by descriptor")
			c.missing(a + "/d/f")
		}},
	}
}

// renameMatrix renames everything over everything.
func renameMatrix(c *check) {
	for _, from := range everyKind() {
		for _, to := range everyKind() {
			p, q := c.make(from, "from", 0o644), c.make(to, "to", 0o755)
			ino := c.lstat(p).Ino
			want := unix.Errno(0)
			switch {
			case from == dir && to != dir:
				want = unix.ENOTDIR
			case from != dir && to == dir:
				want = unix.EISDIR
			}
			c.want(want, unix.Rename(p, q), from, " over ", to)
			if want == 0 {
				c.missing(p)
				equal(c, c.lstat(q).Ino, ino, "inode of ", from, " over ", to)
				c.ok(remove(from, q), "remove")
			} else {
				c.ok(remove(from, p), "remove")
				c.ok(remove(to, q), "remove")
			}
		}
	}
	d := c.make(dir, "d", 0o755)
	full := c.make(dir, "full", 0o755)
	c.write("full/f", "x", 0o644)
	c.oneOf([]unix.Errno{unix.ENOTEMPTY, unix.EEXIST}, unix.Rename(d, full), "over a full directory")
	links := c.lstat(c.dir).Nlink
	empty := c.make(dir, "empty", 0o755)
	c.ok(unix.Rename(full, empty), "full over empty")
	equal(c, c.read(empty+"/f"), "x", "content")
	equal(c, c.lstat(c.dir).Nlink, links, "links of the parent")
}

func renameExchange(c *check) {
	for _, from := range everyKind() {
		for _, to := range everyKind() {
			a, b := c.make(dir, "a", 0o755), c.make(dir, "b", 0o755)
			p, q := c.make(from, "a/x", 0o755), c.make(to, "b/y", 0o755)
			pi, qi := c.lstat(p).Ino, c.lstat(q).Ino
			err := rename2(p, q, unix.RENAME_EXCHANGE)
			c.skipIf(err, unix.EINVAL, unix.ENOSYS)
			c.ok(err, from, " with ", to)
			equal(c, c.lstat(p).Ino, qi, "inode at the first name")
			equal(c, c.lstat(q).Ino, pi, "inode at the second name")
			equal(c, uint32(c.lstat(a).Nlink), 2+boolBit(to == dir), "links of the first parent")
			equal(c, uint32(c.lstat(b).Nlink), 2+boolBit(from == dir), "links of the second parent")
			c.ok(remove(to, p), "remove")
			c.ok(remove(from, q), "remove")
			c.ok(unix.Rmdir(a), "rmdir")
			c.ok(unix.Rmdir(b), "rmdir")
		}
	}
	p := c.write("f", "x", 0o644)
	c.want(unix.ENOENT, rename2(p, c.at("none"), unix.RENAME_EXCHANGE), "with nothing")
	d := c.make(dir, "d", 0o755)
	c.make(dir, "d/e", 0o755)
	c.want(unix.EINVAL, rename2(d, d+"/e", unix.RENAME_EXCHANGE), "with a descendant")
	c.oneOf([]unix.Errno{unix.EINVAL, unix.ENOTEMPTY}, rename2(d+"/e", d, unix.RENAME_EXCHANGE), "with an ancestor")
}
