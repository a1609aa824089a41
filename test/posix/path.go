package posix

import (
	"strings"

	"golang.org/x/sys/unix"
)

// pathCall is a call that takes a path.
type pathCall struct {
	name    string
	creates bool // makes the last component, instead of needing it
	follows bool // follows a symlink in the last component
	call    func(c *check, path string) error
}

func pathCalls() []pathCall {
	return []pathCall{
		{"open", false, true, func(_ *check, p string) error { return try(p, unix.O_RDONLY) }},
		{"open O_CREAT", true, true, func(_ *check, p string) error { return try(p, unix.O_CREAT|unix.O_WRONLY) }},
		{"open O_CREAT|O_EXCL", true, false, func(_ *check, p string) error { return try(p, unix.O_CREAT|unix.O_EXCL|unix.O_RDWR) }},
		{"mkdir", true, false, func(_ *check, p string) error { return unix.Mkdir(p, 0o755) }},
		{"mkfifo", true, false, func(_ *check, p string) error { return unix.Mkfifo(p, 0o644) }},
		{"link from", false, false, func(c *check, p string) error { return unix.Link(p, c.at("linked")) }},
		{"link to", true, false, func(c *check, p string) error { return unix.Link(c.at("plain"), p) }},
		{"symlink", true, false, func(_ *check, p string) error { return unix.Symlink("target", p) }},
		{"unlink", false, false, func(_ *check, p string) error { return unix.Unlink(p) }},
		{"rmdir", false, false, func(_ *check, p string) error { return unix.Rmdir(p) }},
		{"rename from", false, false, func(c *check, p string) error { return unix.Rename(p, c.at("renamed")) }},
		{"rename to", true, false, func(c *check, p string) error { return unix.Rename(c.at("plain"), p) }},
		{"chmod", false, true, func(_ *check, p string) error { return unix.Chmod(p, 0o600) }},
		{"chown", false, true, func(_ *check, p string) error { return unix.Chown(p, -1, -1) }},
		{"lchown", false, false, func(_ *check, p string) error { return unix.Lchown(p, -1, -1) }},
		{"truncate", false, true, func(_ *check, p string) error { return unix.Truncate(p, 1) }},
		{"utimensat", false, true, func(_ *check, p string) error { return unix.UtimesNanoAt(unix.AT_FDCWD, p, nil, 0) }},
		{"stat", false, true, func(_ *check, p string) error { var st unix.Stat_t; return unix.Stat(p, &st) }},
		{"lstat", false, false, func(_ *check, p string) error { var st unix.Stat_t; return unix.Lstat(p, &st) }},
		{"statfs", false, true, func(_ *check, p string) error { var st unix.Statfs_t; return unix.Statfs(p, &st) }},
		{"readlink", false, false, func(_ *check, p string) error { _, err := unix.Readlink(p, make([]byte, 64)); return err }},
		{"access", false, true, func(_ *check, p string) error { return unix.Access(p, unix.F_OK) }},
		{"getxattr", false, true, func(_ *check, p string) error { _, err := unix.Getxattr(p, "user.x", make([]byte, 64)); return err }},
		{"setxattr", false, true, func(_ *check, p string) error { return unix.Setxattr(p, "user.x", []byte("y"), 0) }},
		{"listxattr", false, true, func(_ *check, p string) error { _, err := unix.Listxattr(p, make([]byte, 4096)); return err }},
	}
}

// everyPathCall makes a case of each call with one errno.
func everyPathCall(errno unix.Errno, where func(c *check) string, only func(pathCall) bool) func(c *check) {
	return func(c *check) {
		c.write("plain", "x", 0o644)
		p := where(c)
		for _, k := range pathCalls() {
			if only == nil || only(k) {
				c.want(errno, k.call(c, p), k.name)
			}
		}
	}
}

func pathCases() []testCase {
	return []testCase{
		{"ENOENT in the middle", false, everyPathCall(unix.ENOENT, func(c *check) string { return c.at("none", "x") }, nil)},
		{"ENOENT at the end", false, everyPathCall(unix.ENOENT, func(c *check) string { return c.at("none") },
			func(k pathCall) bool { return !k.creates })},
		{"ENOENT empty path", false, everyPathCall(unix.ENOENT, func(*check) string { return "" }, nil)},
		{"ENOENT dangling symlink", false, everyPathCall(unix.ENOENT, func(c *check) string { return c.make(symlink, "dangling", 0) },
			func(k pathCall) bool { return k.follows && !k.creates })},
		{"ENOTDIR", false, everyPathCall(unix.ENOTDIR, func(c *check) string { return c.write("f", "", 0o644) + "/x" }, nil)},
		{"ENOTDIR below special files", false, func(c *check) {
			for _, k := range everyKind() {
				if k != dir && k != symlink {
					var st unix.Stat_t
					c.want(unix.ENOTDIR, unix.Lstat(c.make(k, string(k), 0o644)+"/x", &st), "lstat below ", k)
				}
			}
		}},
		{"ENOTDIR trailing slash", false, func(c *check) {
			p := c.write("f", "", 0o644) + "/"
			c.want(unix.ENOTDIR, try(p, unix.O_RDONLY), "open")
			c.want(unix.ENOTDIR, unix.Unlink(p), "unlink")
			c.want(unix.ENOTDIR, unix.Rename(p, c.at("g")), "rename")
			c.want(0, unix.Mkdir(c.at("d")+"/", 0o755), "mkdir")
			c.want(0, unix.Rmdir(c.at("d")+"/"), "rmdir")
		}},
		{"ENAMETOOLONG at the end", false, everyPathCall(unix.ENAMETOOLONG, func(c *check) string { return c.at(strings.Repeat("n", 256)) }, nil)},
		{"ENAMETOOLONG in the middle", false, everyPathCall(unix.ENAMETOOLONG,
			func(c *check) string { return c.at(strings.Repeat("n", 256), "x") }, nil)},
		{"ENAMETOOLONG path", false, everyPathCall(unix.ENAMETOOLONG,
			func(c *check) string { return c.dir + strings.Repeat("/.", 2048) + "/x" }, nil)},
		{"255 bytes are a name", false, longestNames},
		{"every byte is a name", false, everyByte},
		{"ELOOP in the middle", false, everyPathCall(unix.ELOOP, func(c *check) string { return loop(c) + "/x" }, nil)},
		{"ELOOP at the end", false, everyPathCall(unix.ELOOP, loop, func(k pathCall) bool { return k.follows })},
		{"40 symlinks are allowed", false, func(c *check) {
			c.write("l0", "deep", 0o644)
			for i := 1; i <= 41; i++ {
				c.ok(unix.Symlink("l"+itoa(i-1), c.at("l"+itoa(i))), "symlink")
			}
			c.want(0, try(c.at("l40"), unix.O_RDONLY), "open through 40")
			c.want(unix.ELOOP, try(c.at("l41"), unix.O_RDONLY), "open through 41")
		}},
		{"EACCES without search permission", true, func(c *check) {
			c.give(c.write("plain", "x", 0o644), alice, alice)
			c.give(c.dir, alice, alice)
			d := c.make(dir, "closed", 0o755)
			c.write("closed/x", "x", 0o644)
			c.give(d, alice, alice)
			c.ok(unix.Chmod(d, 0o644), "chmod")
			c.as(alice, alice, nil, func() {
				for _, k := range pathCalls() {
					c.want(unix.EACCES, k.call(c, d+"/x"), k.name)
				}
			})
		}},
		{"EACCES without write permission in the directory", true, func(c *check) {
			c.make(dir, "ro", 0o755)
			c.write("ro/f", "x", 0o666)
			c.make(dir, "ro/d", 0o777)
			c.give(c.dir, alice, alice)
			c.give(c.write("plain", "x", 0o644), alice, alice)
			c.as(alice, alice, nil, func() {
				for _, k := range pathCalls() {
					if k.creates {
						c.want(unix.EACCES, k.call(c, c.at("ro", "new")), k.name)
					}
				}
				c.want(unix.EACCES, unix.Unlink(c.at("ro", "f")), "unlink")
				c.want(unix.EACCES, unix.Rmdir(c.at("ro", "d")), "rmdir")
				c.want(unix.EACCES, unix.Rename(c.at("ro", "f"), c.at("g")), "rename out")
				c.want(unix.EACCES, unix.Rename(c.at("plain"), c.at("ro", "f")), "rename over")
			})
		}},
		{"dot and dot dot", false, func(c *check) {
			c.make(dir, "a", 0o755)
			equal(c, c.lstat(c.at("a")+"/.").Ino, c.lstat(c.at("a")).Ino, "inode of .")
			equal(c, c.lstat(c.at("a")+"/..").Ino, c.lstat(c.dir).Ino, "inode of ..")
			c.make(dir, "b", 0o755)
			c.ok(unix.Rename(c.at("b"), c.at("a", "b")), "rename")
			equal(c, c.lstat(c.at("a", "b")+"/..").Ino, c.lstat(c.at("a")).Ino, "inode of .. after a move")
		}},
	}
}

func loop(c *check) string {
	c.ok(unix.Symlink("loop2", c.at("loop1")), "symlink")
	c.ok(unix.Symlink("loop1", c.at("loop2")), "symlink")
	return c.at("loop1")
}

func longestNames(c *check) {
	name := strings.Repeat("n", 255)
	for _, k := range everyKind() {
		p := c.make(k, name, 0o644)
		equal(c, c.lstat(p).Mode&unix.S_IFMT, k.mode(), "type of ", k)
		q := c.at(strings.Repeat("m", 255))
		c.want(0, unix.Rename(p, q), "rename ", k)
		c.want(0, remove(k, q), "remove ", k)
	}
	c.write("plain", "x", 0o644)
	c.want(0, unix.Link(c.at("plain"), c.at(name)), "link")
}

func everyByte(c *check) {
	for b := 1; b < 256; b++ {
		if b == '/' || b == '.' {
			continue
		}
		p := c.dir + "/" + string([]byte{byte(b)})
		c.want(0, create(file, p, 0o644), "create byte ", b)
		c.want(0, unix.Unlink(p), "unlink byte ", b)
	}
}

func itoa(i int) string {
	if i < 10 {
		return string(rune('0' + i))
	}
	return itoa(i/10) + string(rune('0'+i%10))
}
