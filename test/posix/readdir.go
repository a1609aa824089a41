package posix

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/sys/unix"
)

type dirent struct {
	name string
	ino  uint64
	off  int64
	typ  byte
}

// list reads entries from where the descriptor stands; a small buffer makes many calls.
func (c *check) list(fd, buffer int) []dirent {
	c.Helper()
	var all []dirent
	for {
		batch := c.listOnce(fd, buffer)
		if len(batch) == 0 {
			return all
		}
		all = append(all, batch...)
	}
}

func (c *check) listOnce(fd, buffer int) []dirent {
	c.Helper()
	buf := make([]byte, buffer)
	n, err := unix.Getdents(fd, buf)
	c.ok(err, "getdents")
	var all []dirent
	for b := buf[:n]; len(b) > 0; {
		size := binary.NativeEndian.Uint16(b[16:])
		name := b[19:size]
		for i, x := range name {
			if x == 0 {
				name = name[:i]
				break
			}
		}
		all = append(all, dirent{string(name), binary.NativeEndian.Uint64(b), int64(binary.NativeEndian.Uint64(b[8:])), b[18]})
		b = b[size:]
	}
	return all
}

// names counts how often each is there.
func names(all []dirent) map[string]int {
	m := map[string]int{}
	for _, e := range all {
		m[e.name]++
	}
	return m
}

func readdirCases() []testCase {
	openDir := func(c *check, p string) int { return c.open(p, unix.O_RDONLY|unix.O_DIRECTORY, 0) }
	return []testCase{
		{"types and inodes", false, func(c *check) {
			for _, k := range everyKind() {
				c.make(k, string(k), 0o644)
			}
			all := c.list(openDir(c, c.dir), 4096)
			seen := names(all)
			equal(c, seen["."], 1, "dots")
			equal(c, seen[".."], 1, "dot dots")
			equal(c, len(all), len(everyKind())+2, "entries")
			for _, e := range all {
				if e.name == "." || e.name == ".." {
					equal(c, e.typ, unix.DT_DIR, "type of ", e.name)
					continue
				}
				st := c.lstat(c.at(e.name))
				equal(c, e.ino, st.Ino, "inode of ", e.name)
				if e.typ != unix.DT_UNKNOWN {
					equal(c, uint32(e.typ)<<12, st.Mode&unix.S_IFMT, "type of ", e.name)
				}
			}
		}},
		{"empty", false, func(c *check) { equal(c, len(c.list(openDir(c, c.dir), 4096)), 2, "entries") }},
		{"many, by small steps", false, func(c *check) {
			const n = 3000
			for i := range n {
				c.ok(create(file, c.at(fmt.Sprintf("file-with-a-longer-name-%d", i)), 0o644), "create")
			}
			for _, buffer := range []int{320, 4096, 1 << 20} {
				seen := names(c.list(openDir(c, c.dir), buffer))
				equal(c, len(seen), n+2, "entries with buffer ", buffer)
				for name, times := range seen {
					if times != 1 {
						c.Errorf("%s is listed %d times with buffer %d", name, times, buffer)
					}
				}
			}
		}},
		{"while entries come and go", false, func(c *check) {
			const n = 2000
			for i := range n {
				c.ok(create(file, c.at(fmt.Sprintf("stay-%d", i)), 0o644), "create")
				c.ok(create(file, c.at(fmt.Sprintf("go-%d", i)), 0o644), "create")
			}
			fd := openDir(c, c.dir)
			var all []dirent
			for i := 0; ; i++ {
				batch := c.listOnce(fd, 1024)
				if len(batch) == 0 {
					break
				}
				all = append(all, batch...)
				for j := range 20 {
					if k := i*20 + j; k < n {
						c.ok(unix.Unlink(c.at(fmt.Sprintf("go-%d", n-1-k))), "unlink")
						c.ok(create(file, c.at(fmt.Sprintf("come-%d", k)), 0o644), "create")
					}
				}
			}
			seen := names(all)
			for i := range n {
				if got := seen[fmt.Sprintf("stay-%d", i)]; got != 1 {
					c.Errorf("stay-%d is listed %d times", i, got)
				}
			}
			for name, times := range seen {
				if times > 1 {
					c.Errorf("%s is listed %d times", name, times)
				}
			}
		}},
		{"deleting while listing empties the directory", false, func(c *check) {
			const n = 1500
			d := c.make(dir, "d", 0o755)
			for i := range n {
				c.ok(create(file, fmt.Sprintf("%s/f%d", d, i), 0o644), "create")
			}
			fd := openDir(c, d)
			for {
				batch := c.listOnce(fd, 1024)
				if len(batch) == 0 {
					break
				}
				for _, e := range batch {
					if e.name != "." && e.name != ".." {
						c.ok(unix.Unlink(d+"/"+e.name), "unlink")
					}
				}
			}
			c.want(0, unix.Rmdir(d), "rmdir")
		}},
		{"rewind and seek", false, func(c *check) {
			for i := range 100 {
				c.ok(create(file, c.at(fmt.Sprintf("f%d", i)), 0o644), "create")
			}
			fd := openDir(c, c.dir)
			all := c.list(fd, 512)
			c.ok(create(file, c.at("new"), 0o644), "create")
			c.ok(unix.Unlink(c.at("f0")), "unlink")
			_, err := unix.Seek(fd, 0, 0)
			c.ok(err, "rewind")
			again := names(c.list(fd, 512))
			equal(c, again["new"], 1, "the new entry")
			equal(c, again["f0"], 0, "the removed entry")
			_, err = unix.Seek(fd, all[49].off, 0)
			c.ok(err, "seek")
			rest := c.list(fd, 512)
			seen := names(rest)
			for _, e := range all[50:] {
				if e.name != "f0" {
					equal(c, seen[e.name], 1, e.name, " after seeking to the middle")
				}
			}
			for _, e := range all[:50] {
				equal(c, seen[e.name], 0, e.name, " before the middle")
			}
		}},
		{"EACCES", true, func(c *check) {
			d := c.make(dir, "d", 0o711)
			c.as(alice, alice, nil, func() { c.want(unix.EACCES, try(d, unix.O_RDONLY|unix.O_DIRECTORY), "open") })
		}},
		{"ENOTDIR", false, func(c *check) {
			_, err := unix.Getdents(c.open(c.write("f", "x", 0o644), unix.O_RDONLY, 0), make([]byte, 1024))
			c.want(unix.ENOTDIR, err, "getdents of a file")
		}},
	}
}
