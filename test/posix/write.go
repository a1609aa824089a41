package posix

import (
	"strings"

	"golang.org/x/sys/unix"
)

func writeCases() []testCase {
	return []testCase{
		{"read back", false, func(c *check) {
			fd := c.open(c.at("f"), unix.O_CREAT|unix.O_RDWR, 0o644)
			for _, size := range []int{0, 1, 511, 4095, 4096, 4097, 65536, 131073, 1 << 20, 5<<20 + 3} {
				text := strings.Repeat("abcdefghijklmnopqrstuvwxyz,", size/27+1)[:size]
				n, err := unix.Pwrite(fd, []byte(text), 0)
				c.ok(err, "write ", size)
				equal(c, n, size, "written")
				buf := make([]byte, size+10)
				c.ok(unix.Ftruncate(fd, int64(size)), "truncate")
				got := 0
				for {
					n, err := unix.Pread(fd, buf[got:], int64(got))
					c.ok(err, "read")
					if n == 0 {
						break
					}
					got += n
				}
				equal(c, string(buf[:got]) == text, true, "same bytes of ", size)
			}
		}},
		{"holes read as zero", false, func(c *check) {
			fd := c.open(c.at("f"), unix.O_CREAT|unix.O_RDWR, 0o644)
			_, err := unix.Pwrite(fd, []byte("end"), 100000)
			c.ok(err, "write")
			buf := make([]byte, 100003)
			n, err := unix.Pread(fd, buf, 0)
			c.ok(err, "read")
			equal(c, n, 100003, "bytes read")
			equal(c, string(buf) == strings.Repeat("\x00", 100000)+"end", true, "zeros before the end")
			equal(c, c.fstat(fd).Size, 100003, "size")
		}},
		{"past the end", false, func(c *check) {
			fd := c.open(c.write("f", "abc", 0o644), unix.O_RDWR, 0)
			n, err := unix.Pread(fd, make([]byte, 10), 3)
			c.ok(err, "read at the end")
			equal(c, n, 0, "bytes at the end")
			n, err = unix.Pread(fd, make([]byte, 10), 1<<40)
			c.ok(err, "read far behind")
			equal(c, n, 0, "bytes far behind")
		}},
		{"times", false, func(c *check) {
			p := c.write("f", "abc", 0o644)
			fd := c.open(p, unix.O_RDWR, 0)
			before := c.later(p)
			_, err := unix.Pread(fd, make([]byte, 3), 0)
			c.ok(err, "read")
			c.touched(p, before, false, false, "read")
			_, err = unix.Pwrite(fd, []byte("x"), 0)
			c.ok(err, "write")
			c.touched(p, before, true, true, "write")
			before = c.later(p)
			_, err = unix.Pwrite(fd, nil, 0)
			c.ok(err, "write nothing")
			c.touched(p, before, false, false, "write nothing")
		}},
		{"EFBIG", false, func(c *check) {
			fd := c.open(c.at("f"), unix.O_CREAT|unix.O_RDWR, 0o644)
			_, err := unix.Pwrite(fd, []byte("x"), 1<<63-1)
			c.oneOf([]unix.Errno{unix.EFBIG, unix.EINVAL}, err, "write at the largest offset")
			_, err = unix.Pwrite(fd, []byte("x"), -1)
			c.want(unix.EINVAL, err, "write at -1")
			_, err = unix.Pread(fd, make([]byte, 1), -1)
			c.want(unix.EINVAL, err, "read at -1")
		}},
		{"clears setuid and setgid", true, func(c *check) {
			for _, k := range []struct{ mode, after uint32 }{{0o6777, 0o777}, {0o4777, 0o777}, {0o2777, 0o777}} {
				p := c.write("f", "x", 0o777)
				c.ok(unix.Chmod(p, k.mode), "chmod")
				c.as(alice, alice, nil, func() {
					_, err := unix.Write(c.open(p, unix.O_WRONLY, 0), []byte("y"))
					c.ok(err, "write")
				})
				equal(c, c.lstat(p).Mode&0o7777, k.after, "mode after a write to ", modeText(k.mode))
			}
		}},
		{"root's write keeps setuid", true, func(c *check) {
			p := c.write("f", "x", 0o755)
			c.ok(unix.Chmod(p, 0o6755), "chmod")
			_, err := unix.Write(c.open(p, unix.O_WRONLY, 0), []byte("y"))
			c.ok(err, "write")
			equal(c, c.lstat(p).Mode&0o7777, uint32(0o6755), "mode")
		}},
		{"many descriptors see one file", false, func(c *check) {
			p := c.write("f", strings.Repeat("-", 64), 0o644)
			var fds []int
			for range 8 {
				fds = append(fds, c.open(p, unix.O_RDWR, 0))
			}
			for i, fd := range fds {
				_, err := unix.Pwrite(fd, []byte{byte('0' + i)}, int64(i*8))
				c.ok(err, "write")
			}
			want := ""
			for i := range 8 {
				want += itoa(i) + "-------"
			}
			for _, fd := range fds {
				buf := make([]byte, 64)
				_, err := unix.Pread(fd, buf, 0)
				c.ok(err, "read")
				equal(c, string(buf), want, "content")
			}
		}},
		{"O_DIRECT", false, func(c *check) {
			fd, err := unix.Open(c.at("f"), unix.O_CREAT|unix.O_RDWR|unix.O_DIRECT, 0o644)
			c.skipIf(err, unix.EINVAL)
			c.ok(err, "open")
			defer unix.Close(fd)
			page, err := unix.Mmap(-1, 0, 8192, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
			c.ok(err, "aligned memory")
			copy(page, strings.Repeat("direct! ", 512))
			n, err := unix.Pwrite(fd, page[:4096], 0)
			c.ok(err, "write")
			equal(c, n, 4096, "written")
			n, err = unix.Pread(fd, page[4096:], 0)
			c.ok(err, "read")
			equal(c, n, 4096, "read")
			equal(c, string(page[:4096]) == string(page[4096:]), true, "same bytes")
			c.ok(unix.Munmap(page), "munmap")
		}},
	}
}

func boolBit(b bool) uint32 {
	if b {
		return 1
	}
	return 0
}

func modeText(m uint32) string {
	s := ""
	for shift := 9; shift >= 0; shift -= 3 {
		s += itoa(int(m >> shift & 7))
	}
	return s
}
