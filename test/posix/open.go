package posix

import (
	"errors"
	"os"
	"os/exec"

	"golang.org/x/sys/unix"
)

func openCases() []testCase {
	return []testCase{
		{"O_EXCL on what exists", false, func(c *check) {
			for _, k := range everyKind() {
				p := c.make(k, string(k), 0o644)
				c.want(unix.EEXIST, try(p, unix.O_CREAT|unix.O_EXCL|unix.O_RDWR), k)
			}
		}},
		{"O_CREAT through a dangling symlink", false, func(c *check) {
			c.ok(unix.Symlink("made", c.at("l")), "symlink")
			c.want(0, try(c.at("l"), unix.O_CREAT|unix.O_WRONLY), "open")
			equal(c, c.lstat(c.at("made")).Mode&unix.S_IFMT, uint32(unix.S_IFREG), "type of the target")
		}},
		{"O_NOFOLLOW", false, func(c *check) {
			c.write("f", "x", 0o644)
			c.ok(unix.Symlink("f", c.at("l")), "symlink")
			c.want(unix.ELOOP, try(c.at("l"), unix.O_NOFOLLOW), "symlink")
			c.want(0, try(c.at("f"), unix.O_NOFOLLOW), "file")
		}},
		{"O_DIRECTORY", false, func(c *check) {
			c.want(unix.ENOTDIR, try(c.write("f", "x", 0o644), unix.O_DIRECTORY), "file")
			c.want(0, try(c.dir, unix.O_DIRECTORY), "directory")
		}},
		{"EISDIR", false, func(c *check) {
			for _, f := range []int{unix.O_WRONLY, unix.O_RDWR, unix.O_RDONLY | unix.O_CREAT} {
				c.want(unix.EISDIR, try(c.dir, f), "flags ", f)
			}
			fd := c.open(c.dir, unix.O_RDONLY, 0)
			_, err := unix.Read(fd, make([]byte, 10))
			c.want(unix.EISDIR, err, "read")
		}},
		{"O_TRUNC", false, func(c *check) {
			p := c.write("f", "content", 0o644)
			before := c.later(p)
			c.want(0, try(p, unix.O_WRONLY|unix.O_TRUNC), "open")
			equal(c, c.lstat(p).Size, 0, "size")
			c.touched(p, before, true, true, "O_TRUNC")
		}},
		{"O_TRUNC under an open file", false, func(c *check) {
			p := c.write("f", "content", 0o644)
			fd := c.open(p, unix.O_RDONLY, 0)
			buf := make([]byte, 16)
			n, err := unix.Pread(fd, buf, 0)
			c.ok(err, "read")
			equal(c, string(buf[:n]), "content", "before")
			c.ok(try(p, unix.O_WRONLY|unix.O_TRUNC), "open")
			n, err = unix.Pread(fd, buf, 0)
			c.ok(err, "read")
			equal(c, n, 0, "bytes after")
		}},
		{"O_APPEND", false, appendTwo},
		{"O_APPEND and mmap", false, appendMapped},
		{"EBADF by access mode", false, func(c *check) {
			p := c.write("f", "x", 0o644)
			_, err := unix.Write(c.open(p, unix.O_RDONLY, 0), []byte("x"))
			c.want(unix.EBADF, err, "write")
			_, err = unix.Read(c.open(p, unix.O_WRONLY, 0), make([]byte, 1))
			c.want(unix.EBADF, err, "read")
			var st unix.Stat_t
			c.want(unix.EBADF, unix.Fstat(-1, &st), "fstat")
		}},
		{"ENXIO", false, func(c *check) {
			c.want(unix.ENXIO, try(c.make(fifo, "fifo", 0o644), unix.O_WRONLY), "fifo without reader")
			c.want(unix.ENXIO, try(c.make(socket, "sock", 0o644), unix.O_RDONLY), "socket")
		}},
		{"a fifo passes bytes", false, func(c *check) {
			p := c.make(fifo, "fifo", 0o644)
			fd := c.open(p, unix.O_RDWR|unix.O_NONBLOCK, 0)
			_, err := unix.Write(fd, []byte("through"))
			c.ok(err, "write")
			buf := make([]byte, 16)
			n, err := unix.Read(fd, buf)
			c.ok(err, "read")
			equal(c, string(buf[:n]), "through", "bytes")
		}},
		{"ETXTBSY", false, textBusy},
		{"mode and umask", false, func(c *check) {
			c.withUmask(0o027, func() {
				for _, k := range everyKind() {
					if k == symlink {
						continue
					}
					c.ok(create(k, c.at(string(k)), 0o777), "make ", k)
					equal(c, c.lstat(c.at(string(k))).Mode&0o7777, uint32(0o750), "mode of ", k)
				}
			})
			c.withUmask(0, func() {
				fd := c.open(c.at("special"), unix.O_CREAT|unix.O_WRONLY, 0o1777)
				equal(c, c.fstat(fd).Mode&0o1777, uint32(0o1777), "mode with sticky")
			})
		}},
		{"mode 0 of a new file does not bind its maker", true, func(c *check) {
			c.give(c.dir, alice, alice)
			c.as(alice, alice, nil, func() {
				fd := c.open(c.at("f"), unix.O_CREAT|unix.O_EXCL|unix.O_RDWR, 0)
				_, err := unix.Write(fd, []byte("x"))
				c.want(0, err, "write")
				c.want(unix.EACCES, try(c.at("f"), unix.O_RDONLY), "open again")
			})
		}},
		{"owner and group of what is made", true, ownersOfNew},
		{"parent's times", false, func(c *check) {
			for _, k := range everyKind() {
				before := c.later(c.dir)
				c.ok(create(k, c.at(string(k)), 0o644), "make ", k)
				c.touched(c.dir, before, true, true, "make "+string(k))
				st := c.lstat(c.at(string(k)))
				for _, ts := range []unix.Timespec{st.Atim, st.Mtim, st.Ctim} {
					equal(c, after(before.Mtim, ts), false, "a time of the new ", k, " lies before")
				}
			}
			before := c.later(c.dir)
			c.want(0, try(c.at("file"), unix.O_CREAT|unix.O_WRONLY), "open what exists")
			c.touched(c.dir, before, false, false, "open what exists")
		}},
		{"permission matrix", true, permissionMatrix},
		{"descriptor outlives permission and name", true, func(c *check) {
			p := c.write("f", "content", 0o644)
			fd := c.open(p, unix.O_RDONLY, 0)
			c.ok(unix.Chmod(p, 0), "chmod")
			c.ok(unix.Rename(p, c.at("g")), "rename")
			buf := make([]byte, 16)
			n, err := unix.Pread(fd, buf, 0)
			c.ok(err, "read")
			equal(c, string(buf[:n]), "content", "content")
		}},
		{"O_PATH", false, func(c *check) {
			p := c.write("f", "x", 0o644)
			fd := c.open(p, unix.O_PATH, 0)
			equal(c, c.fstat(fd).Ino, c.lstat(p).Ino, "inode")
			_, err := unix.Read(fd, make([]byte, 1))
			c.want(unix.EBADF, err, "read")
		}},
		{"O_TMPFILE", false, func(c *check) {
			fd, err := unix.Open(c.dir, unix.O_TMPFILE|unix.O_RDWR, 0o600)
			c.skipIf(err, unix.EOPNOTSUPP, unix.EISDIR)
			c.ok(err, "open")
			equal(c, c.fstat(fd).Nlink, 0, "links")
			c.ok(unix.Close(fd), "close")
		}},
		{"O_SYNC and O_DSYNC", false, func(c *check) {
			for i, f := range []int{unix.O_SYNC, unix.O_DSYNC} {
				p := c.at("f" + itoa(i))
				fd := c.open(p, unix.O_CREAT|unix.O_WRONLY|f, 0o644)
				_, err := unix.Write(fd, []byte("synced"))
				c.want(0, err, "write")
				equal(c, c.read(p), "synced", "content")
			}
		}},
		{"fsync and fdatasync", false, func(c *check) {
			fd := c.open(c.at("f"), unix.O_CREAT|unix.O_RDWR, 0o644)
			_, err := unix.Write(fd, []byte("x"))
			c.ok(err, "write")
			c.want(0, unix.Fsync(fd), "fsync")
			c.want(0, unix.Fdatasync(fd), "fdatasync")
			c.want(0, unix.Fsync(c.open(c.dir, unix.O_RDONLY, 0)), "fsync of a directory")
			c.want(0, unix.Syncfs(fd), "syncfs")
		}},
	}
}

func appendTwo(c *check) {
	p := c.write("f", "start;", 0o644)
	a, b := c.open(p, unix.O_WRONLY|unix.O_APPEND, 0), c.open(p, unix.O_RDWR|unix.O_APPEND, 0)
	for _, step := range []struct {
		fd   int
		text string
	}{{a, "a1;"}, {b, "b1;"}, {a, "a2;"}, {b, "b2;"}} {
		n, err := unix.Write(step.fd, []byte(step.text))
		c.ok(err, "write")
		equal(c, n, len(step.text), "written")
	}
	equal(c, c.read(p), "start;a1;b1;a2;b2;", "content")
	_, err := unix.Seek(b, 2, 0)
	c.ok(err, "seek")
	_, err = unix.Write(b, []byte("end"))
	c.ok(err, "write after seek")
	equal(c, c.read(p), "start;a1;b1;a2;b2;end", "content after seek")
	at, err := unix.Seek(b, 0, 1)
	c.ok(err, "tell")
	equal(c, at, int64(len("start;a1;b1;a2;b2;end")), "position after an append")
	c.ok(unix.Ftruncate(a, 3), "truncate")
	_, err = unix.Write(b, []byte("!"))
	c.ok(err, "write after truncate")
	equal(c, c.read(p), "sta!", "content after truncate")
}

func appendMapped(c *check) {
	p := c.write("f", "0123456789", 0o644)
	fd := c.open(p, unix.O_RDWR|unix.O_APPEND, 0)
	m, err := unix.Mmap(fd, 0, 10, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	c.skipIf(err, unix.ENODEV)
	c.ok(err, "mmap")
	m[0] = 'X'
	c.ok(unix.Msync(m, unix.MS_SYNC), "msync")
	c.ok(unix.Munmap(m), "munmap")
	_, err = unix.Write(fd, []byte("!"))
	c.ok(err, "append")
	equal(c, c.read(p), "X123456789!", "content")
}

func textBusy(c *check) {
	raw, err := os.ReadFile(c.program("sleep"))
	c.ok(err, "read sleep")
	p := c.at("sleep")
	c.ok(os.WriteFile(p, raw, 0o755), "copy")
	cmd := exec.Command(p, "60")
	err = cmd.Start()
	if errors.Is(err, unix.EACCES) {
		c.T.Skip("mounted noexec")
	}
	c.ok(err, "start")
	defer func() {
		_ = cmd.Process.Kill() // it may have ended
		_ = cmd.Wait()         // killed: not a success
	}()
	c.want(unix.ETXTBSY, try(p, unix.O_WRONLY), "open for writing")
	c.want(unix.ETXTBSY, unix.Truncate(p, 1), "truncate")
	c.want(0, try(p, unix.O_RDONLY), "open for reading")
	fd := c.open(c.at("written"), unix.O_CREAT|unix.O_WRONLY, 0o755)
	_, err = unix.Write(fd, raw)
	c.ok(err, "write")
	c.want(unix.ETXTBSY, exec.Command(c.at("written"), "0").Run(), "run what is being written")
	c.ok(unix.Close(fd), "close")
	c.want(0, exec.Command(c.at("written"), "0").Run(), "run it then")
}

func ownersOfNew(c *check) {
	plain, setgid := c.make(dir, "plain", 0o777), c.make(dir, "setgid", 0o2777)
	c.give(setgid, bob, guild)
	c.ok(unix.Chmod(setgid, 0o2777), "chmod")
	c.as(alice, staff, nil, func() {
		for _, k := range []kind{file, dir, fifo, socket, symlink} {
			c.ok(create(k, plain+"/"+string(k), 0o755), "make ", k)
			c.ok(create(k, setgid+"/"+string(k), 0o755), "make ", k)
		}
	})
	for _, k := range []kind{file, dir, fifo, socket, symlink} {
		st := c.lstat(plain + "/" + string(k))
		equal(c, [2]uint32{st.Uid, st.Gid}, [2]uint32{alice, staff}, "owner of ", k)
		equal(c, st.Mode&unix.S_ISGID, 0, "setgid of ", k)
		st = c.lstat(setgid + "/" + string(k))
		equal(c, [2]uint32{st.Uid, st.Gid}, [2]uint32{alice, guild}, "owner of ", k, " in a setgid directory")
		equal(c, st.Mode&unix.S_ISGID != 0, k == dir, "setgid handed down to ", k)
	}
}

// permissionMatrix opens files of all owner, group and other bits as each of the three.
func permissionMatrix(c *check) {
	p := c.write("f", "x", 0o644)
	c.give(p, alice, staff)
	who := []struct {
		name   string
		uid    int
		gid    int
		groups []int
		shift  uint
	}{{"owner", alice, guild, nil, 6}, {"group", bob, staff, nil, 3}, {"supplementary group", bob, guild, []int{staff}, 3}, {"other", carol, guild, nil, 0}}
	for _, w := range who {
		for bits := uint32(0); bits < 8; bits++ {
			mode := bits<<w.shift | (0o777 &^ (7 << w.shift)) // everybody else may all: must not matter
			c.ok(unix.Chmod(p, mode), "chmod")
			c.as(w.uid, w.gid, w.groups, func() {
				for _, a := range []struct {
					flags int
					needs uint32
				}{{unix.O_RDONLY, 4}, {unix.O_WRONLY, 2}, {unix.O_RDWR, 6}, {unix.O_WRONLY | unix.O_TRUNC, 2}} {
					want := unix.Errno(0)
					if bits&a.needs != a.needs {
						want = unix.EACCES
					}
					c.want(want, try(p, a.flags), w.name, " with mode ", bits, " flags ", a.flags)
				}
				want := unix.Errno(0)
				if bits&1 == 0 {
					want = unix.EACCES
				}
				c.want(want, unix.Faccessat(unix.AT_FDCWD, p, unix.X_OK, 0), w.name, " access X_OK with mode ", bits)
			})
		}
	}
}
