package posix

import (
	"strings"

	"golang.org/x/sys/unix"
)

// letters is a file of n times the letter x.
func (c *check) letters(name string, n int) int {
	c.Helper()
	fd := c.open(c.at(name), unix.O_CREAT|unix.O_RDWR, 0o644)
	_, err := unix.Pwrite(fd, []byte(strings.Repeat("x", n)), 0)
	c.ok(err, "write")
	return fd
}

// shape shows a file as runs of equal bytes, zeros as 0.
func (c *check) shape(fd int, unit int) string {
	c.Helper()
	size := int(c.fstat(fd).Size)
	buf := make([]byte, size)
	for got := 0; got < size; {
		n, err := unix.Pread(fd, buf[got:], int64(got))
		c.ok(err, "read")
		if n == 0 {
			c.Fatalf("read ends at %d of %d", got, size)
		}
		got += n
	}
	var b strings.Builder
	for at := 0; at < size; at += unit {
		part := buf[at:min(at+unit, size)]
		first := part[0]
		for _, x := range part {
			if x != first {
				first = '?'
			}
		}
		if first == 0 {
			first = '0'
		}
		b.WriteByte(first)
	}
	return b.String()
}

const unit = 4096

func fallocateCases() []testCase {
	unsupported := []unix.Errno{unix.EOPNOTSUPP, unix.ENOSYS}
	return []testCase{
		{"allocate", false, func(c *check) {
			fd := c.letters("f", unit)
			err := fallocate(fd, 0, 0, 3*unit)
			c.skipIf(err, unsupported...)
			c.ok(err, "fallocate")
			equal(c, c.fstat(fd).Size, 3*unit, "size")
			equal(c, c.shape(fd, unit), "x00", "content")
			c.ok(fallocate(fd, 0, 0, unit), "inside")
			equal(c, c.fstat(fd).Size, 3*unit, "size does not shrink")
		}},
		{"keep size", false, func(c *check) {
			fd := c.letters("f", unit)
			err := fallocate(fd, unix.FALLOC_FL_KEEP_SIZE, 0, 3*unit)
			c.skipIf(err, unsupported...)
			c.ok(err, "fallocate")
			equal(c, c.fstat(fd).Size, unit, "size")
			equal(c, c.shape(fd, unit), "x", "content")
		}},
		{"punch hole", false, func(c *check) {
			fd := c.letters("f", 8*unit)
			p := c.at("f")
			before := c.later(p)
			err := fallocate(fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 2*unit, 3*unit)
			c.skipIf(err, unsupported...)
			c.ok(err, "punch")
			equal(c, c.shape(fd, unit), "xx000xxx", "content")
			c.touched(p, before, true, true, "punch")
			c.ok(fallocate(fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 100, 200), "small hole")
			buf := make([]byte, 400)
			_, err = unix.Pread(fd, buf, 0)
			c.ok(err, "read")
			equal(c, string(buf) == strings.Repeat("x", 100)+strings.Repeat("\x00", 200)+strings.Repeat("x", 100), true, "bytes of a small hole")
			c.ok(fallocate(fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 6*unit, 100*unit), "past the end")
			equal(c, c.fstat(fd).Size, 8*unit, "size")
			c.oneOf([]unix.Errno{unix.EOPNOTSUPP}, fallocate(fd, unix.FALLOC_FL_PUNCH_HOLE, 0, unit), "without keep size")
		}},
		{"zero range", false, func(c *check) {
			fd := c.letters("f", 4*unit)
			err := fallocate(fd, unix.FALLOC_FL_ZERO_RANGE, unit, unit)
			c.skipIf(err, unsupported...)
			c.ok(err, "zero")
			equal(c, c.shape(fd, unit), "x0xx", "content")
			c.ok(fallocate(fd, unix.FALLOC_FL_ZERO_RANGE|unix.FALLOC_FL_KEEP_SIZE, 3*unit, 3*unit), "keep size")
			equal(c, c.shape(fd, unit), "x0x0", "content")
			c.ok(fallocate(fd, unix.FALLOC_FL_ZERO_RANGE, 3*unit, 3*unit), "extend")
			equal(c, c.shape(fd, unit), "x0x000", "content")
		}},
		{"errors", false, func(c *check) {
			fd := c.letters("f", unit)
			err := fallocate(fd, 0, 0, unit)
			c.skipIf(err, unsupported...)
			c.want(unix.EINVAL, fallocate(fd, 0, 0, 0), "length 0")
			c.want(unix.EINVAL, fallocate(fd, 0, -1, 1), "negative offset")
			c.want(unix.EFBIG, fallocate(fd, 0, 1<<62, 1<<62+5), "overflow")
			c.want(unix.EBADF, fallocate(c.open(c.at("f"), unix.O_RDONLY, 0), 0, 0, unit), "read-only descriptor")
			c.oneOf([]unix.Errno{unix.EISDIR, unix.EBADF, unix.ENODEV}, fallocate(c.open(c.dir, unix.O_RDONLY, 0), 0, 0, unit), "directory")
		}},
	}
}

func copyCases() []testCase {
	cp := func(src int, srcOff int64, dst int, dstOff int64, n int) (int, error) {
		return unix.CopyFileRange(src, &srcOff, dst, &dstOff, n, 0)
	}
	return []testCase{
		{"whole and part", false, func(c *check) {
			src := c.letters("src", 3*unit)
			dst := c.open(c.at("dst"), unix.O_CREAT|unix.O_RDWR, 0o644)
			total := 0
			for total < 3*unit {
				n, err := cp(src, int64(total), dst, int64(total), 3*unit-total)
				c.skipIf(err, unix.EOPNOTSUPP, unix.ENOSYS)
				c.ok(err, "copy")
				if n == 0 {
					break
				}
				total += n
			}
			equal(c, c.shape(dst, unit), "xxx", "content")
			_, err := unix.Pwrite(src, []byte(strings.Repeat("y", unit)), 0)
			c.ok(err, "write")
			equal(c, c.shape(dst, unit), "xxx", "the copy is its own")
			n, err := cp(src, 0, dst, 5*unit, unit)
			c.ok(err, "copy past the end")
			equal(c, n, unit, "bytes")
			equal(c, c.shape(dst, unit), "xxx00y", "content")
		}},
		{"ends and overlaps", false, func(c *check) {
			src := c.letters("src", unit)
			dst := c.letters("dst", unit)
			n, err := cp(src, unit, dst, 0, unit)
			c.skipIf(err, unix.EOPNOTSUPP, unix.ENOSYS)
			c.ok(err, "at the end")
			equal(c, n, 0, "bytes at the end")
			n, err = cp(src, unit-10, dst, 0, unit)
			c.ok(err, "across the end")
			equal(c, n, 10, "bytes across the end")
			_, err = cp(src, 0, src, 10, 100)
			c.want(unix.EINVAL, err, "overlap")
			_, err = cp(src, 0, c.open(c.at("dst"), unix.O_RDONLY, 0), 0, 10)
			c.want(unix.EBADF, err, "into a read-only descriptor")
			_, err = cp(src, 0, c.open(c.at("dst"), unix.O_WRONLY|unix.O_APPEND, 0), 0, 10)
			c.want(unix.EBADF, err, "into an append descriptor")
			_, err = cp(c.open(c.dir, unix.O_RDONLY, 0), 0, dst, 0, 10)
			c.want(unix.EISDIR, err, "from a directory")
		}},
		{"what was just written", false, func(c *check) {
			src := c.letters("src", 100)
			_, err := unix.Pwrite(src, []byte("fresh"), 10)
			c.ok(err, "write")
			dst := c.letters("dst", 50)
			n, err := cp(src, 5, dst, 20, 15)
			c.skipIf(err, unix.EOPNOTSUPP, unix.ENOSYS)
			c.ok(err, "copy")
			equal(c, n, 15, "bytes")
			equal(c, c.read(c.at("dst")), strings.Repeat("x", 20)+"xxxxxfreshxxxxx"+strings.Repeat("x", 15), "content")
		}},
		{"in one file", false, func(c *check) {
			fd := c.letters("f", 2*unit)
			_, err := unix.Pwrite(fd, []byte(strings.Repeat("y", unit)), unit)
			c.ok(err, "write")
			n, err := cp(fd, unit, fd, 3*unit, unit)
			c.skipIf(err, unix.EOPNOTSUPP, unix.ENOSYS)
			c.ok(err, "copy")
			equal(c, n, unit, "bytes")
			equal(c, c.shape(fd, unit), "xy0y", "content")
		}},
	}
}

func seekCases() []testCase {
	return []testCase{
		{"data and holes", false, func(c *check) {
			const mib = 1 << 20
			fd := c.open(c.at("f"), unix.O_CREAT|unix.O_RDWR, 0o644)
			for _, at := range []int64{1 * mib, 4 * mib} {
				_, err := unix.Pwrite(fd, []byte(strings.Repeat("d", 64<<10)), at)
				c.ok(err, "write")
			}
			c.ok(unix.Ftruncate(fd, 8*mib), "grow")
			data, err := unix.Seek(fd, 0, unix.SEEK_DATA)
			c.skipIf(err, unix.EINVAL, unix.EOPNOTSUPP)
			c.ok(err, "SEEK_DATA")
			if data == 0 {
				c.T.Skip("this file system knows no holes")
			}
			for _, k := range []struct {
				from   int64
				whence int
				want   int64
			}{
				{0, unix.SEEK_DATA, mib}, {mib + 5, unix.SEEK_DATA, mib + 5}, {2 * mib, unix.SEEK_DATA, 4 * mib},
				{0, unix.SEEK_HOLE, 0}, {mib, unix.SEEK_HOLE, mib + 64<<10}, {mib + 10, unix.SEEK_HOLE, mib + 64<<10},
				{4 * mib, unix.SEEK_HOLE, 4*mib + 64<<10},
			} {
				got, err := unix.Seek(fd, k.from, k.whence)
				c.ok(err, "seek")
				equal(c, got, k.want, "from ", k.from, " whence ", k.whence)
			}
			_, err = unix.Seek(fd, 5*mib, unix.SEEK_DATA)
			c.want(unix.ENXIO, err, "data behind the last")
			_, err = unix.Seek(fd, 8*mib, unix.SEEK_HOLE)
			c.want(unix.ENXIO, err, "hole at the end")
			_, err = unix.Seek(fd, 9*mib, unix.SEEK_DATA)
			c.want(unix.ENXIO, err, "data behind the end")
		}},
		{"the end is a hole", false, func(c *check) {
			fd := c.letters("f", 100)
			got, err := unix.Seek(fd, 0, unix.SEEK_HOLE)
			c.skipIf(err, unix.EINVAL)
			c.ok(err, "seek")
			equal(c, got, 100, "hole")
		}},
		{"set, cur, end", false, func(c *check) {
			fd := c.letters("f", 100)
			for _, k := range []struct {
				off    int64
				whence int
				want   int64
			}{{10, 0, 10}, {5, 1, 15}, {-5, 2, 95}, {50, 2, 150}} {
				got, err := unix.Seek(fd, k.off, k.whence)
				c.ok(err, "seek")
				equal(c, got, k.want, "seek ", k.off, " whence ", k.whence)
			}
			_, err := unix.Seek(fd, -1, 0)
			c.want(unix.EINVAL, err, "negative")
			_, err = unix.Seek(fd, 0, 99)
			c.want(unix.EINVAL, err, "bad whence")
		}},
	}
}

func mmapCases() []testCase {
	return []testCase{
		{"shared map and file are one", false, func(c *check) {
			fd := c.letters("f", 2*unit)
			m, err := unix.Mmap(fd, 0, 2*unit, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
			c.ok(err, "mmap")
			equal(c, m[0], 'x', "byte by map")
			m[0] = 'm'
			m[unit] = 'n'
			c.ok(unix.Msync(m, unix.MS_SYNC), "msync")
			buf := make([]byte, 1)
			_, err = unix.Pread(fd, buf, unit)
			c.ok(err, "read")
			equal(c, buf[0], 'n', "byte by read")
			_, err = unix.Pwrite(fd, []byte("w"), 1)
			c.ok(err, "write")
			equal(c, m[1], 'w', "byte by map after write")
			equal(c, m[0], 'm', "its neighbour")
			c.ok(unix.Munmap(m), "munmap")
			c.ok(unix.Close(fd), "close")
			equal(c, c.read(c.at("f"))[:3], "mwx", "content")
		}},
		{"unsynced changes reach the file at the end", false, func(c *check) {
			fd := c.letters("f", unit)
			m, err := unix.Mmap(fd, 0, unit, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
			c.ok(err, "mmap")
			c.ok(unix.Close(fd), "close")
			copy(m, "after close")
			c.ok(unix.Munmap(m), "munmap")
			equal(c, c.read(c.at("f"))[:11], "after close", "content")
		}},
		{"private map stays private", false, func(c *check) {
			fd := c.letters("f", unit)
			m, err := unix.Mmap(fd, 0, unit, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE)
			c.ok(err, "mmap")
			m[0] = 'p'
			equal(c, c.read(c.at("f"))[0], 'x', "byte of the file")
			c.ok(unix.Munmap(m), "munmap")
		}},
		{"access", false, func(c *check) {
			fd := c.open(c.write("f", "x", 0o644), unix.O_RDONLY, 0)
			_, err := unix.Mmap(fd, 0, unit, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
			c.want(unix.EACCES, err, "writable map of a read-only descriptor")
			_, err = unix.Mmap(c.open(c.dir, unix.O_RDONLY, 0), 0, unit, unix.PROT_READ, unix.MAP_SHARED)
			c.oneOf([]unix.Errno{unix.ENODEV, unix.EACCES}, err, "map of a directory")
		}},
		{"the rest of the last page is zero", false, func(c *check) {
			fd := c.letters("f", 10)
			m, err := unix.Mmap(fd, 0, unit, unix.PROT_READ, unix.MAP_SHARED)
			c.ok(err, "mmap")
			equal(c, m[9], 'x', "last byte")
			equal(c, m[10], 0, "first byte behind")
			c.ok(unix.Munmap(m), "munmap")
		}},
	}
}
