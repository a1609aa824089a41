package fsx

import (
	"golang.org/x/sys/unix"
)

// kinds of steps with their weights.
func (r *run) steps() []struct {
	weight int
	run    func()
} {
	return []struct {
		weight int
		run    func()
	}{
		{20, r.read}, {25, r.write}, {6, r.append}, {6, r.truncate}, {6, r.punch}, {4, r.zero}, {2, r.allocate},
		{5, r.copy}, {6, r.mapRead}, {6, r.mapWrite}, {4, r.fsync}, {4, r.reopen}, {2, r.rename}, {1, r.empty}, {2, r.seek},
	}
}

func (r *run) one() {
	r.t.Helper()
	all := r.steps()
	total := 0
	for _, s := range all {
		total += s.weight
	}
	pick := r.rnd.IntN(total)
	for _, s := range all {
		if pick -= s.weight; pick < 0 {
			s.run()
			return
		}
	}
}

// span picks a range: mostly small, now and then large, often at a block border.
func (r *run) span(limit int) (off, n int) {
	if limit <= 0 {
		return 0, 0
	}
	off = r.rnd.IntN(limit)
	switch r.rnd.IntN(4) {
	case 0:
		n = 1 + r.rnd.IntN(64)
	case 1, 2:
		n = 1 + r.rnd.IntN(16<<10)
	default:
		n = 1 + r.rnd.IntN(limit)
	}
	if r.rnd.IntN(3) == 0 {
		off &^= 4095
	}
	return off, min(n, limit-off)
}

func (r *run) fill(n int) []byte {
	b := make([]byte, n)
	seed := byte(1 + r.rnd.IntN(255))
	for i := range b {
		b[i] = seed + byte(i*31>>3)
	}
	return b
}

// put changes the model, with zeros before it if it lies past the end.
func (r *run) put(off int, b []byte) {
	r.grow(off + len(b))
	copy(r.model[off:], b)
}

func (r *run) grow(size int) {
	if size > len(r.model) {
		r.model = append(r.model, make([]byte, size-len(r.model))...)
	}
}

func (r *run) read() {
	off, n := r.span(int(r.o.MaxSize))
	r.note("read %d at %d", n, off)
	got := r.pread(off, n)
	if want := max(0, min(n, len(r.model)-off)); len(got) != want {
		r.fail("read at %d: %d bytes, want %d", off, len(got), want)
	}
	r.compare("read", off, got)
}

func (r *run) write() {
	off, n := r.span(int(r.o.MaxSize))
	b := r.fill(n)
	fd, how := r.fd, "write"
	if r.rnd.IntN(2) == 0 {
		fd, how = r.writeFD, "write only"
	}
	r.note("%s %d at %d", how, n, off)
	r.pwrite(fd, off, b)
	r.put(off, b)
	r.sizes()
}

func (r *run) pwrite(fd, off int, b []byte) {
	r.t.Helper()
	for len(b) > 0 {
		n, err := unix.Pwrite(fd, b, int64(off))
		r.do("write", err)
		off, b = off+n, b[n:]
	}
}

func (r *run) append() {
	n := min(1+r.rnd.IntN(8<<10), int(r.o.MaxSize)-len(r.model))
	if n <= 0 {
		return
	}
	b := r.fill(n)
	r.note("append %d at %d", n, len(r.model))
	m, err := unix.Write(r.appendFD, b)
	r.do("append", err)
	if m != n {
		r.fail("append wrote %d of %d", m, n)
	}
	r.put(len(r.model), b)
	r.sizes()
}

func (r *run) truncate() {
	size := r.rnd.IntN(int(r.o.MaxSize))
	if r.rnd.IntN(2) == 0 && len(r.model) > 0 {
		size = r.rnd.IntN(len(r.model))
	}
	r.note("truncate %d to %d", len(r.model), size)
	r.do("truncate", unix.Ftruncate(r.fd, int64(size)))
	if size < len(r.model) {
		r.model = append([]byte(nil), r.model[:size]...)
	}
	r.grow(size)
	r.sizes()
}

func (r *run) empty() {
	r.note("open O_TRUNC")
	fd, err := unix.Open(r.path(), unix.O_WRONLY|unix.O_TRUNC|unix.O_CLOEXEC, 0)
	r.do("open O_TRUNC", err)
	r.do("close", unix.Close(fd))
	r.model = nil
	r.sizes()
}

func (r *run) punch() {
	off, n := r.span(int(r.o.MaxSize))
	r.note("punch %d at %d", n, off)
	if n == 0 || !r.has("hole punching", func() error {
		return unix.Fallocate(r.fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, int64(off), int64(n))
	}) {
		return
	}
	if off < len(r.model) {
		clear(r.model[off:min(off+n, len(r.model))])
	}
	r.sizes()
}

func (r *run) zero() {
	off, n := r.span(int(r.o.MaxSize))
	mode := uint32(unix.FALLOC_FL_ZERO_RANGE)
	keep := r.rnd.IntN(2) == 0
	if keep {
		mode |= unix.FALLOC_FL_KEEP_SIZE
	}
	r.note("zero %d at %d, keep size %v", n, off, keep)
	if n == 0 || !r.has("zeroing ranges", func() error { return unix.Fallocate(r.fd, mode, int64(off), int64(n)) }) {
		return
	}
	if !keep {
		r.grow(off + n)
	}
	if off < len(r.model) {
		clear(r.model[off:min(off+n, len(r.model))])
	}
	r.sizes()
}

func (r *run) allocate() {
	off, n := r.span(int(r.o.MaxSize))
	r.note("allocate %d at %d", n, off)
	if n == 0 || !r.has("fallocate", func() error { return unix.Fallocate(r.fd, 0, int64(off), int64(n)) }) {
		return
	}
	r.grow(off + n)
	r.sizes()
}

// copy copies inside the file, the two ranges apart.
func (r *run) copy() {
	if len(r.model) < 2 {
		return
	}
	from, n := r.span(len(r.model) / 2)
	to := len(r.model)/2 + r.rnd.IntN(len(r.model)/2+1)
	if n == 0 || to+n > int(r.o.MaxSize) || to < from+n {
		return
	}
	r.note("copy %d from %d to %d", n, from, to)
	for n > 0 {
		in, out, did := int64(from), int64(to), 0
		if !r.has("copy_file_range", func() error {
			var err error
			did, err = unix.CopyFileRange(r.fd, &in, r.fd, &out, n, 0)
			return err
		}) {
			return
		}
		if did == 0 {
			r.fail("copy_file_range stopped with %d to go", n)
		}
		r.put(to, append([]byte(nil), r.model[from:from+did]...))
		from, to, n = from+did, to+did, n-did
	}
	r.sizes()
}

// mapped maps the pages around a range.
func (r *run) mapped(prot int, use func(m []byte, off, n, skip int)) {
	off, n := r.span(len(r.model))
	if r.o.NoMap || n == 0 {
		return
	}
	start := off &^ (unix.Getpagesize() - 1)
	r.note("map %d at %d, prot %d", n, off, prot)
	m, err := unix.Mmap(r.fd, int64(start), off-start+n, prot, unix.MAP_SHARED)
	r.do("mmap", err)
	use(m, off, n, off-start)
	r.do("munmap", unix.Munmap(m))
}

func (r *run) mapRead() {
	r.mapped(unix.PROT_READ, func(m []byte, off, n, skip int) {
		r.compare("mapped read", off, append([]byte(nil), m[skip:skip+n]...))
	})
}

func (r *run) mapWrite() {
	r.mapped(unix.PROT_READ|unix.PROT_WRITE, func(m []byte, off, n, skip int) {
		b := r.fill(n)
		copy(m[skip:], b)
		r.put(off, b)
		if r.rnd.IntN(2) == 0 {
			r.do("msync", unix.Msync(m, unix.MS_SYNC))
		}
	})
	r.sizes()
}

func (r *run) fsync() {
	r.note("fsync")
	r.do("fsync", unix.Fsync(r.fd))
	r.sizes()
}

func (r *run) reopen() {
	r.note("close and open")
	r.close()
	r.do("open", r.open(0))
	r.sizes()
}

func (r *run) rename() {
	old := r.path()
	r.name += "x"
	if len(r.name) > 200 {
		r.name = r.name[:20]
	}
	r.note("rename")
	r.do("rename", unix.Rename(old, r.path()))
}

// seek checks that what SEEK_HOLE calls a hole is zero, and that all data are inside what is not.
func (r *run) seek() {
	if len(r.model) == 0 {
		return
	}
	at := r.rnd.IntN(len(r.model))
	r.note("seek from %d", at)
	data, err := unix.Seek(r.fd, int64(at), unix.SEEK_DATA)
	if err == unix.ENXIO {
		data = int64(len(r.model))
	} else if err != nil {
		r.do("SEEK_DATA", err)
	}
	for i := at; i < int(data) && i < len(r.model); i++ {
		if r.model[i] != 0 {
			r.fail("SEEK_DATA from %d says %d, but byte %d is not zero", at, data, i)
		}
	}
}
