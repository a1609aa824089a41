package posix

import (
	"time"

	"golang.org/x/sys/unix"
)

func chmodCases() []testCase {
	return []testCase{
		{"all bits of every kind", false, func(c *check) {
			for _, k := range everyKind() {
				if k == symlink {
					continue
				}
				p := c.make(k, string(k), 0o644)
				for _, mode := range []uint32{0, 0o111, 0o777, 0o1777, 0o2755, 0o4755, 0o7777, 0o640} {
					before := c.later(p)
					c.ok(unix.Chmod(p, mode), "chmod ", k)
					equal(c, c.lstat(p).Mode, k.mode()|mode, "mode of ", k)
					c.touched(p, before, false, true, "chmod "+string(k))
				}
			}
		}},
		{"by descriptor and through a symlink", false, func(c *check) {
			p := c.write("f", "x", 0o644)
			c.ok(unix.Fchmod(c.open(p, unix.O_RDONLY, 0), 0o600), "fchmod")
			equal(c, c.lstat(p).Mode&0o777, uint32(0o600), "mode")
			c.ok(unix.Symlink("f", c.at("l")), "symlink")
			c.ok(unix.Chmod(c.at("l"), 0o640), "chmod")
			equal(c, c.lstat(p).Mode&0o777, uint32(0o640), "mode")
		}},
		{"EPERM", true, func(c *check) {
			for _, k := range everyKind() {
				if k == symlink {
					continue
				}
				p := c.make(k, string(k), 0o644)
				c.give(p, alice, staff)
				c.as(bob, staff, nil, func() { c.want(unix.EPERM, unix.Chmod(p, 0o777), k) })
				c.as(alice, alice, nil, func() { c.want(0, unix.Chmod(p, 0o600), k) })
				equal(c, c.lstat(p).Mode&0o7777, uint32(0o600), "mode of ", k)
			}
		}},
		{"setgid by one who is not in the group", true, func(c *check) {
			p := c.write("f", "x", 0o644)
			c.give(p, alice, guild)
			c.as(alice, staff, nil, func() { c.want(0, unix.Chmod(p, 0o2755), "chmod") })
			equal(c, c.lstat(p).Mode&0o7777, uint32(0o755), "mode")
			c.as(alice, staff, []int{guild}, func() { c.want(0, unix.Chmod(p, 0o2755), "chmod as a member") })
			equal(c, c.lstat(p).Mode&0o7777, uint32(0o2755), "mode")
		}},
	}
}

func chownCases() []testCase {
	return []testCase{
		{"root gives away every kind", true, func(c *check) {
			for _, k := range everyKind() {
				p := c.make(k, string(k), 0o644)
				before := c.later(p)
				c.ok(unix.Lchown(p, alice, staff), "lchown ", k)
				st := c.lstat(p)
				equal(c, [2]uint32{st.Uid, st.Gid}, [2]uint32{alice, staff}, "owner of ", k)
				c.touched(p, before, false, true, "chown "+string(k))
				c.ok(unix.Lchown(p, -1, guild), "group only")
				c.ok(unix.Lchown(p, bob, -1), "user only")
				st = c.lstat(p)
				equal(c, [2]uint32{st.Uid, st.Gid}, [2]uint32{bob, guild}, "owner of ", k, " one by one")
			}
			c.ok(unix.Lchown(c.at("file"), 4294967294, 4294967294), "largest numbers")
			st := c.lstat(c.at("file"))
			equal(c, [2]uint32{st.Uid, st.Gid}, [2]uint32{4294967294, 4294967294}, "largest numbers")
		}},
		{"chown follows, lchown does not", true, func(c *check) {
			p, l := c.write("f", "x", 0o644), c.at("l")
			c.ok(unix.Symlink("f", l), "symlink")
			c.ok(unix.Chown(l, alice, alice), "chown")
			equal(c, c.lstat(p).Uid, uint32(alice), "owner of the file")
			equal(c, c.lstat(l).Uid, uint32(0), "owner of the link")
			c.ok(unix.Fchown(c.open(p, unix.O_RDONLY, 0), bob, -1), "fchown")
			equal(c, c.lstat(p).Uid, uint32(bob), "owner of the file")
		}},
		{"who may", true, func(c *check) {
			p := c.write("f", "x", 0o644)
			c.give(p, alice, staff)
			c.as(alice, staff, []int{guild}, func() {
				c.want(unix.EPERM, unix.Chown(p, bob, -1), "give away")
				c.want(0, unix.Chown(p, -1, guild), "to an own group")
				c.want(0, unix.Chown(p, alice, guild), "to oneself and an own group")
				c.want(unix.EPERM, unix.Chown(p, -1, 12345), "to a foreign group")
			})
			c.as(bob, guild, nil, func() {
				c.want(unix.EPERM, unix.Chown(p, bob, -1), "take")
				c.want(unix.EPERM, unix.Chown(p, -1, guild), "change a foreign file's group")
			})
		}},
		{"clears setuid and setgid of programs", true, func(c *check) {
			for _, k := range []struct {
				name          string
				before, after uint32
			}{{"both", 0o6755, 0o755}, {"setuid", 0o4711, 0o711}, {"setgid", 0o2755, 0o755}} {
				p := c.write("f", "x", 0o755)
				c.give(p, alice, staff)
				c.ok(unix.Chmod(p, k.before), "chmod")
				c.as(alice, staff, []int{guild}, func() { c.ok(unix.Chown(p, -1, guild), "chown") })
				equal(c, c.lstat(p).Mode&0o7777, k.after, k.name, " by the owner")
				c.ok(unix.Chmod(p, k.before), "chmod")
				c.ok(unix.Chown(p, bob, -1), "chown")
				equal(c, c.lstat(p).Mode&0o7777, k.after, k.name, " by root")
			}
			d := c.make(dir, "d", 0o755)
			c.ok(unix.Chmod(d, 0o2755), "chmod")
			c.ok(unix.Chown(d, bob, guild), "chown")
			equal(c, c.lstat(d).Mode&0o7777, uint32(0o2755), "a directory keeps setgid")
		}},
	}
}

func truncateCases() []testCase {
	return []testCase{
		{"shrink and grow", false, func(c *check) {
			p := c.write("f", "0123456789", 0o644)
			before := c.later(p)
			c.ok(unix.Truncate(p, 4), "shrink")
			equal(c, c.read(p), "0123", "content")
			c.touched(p, before, true, true, "truncate")
			c.ok(unix.Truncate(p, 8), "grow")
			equal(c, c.read(p), "0123\x00\x00\x00\x00", "content after growing")
			c.ok(unix.Truncate(p, 0), "empty")
			equal(c, c.read(p), "", "content of the empty one")
			c.ok(unix.Truncate(p, 5<<30), "grow much")
			equal(c, c.lstat(p).Size, 5<<30, "size")
			fd := c.open(p, unix.O_RDWR, 0)
			buf := []byte("xxxx")
			_, err := unix.Pread(fd, buf, 4<<30)
			c.ok(err, "read")
			equal(c, string(buf), "\x00\x00\x00\x00", "content of the hole")
			c.ok(unix.Ftruncate(fd, 3), "ftruncate")
			equal(c, c.fstat(fd).Size, 3, "size")
		}},
		{"across blocks", false, func(c *check) {
			fd := c.open(c.at("f"), unix.O_CREAT|unix.O_RDWR, 0o644)
			data := make([]byte, 200000)
			for i := range data {
				data[i] = byte(i*7 + 1)
			}
			for _, cut := range []int{4095, 4096, 4097, 65536, 100001} {
				_, err := unix.Pwrite(fd, data, 0)
				c.ok(err, "write")
				c.ok(unix.Ftruncate(fd, int64(cut)), "cut")
				c.ok(unix.Ftruncate(fd, int64(len(data))), "grow")
				got := make([]byte, len(data))
				_, err = unix.Pread(fd, got, 0)
				c.ok(err, "read")
				for i := range got {
					want := byte(0)
					if i < cut {
						want = data[i]
					}
					if got[i] != want {
						c.Errorf("cut at %d: byte %d is %d, want %d", cut, i, got[i], want)
						break
					}
				}
			}
		}},
		{"errors", false, func(c *check) {
			p := c.write("f", "x", 0o644)
			c.want(unix.EINVAL, unix.Truncate(p, -1), "negative")
			c.want(unix.EISDIR, unix.Truncate(c.dir, 0), "directory")
			c.want(unix.EINVAL, unix.Ftruncate(c.open(p, unix.O_RDONLY, 0), 0), "read-only descriptor")
			c.oneOf([]unix.Errno{0, unix.EFBIG, unix.EINVAL, unix.ENOSPC}, unix.Truncate(p, 1<<63-1), "largest")
			c.want(unix.EINVAL, unix.Truncate(c.make(fifo, "fifo", 0o644), 0), "fifo")
		}},
		{"EACCES", true, func(c *check) {
			p := c.write("f", "x", 0o644)
			c.as(alice, alice, nil, func() { c.want(unix.EACCES, unix.Truncate(p, 0), "truncate") })
			equal(c, c.lstat(p).Size, 1, "size")
		}},
		{"clears setuid", true, func(c *check) {
			p := c.write("f", "x", 0o777)
			c.ok(unix.Chmod(p, 0o6777), "chmod")
			c.as(alice, alice, nil, func() { c.ok(unix.Truncate(p, 0), "truncate") })
			equal(c, c.lstat(p).Mode&0o7777, uint32(0o777), "mode after truncate")
			c.ok(unix.Chmod(p, 0o6777), "chmod")
			c.write("f", "y", 0o6777)
			c.as(alice, alice, nil, func() { c.ok(try(p, unix.O_WRONLY|unix.O_TRUNC), "open O_TRUNC") })
			equal(c, c.lstat(p).Mode&0o7777, uint32(0o777), "mode after O_TRUNC")
		}},
	}
}

func utimensCases() []testCase {
	set := func(p string, a, m unix.Timespec, flags int) error {
		return unix.UtimesNanoAt(unix.AT_FDCWD, p, []unix.Timespec{a, m}, flags)
	}
	ts := func(sec, nsec int64) unix.Timespec { return unix.Timespec{Sec: sec, Nsec: nsec} }
	now, omit := ts(0, unix.UTIME_NOW), ts(0, unix.UTIME_OMIT)
	return []testCase{
		{"exact times of every kind", false, func(c *check) {
			for _, k := range everyKind() {
				p := c.make(k, string(k), 0o644)
				before := c.later(p)
				a, m := ts(1000000000, 123456789), ts(1500000000, 987654321)
				c.ok(set(p, a, m, unix.AT_SYMLINK_NOFOLLOW), "utimensat ", k)
				st := c.lstat(p)
				equal(c, st.Atim, a, "atime of ", k)
				equal(c, st.Mtim, m, "mtime of ", k)
				equal(c, after(st.Ctim, before.Ctim), true, "ctime of ", k, " changed")
			}
		}},
		{"far away", false, func(c *check) {
			p := c.write("f", "x", 0o644)
			for _, sec := range []int64{0, 1, 1<<31 - 1, 1 << 31, 1 << 32, -1, -1 << 30} {
				c.ok(set(p, ts(sec, 5), ts(sec, 6), 0), "utimensat")
				equal(c, c.lstat(p).Atim, ts(sec, 5), "atime")
				equal(c, c.lstat(p).Mtim, ts(sec, 6), "mtime")
			}
		}},
		{"UTIME_NOW and UTIME_OMIT", false, func(c *check) {
			p := c.write("f", "x", 0o644)
			old := ts(1000000000, 1)
			c.ok(set(p, old, old, 0), "set")
			c.ok(set(p, omit, now, 0), "now for mtime")
			st := c.lstat(p)
			equal(c, st.Atim, old, "atime left alone")
			equal(c, time.Since(time.Unix(st.Mtim.Unix())).Abs() < time.Hour, true, "mtime is about now")
			c.ok(set(p, now, omit, 0), "now for atime")
			equal(c, c.lstat(p).Mtim, st.Mtim, "mtime left alone")
			before := c.later(p)
			c.ok(set(p, omit, omit, 0), "omit both")
			c.touched(p, before, false, false, "omit both")
			c.ok(unix.UtimesNanoAt(unix.AT_FDCWD, p, nil, 0), "null")
			c.want(unix.EINVAL, set(p, ts(0, 1000000000), omit, 0), "too many nanoseconds")
		}},
		{"symlinks", false, func(c *check) {
			p, l := c.write("f", "x", 0o644), c.make(symlink, "l", 0)
			c.ok(unix.Unlink(l), "unlink")
			c.ok(unix.Symlink("f", l), "symlink")
			c.ok(set(l, ts(1, 0), ts(2, 0), 0), "follow")
			equal(c, c.lstat(p).Mtim, ts(2, 0), "mtime of the file")
			c.ok(set(l, ts(3, 0), ts(4, 0), unix.AT_SYMLINK_NOFOLLOW), "do not follow")
			equal(c, c.lstat(l).Mtim, ts(4, 0), "mtime of the link")
			equal(c, c.lstat(p).Mtim, ts(2, 0), "mtime of the file")
		}},
		{"who may", true, func(c *check) {
			p := c.write("f", "x", 0o644)
			c.give(p, alice, alice)
			c.as(bob, bob, nil, func() {
				c.want(unix.EPERM, set(p, ts(1, 0), ts(1, 0), 0), "set foreign")
				c.want(unix.EACCES, unix.UtimesNanoAt(unix.AT_FDCWD, p, nil, 0), "touch foreign")
				c.want(unix.EACCES, set(p, now, now, 0), "touch foreign by UTIME_NOW")
				c.want(unix.EPERM, set(p, now, omit, 0), "touch one of a foreign")
			})
			c.ok(unix.Chmod(p, 0o666), "chmod")
			c.as(bob, bob, nil, func() {
				c.want(0, unix.UtimesNanoAt(unix.AT_FDCWD, p, nil, 0), "touch writable")
				c.want(unix.EPERM, set(p, ts(1, 0), ts(1, 0), 0), "set writable")
			})
			c.ok(unix.Chmod(p, 0), "chmod")
			c.as(alice, alice, nil, func() { c.want(0, set(p, ts(1, 0), ts(1, 0), 0), "set own") })
		}},
		{"survive writing data before", false, func(c *check) {
			p := c.at("f")
			fd := c.open(p, unix.O_CREAT|unix.O_RDWR, 0o644)
			_, err := unix.Write(fd, []byte("data"))
			c.ok(err, "write")
			c.ok(set(p, ts(10, 0), ts(20, 0), 0), "set")
			c.ok(unix.Fsync(fd), "fsync")
			equal(c, c.lstat(p).Mtim, ts(20, 0), "mtime after fsync")
			c.ok(unix.Close(fd), "close")
			equal(c, c.lstat(p).Mtim, ts(20, 0), "mtime after close")
		}},
	}
}

func statfsCases() []testCase {
	return []testCase{
		{"makes sense", false, func(c *check) {
			var st unix.Statfs_t
			c.ok(unix.Statfs(c.dir, &st), "statfs")
			equal(c, st.Bsize > 0, true, "block size is set")
			equal(c, st.Blocks > 0 && st.Bfree <= st.Blocks && st.Bavail <= st.Bfree, true, "blocks ", st.Blocks, " free ", st.Bfree, " available ", st.Bavail)
			equal(c, st.Ffree <= st.Files, true, "inodes")
			equal(c, st.Namelen, 255, "longest name")
			var by unix.Statfs_t
			c.ok(unix.Fstatfs(c.open(c.dir, unix.O_RDONLY, 0), &by), "fstatfs")
			equal(c, by.Blocks, st.Blocks, "blocks by descriptor")
		}},
	}
}
