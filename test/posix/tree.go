package posix

import (
	"strings"

	"golang.org/x/sys/unix"
)

func mkdirCases() []testCase {
	return []testCase{
		{"links", false, func(c *check) {
			before := c.lstat(c.dir).Nlink
			d := c.make(dir, "d", 0o755)
			equal(c, c.lstat(d).Nlink, 2, "links of the new one")
			equal(c, c.lstat(c.dir).Nlink, before+1, "links of the parent")
			c.make(dir, "d/e", 0o755)
			equal(c, c.lstat(d).Nlink, 3, "links with a child")
			c.write("d/f", "x", 0o644)
			equal(c, c.lstat(d).Nlink, 3, "links with a file too")
			c.ok(unix.Rmdir(d+"/e"), "rmdir")
			equal(c, c.lstat(d).Nlink, 2, "links without the child")
		}},
		{"EEXIST", false, func(c *check) {
			for _, k := range everyKind() {
				c.want(unix.EEXIST, unix.Mkdir(c.make(k, string(k), 0o644), 0o755), k)
			}
			c.want(unix.EEXIST, unix.Mkdir(c.dir+"/.", 0o755), ".")
			c.want(unix.EEXIST, unix.Mkdir(c.dir+"/..", 0o755), "..")
		}},
		{"sticky bit in mode", false, func(c *check) {
			c.withUmask(0, func() {
				c.ok(unix.Mkdir(c.at("d"), 0o1777), "mkdir")
				equal(c, c.lstat(c.at("d")).Mode&0o7777, uint32(0o1777), "mode")
			})
		}},
		{"in a removed directory", false, func(c *check) {
			d := c.make(dir, "d", 0o755)
			fd := c.open(d, unix.O_RDONLY|unix.O_DIRECTORY, 0)
			c.ok(unix.Rmdir(d), "rmdir")
			c.want(unix.ENOENT, unix.Mkdirat(fd, "x", 0o755), "mkdirat")
			c.want(unix.ENOENT, unix.Symlinkat("t", fd, "x"), "symlinkat")
			_, err := unix.Openat(fd, "x", unix.O_CREAT|unix.O_WRONLY, 0o644)
			c.want(unix.ENOENT, err, "openat")
			n, err := unix.Getdents(fd, make([]byte, 4096))
			c.oneOf([]unix.Errno{0, unix.ENOENT}, err, "getdents")
			if err == nil && n > 0 {
				equal(c, n <= 48, true, "only . and .. are listed")
			}
		}},
		{"a removed directory has no links", false, func(c *check) {
			d := c.make(dir, "d", 0o755)
			fd := c.open(d, unix.O_RDONLY|unix.O_DIRECTORY, 0)
			c.ok(unix.Rmdir(d), "rmdir")
			equal(c, c.fstat(fd).Nlink, 0, "links")
		}},
		{"deep", false, func(c *check) {
			p := c.dir
			for range 64 {
				p += "/d"
				c.ok(unix.Mkdir(p, 0o755), "mkdir")
			}
			c.ok(create(file, p+"/f", 0o644), "create")
			equal(c, c.lstat(p+"/f").Nlink, 1, "links")
		}},
	}
}

func mknodCases() []testCase {
	return []testCase{
		{"types and numbers", true, func(c *check) {
			for _, k := range everyKind() {
				st := c.lstat(c.make(k, string(k), 0o640))
				equal(c, st.Mode&unix.S_IFMT, k.mode(), "type of ", k)
				if k != symlink {
					equal(c, st.Mode&0o7777, uint32(0o640), "mode of ", k)
				}
				if k == block || k == char {
					equal(c, st.Rdev, unix.Mkdev(1, 7), "device of ", k)
				}
			}
			dev := unix.Mkdev(3000, 70000)
			c.ok(unix.Mknod(c.at("large"), unix.S_IFCHR|0o600, int(dev)), "mknod")
			equal(c, c.lstat(c.at("large")).Rdev, dev, "large device number")
		}},
		{"regular file", false, func(c *check) {
			c.ok(unix.Mknod(c.at("f"), unix.S_IFREG|0o640, 0), "mknod")
			st := c.lstat(c.at("f"))
			equal(c, st.Mode, uint32(unix.S_IFREG|0o640), "mode")
			equal(c, st.Size, 0, "size")
		}},
		{"EEXIST", false, func(c *check) {
			for _, k := range everyKind() {
				c.want(unix.EEXIST, unix.Mkfifo(c.make(k, string(k), 0o644), 0o644), k)
			}
		}},
		{"EPERM for devices", true, func(c *check) {
			c.ok(unix.Chmod(c.dir, 0o777), "chmod")
			c.as(alice, alice, nil, func() {
				c.want(unix.EPERM, create(char, c.at("c"), 0o644), "character device")
				c.want(unix.EPERM, create(block, c.at("b"), 0o644), "block device")
				c.want(0, create(fifo, c.at("f"), 0o644), "fifo")
				c.want(0, create(socket, c.at("s"), 0o644), "socket")
			})
		}},
		{"a bound socket", false, func(c *check) {
			fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
			c.ok(err, "socket")
			defer unix.Close(fd)
			c.skipIf(unix.Bind(fd, &unix.SockaddrUnix{Name: c.at("s")}), unix.EINVAL) // path too long
			equal(c, c.lstat(c.at("s")).Mode&unix.S_IFMT, uint32(unix.S_IFSOCK), "type")
			c.ok(unix.Listen(fd, 1), "listen")
			to, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
			c.ok(err, "socket")
			defer unix.Close(to)
			c.want(0, unix.Connect(to, &unix.SockaddrUnix{Name: c.at("s")}), "connect")
		}},
	}
}

func linkCases() []testCase {
	return []testCase{
		{"one inode with several names", false, func(c *check) {
			for _, k := range everyKind() {
				if k == dir {
					continue
				}
				p, q := c.make(k, string(k), 0o644), c.at(string(k)+"2")
				before, parent := c.later(p), c.later(c.dir)
				c.ok(unix.Link(p, q), "link ", k)
				a, b := c.lstat(p), c.lstat(q)
				equal(c, a.Ino, b.Ino, "inode of ", k)
				equal(c, a.Nlink, 2, "links of ", k)
				c.touched(p, before, false, true, "link "+string(k))
				c.touched(c.dir, parent, true, true, "link "+string(k))
				before = c.later(p)
				c.ok(unix.Unlink(q), "unlink ", k)
				equal(c, c.lstat(p).Nlink, 1, "links of ", k, " after unlink")
				c.touched(p, before, false, true, "unlink "+string(k))
			}
		}},
		{"one content, one set of attributes", false, func(c *check) {
			p, q := c.write("f", "one", 0o644), c.at("g")
			c.ok(unix.Link(p, q), "link")
			_, err := unix.Write(c.open(q, unix.O_WRONLY, 0), []byte("two"))
			c.ok(err, "write")
			equal(c, c.read(p), "two", "content by the other name")
			c.ok(unix.Chmod(q, 0o600), "chmod")
			equal(c, c.lstat(p).Mode&0o777, uint32(0o600), "mode by the other name")
		}},
		{"EEXIST", false, func(c *check) {
			p := c.write("f", "x", 0o644)
			for _, k := range everyKind() {
				c.want(unix.EEXIST, unix.Link(p, c.make(k, string(k), 0o644)), k)
			}
			equal(c, c.lstat(p).Nlink, 1, "links after failing")
		}},
		{"EPERM for directories", false, func(c *check) {
			c.want(unix.EPERM, unix.Link(c.make(dir, "d", 0o755), c.at("e")), "link")
			c.missing(c.at("e"))
		}},
		{"symlinks", false, func(c *check) {
			p := c.write("f", "x", 0o644)
			c.ok(unix.Symlink("f", c.at("l")), "symlink")
			c.ok(unix.Linkat(unix.AT_FDCWD, c.at("l"), unix.AT_FDCWD, c.at("l2"), 0), "link the link")
			equal(c, c.lstat(c.at("l2")).Ino, c.lstat(c.at("l")).Ino, "inode of the link")
			c.ok(unix.Linkat(unix.AT_FDCWD, c.at("l"), unix.AT_FDCWD, c.at("f2"), unix.AT_SYMLINK_FOLLOW), "link what it points at")
			equal(c, c.lstat(c.at("f2")).Ino, c.lstat(p).Ino, "inode of the file")
		}},
		{"EXDEV", false, func(c *check) {
			if c.options.OtherDir == "" {
				c.T.Skip("no other file system given")
			}
			if c.lstat(c.options.OtherDir).Dev == c.lstat(c.dir).Dev {
				c.T.Skip("the other directory is on the same file system")
			}
			p, q := c.write("f", "x", 0o644), c.options.OtherDir+"/honeyant-posix-"+itoa(unix.Getpid())
			c.want(unix.EXDEV, unix.Link(p, q), "link")
			c.want(unix.EXDEV, unix.Rename(p, q), "rename")
		}},
		{"many links", false, func(c *check) {
			p := c.write("f", "x", 0o644)
			for i := range 500 {
				c.ok(unix.Link(p, c.at("l"+itoa(i))), "link")
			}
			equal(c, c.lstat(p).Nlink, 501, "links")
		}},
		{"EACCES", true, func(c *check) {
			c.make(dir, "closed", 0o700)
			c.write("closed/f", "x", 0o666)
			d := c.make(dir, "open", 0o777)
			c.as(alice, alice, nil, func() {
				c.want(unix.EACCES, unix.Link(c.at("closed", "f"), d+"/g"), "link")
			})
		}},
	}
}

func symlinkCases() []testCase {
	return []testCase{
		{"targets", false, func(c *check) {
			for _, n := range []int{1, 59, 60, 255, 256, 1023, 4000, 4095} {
				target := strings.Repeat("t", n)
				p := c.at("l" + itoa(n))
				err := unix.Symlink(target, p)
				if n == 4095 {
					c.oneOf([]unix.Errno{0, unix.ENAMETOOLONG}, err, "target of 4095")
					continue
				}
				c.ok(err, "target of ", n)
				buf := make([]byte, 8192)
				got, err := unix.Readlink(p, buf)
				c.ok(err, "readlink")
				equal(c, string(buf[:got]) == target, true, "target of ", n, " reads back")
				st := c.lstat(p)
				equal(c, st.Size, int64(n), "size")
				equal(c, st.Mode, uint32(unix.S_IFLNK|0o777), "mode")
			}
			c.want(unix.ENAMETOOLONG, unix.Symlink(strings.Repeat("t", 4096), c.at("long")), "target of 4096")
			c.want(unix.ENOENT, unix.Symlink("", c.at("empty")), "empty target")
		}},
		{"EEXIST", false, func(c *check) {
			for _, k := range everyKind() {
				c.want(unix.EEXIST, unix.Symlink("t", c.make(k, string(k), 0o644)), k)
			}
		}},
		{"EINVAL of readlink", false, func(c *check) {
			for _, k := range everyKind() {
				if k != symlink {
					_, err := unix.Readlink(c.make(k, string(k), 0o644), make([]byte, 64))
					c.want(unix.EINVAL, err, k)
				}
			}
		}},
		{"followed", false, func(c *check) {
			d := c.make(dir, "d", 0o755)
			c.write("d/f", "through", 0o644)
			for name, target := range map[string]string{"rel": "d", "abs": d, "dots": "./d/../d", "slash": "d/"} {
				c.ok(unix.Symlink(target, c.at(name)), "symlink")
				equal(c, c.read(c.at(name)+"/f"), "through", "by "+name)
			}
		}},
		{"a short buffer cuts", false, func(c *check) {
			c.ok(unix.Symlink("abcdef", c.at("l")), "symlink")
			buf := make([]byte, 3)
			n, err := unix.Readlink(c.at("l"), buf)
			c.ok(err, "readlink")
			equal(c, string(buf[:n]), "abc", "target")
		}},
	}
}

func unlinkCases() []testCase {
	return []testCase{
		{"every kind", false, func(c *check) {
			for _, k := range everyKind() {
				if k == dir {
					continue
				}
				p := c.make(k, string(k), 0o644)
				before := c.later(c.dir)
				c.ok(unix.Unlink(p), "unlink ", k)
				c.missing(p)
				c.touched(c.dir, before, true, true, "unlink "+string(k))
			}
		}},
		{"EISDIR", false, func(c *check) {
			c.oneOf([]unix.Errno{unix.EISDIR, unix.EPERM}, unix.Unlink(c.make(dir, "d", 0o755)), "unlink")
		}},
		{"an open file lives on", false, func(c *check) {
			p := c.write("f", "content", 0o644)
			fd := c.open(p, unix.O_RDWR, 0)
			ino := c.fstat(fd).Ino
			c.ok(unix.Unlink(p), "unlink")
			equal(c, c.fstat(fd).Nlink, 0, "links")
			buf := make([]byte, 16)
			n, err := unix.Pread(fd, buf, 0)
			c.ok(err, "read")
			equal(c, string(buf[:n]), "content", "content")
			_, err = unix.Pwrite(fd, []byte("CON"), 0)
			c.ok(err, "write")
			c.ok(unix.Ftruncate(fd, 5), "truncate")
			c.ok(unix.Fchmod(fd, 0o600), "chmod")
			c.ok(unix.Fsync(fd), "fsync")
			n, err = unix.Pread(fd, buf, 0)
			c.ok(err, "read")
			equal(c, string(buf[:n]), "CONte", "content after writing")
			st := c.fstat(fd)
			equal(c, st.Size, 5, "size")
			equal(c, st.Ino, ino, "inode")
			c.write("f", "new", 0o644)
			equal(c, c.lstat(p).Ino != ino, true, "a new file has another inode")
			n, err = unix.Pread(fd, buf, 0)
			c.ok(err, "read")
			equal(c, string(buf[:n]), "CONte", "content beside the new file")
		}},
		{"an open file replaced by rename lives on", false, func(c *check) {
			old := c.open(c.write("f", "old", 0o644), unix.O_RDONLY, 0)
			c.ok(unix.Rename(c.write("g", "new", 0o644), c.at("f")), "rename")
			buf := make([]byte, 8)
			n, err := unix.Pread(old, buf, 0)
			c.ok(err, "read")
			equal(c, string(buf[:n]), "old", "content")
			equal(c, c.fstat(old).Nlink, 0, "links")
			equal(c, c.read(c.at("f")), "new", "content by name")
		}},
		{"sticky directory", true, stickyMatrix},
	}
}

// stickyMatrix removes and renames in a sticky directory: its owner, the file's owner and root may.
func stickyMatrix(c *check) {
	for _, k := range []struct {
		dirOwner, fileOwner, caller int
		want                        unix.Errno
	}{
		{alice, alice, alice, 0}, {alice, bob, alice, 0}, {bob, alice, alice, 0},
		{bob, bob, alice, unix.EPERM}, {bob, carol, alice, unix.EPERM}, {0, 0, alice, unix.EPERM},
	} {
		for _, kind := range []kind{file, dir, fifo, symlink} {
			d := c.make(dir, "sticky", 0o1777)
			c.give(d, k.dirOwner, k.dirOwner)
			c.ok(unix.Chmod(d, 0o1777), "chmod")
			c.ok(unix.Chmod(c.dir, 0o777), "chmod")
			p := c.make(kind, "sticky/x", 0o777)
			c.give(p, k.fileOwner, k.fileOwner)
			mine := c.at("mine")
			c.as(k.caller, k.caller, nil, func() {
				c.ok(create(kind, mine, 0o777), "make own")
				c.want(k.want, unix.Rename(p, c.at("out")), "rename out ", kind, " of ", k.fileOwner, " in directory of ", k.dirOwner)
				if k.want == 0 {
					c.ok(unix.Rename(c.at("out"), p), "rename back")
				}
				c.want(k.want, unix.Rename(mine, p), "rename over ", kind, " of ", k.fileOwner, " in directory of ", k.dirOwner)
				c.want(k.want, remove(kind, p), "remove ", kind, " of ", k.fileOwner, " in directory of ", k.dirOwner)
			})
			_ = remove(kind, p)    // may be gone
			_ = remove(kind, mine) // may be gone
			c.ok(unix.Rmdir(d), "rmdir")
		}
	}
}

func rmdirCases() []testCase {
	return []testCase{
		{"ENOTEMPTY", false, func(c *check) {
			for _, k := range everyKind() {
				d := c.make(dir, "d", 0o755)
				p := c.make(k, "d/x", 0o644)
				c.oneOf([]unix.Errno{unix.ENOTEMPTY, unix.EEXIST}, unix.Rmdir(d), "with a ", k)
				c.ok(remove(k, p), "remove ", k)
				c.ok(unix.Rmdir(d), "empty")
				c.missing(d)
			}
		}},
		{"ENOTDIR", false, func(c *check) {
			for _, k := range everyKind() {
				if k != dir {
					c.want(unix.ENOTDIR, unix.Rmdir(c.make(k, string(k), 0o644)), k)
				}
			}
		}},
		{"dots", false, func(c *check) {
			d := c.make(dir, "d", 0o755)
			c.want(unix.EINVAL, unix.Rmdir(d+"/."), ".")
			c.oneOf([]unix.Errno{unix.ENOTEMPTY, unix.EEXIST}, unix.Rmdir(d+"/.."), "..")
		}},
		{"parent", false, func(c *check) {
			d := c.make(dir, "d", 0o755)
			links, before := c.lstat(c.dir).Nlink, c.later(c.dir)
			c.ok(unix.Rmdir(d), "rmdir")
			equal(c, c.lstat(c.dir).Nlink, links-1, "links")
			c.touched(c.dir, before, true, true, "rmdir")
		}},
	}
}
