// Package fsx does random I/O on one file and compares each byte that comes back with a model in
// memory: reads, writes, appends, cuts, holes, zeroed ranges, copies inside the file, mapped
// reads and writes, fsync, close and open, rename. With two paths, which are two clients' mounts
// of one directory, it changes clients now and then: closes the file at one, opens it at the other,
// and all must be there (close-to-open).
//
// A run is decided by its seed; a failure prints it with the last steps. The file system under
// test must live in another process, as the file is mapped.
package fsx

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Options of a run. Zero values mean the defaults named.
type Options struct {
	Seed    uint64
	Ops     int   // steps; default 1000
	MaxSize int64 // largest file in bytes; default 1 MiB
	NoMap   bool  // leave out mmap
	// Every how many steps clients change, with two paths; default 20.
	Switch int
}

// Run works in a file of its own in the directories named by paths, and removes it.
func Run(t testing.TB, paths []string, o Options) {
	t.Helper()
	if o.Ops == 0 {
		o.Ops = 1000
	}
	if o.MaxSize == 0 {
		o.MaxSize = 1 << 20
	}
	if o.Switch == 0 {
		o.Switch = 20
	}
	t.Logf("fsx: seed %d, %d steps on %s", o.Seed, o.Ops, strings.Join(paths, " and "))
	r := &run{t: t, o: o, paths: paths, rnd: rand.New(rand.NewPCG(o.Seed, 0)), name: fmt.Sprintf("fsx-%d", o.Seed), fd: -1, writeFD: -1, appendFD: -1}
	defer r.end()
	r.do("create", r.open(unix.O_CREAT|unix.O_EXCL))
	for r.step = range o.Ops {
		if len(paths) > 1 && r.rnd.IntN(o.Switch) == 0 {
			r.change()
		}
		r.one()
		if r.step%50 == 49 {
			r.verify()
		}
	}
	for range paths {
		r.change()
		r.verify()
	}
}

// run is one file and its model.
type run struct {
	t        testing.TB
	o        Options
	paths    []string
	rnd      *rand.Rand
	name     string
	client   int
	step     int
	fd       int // read and write
	writeFD  int // a file system may do without its page cache for those that are not read from
	appendFD int
	model    []byte
	history  []string
	missing  map[string]bool // what the file system does not have
}

const remembered = 40

// note remembers a step for the report.
func (r *run) note(format string, args ...any) {
	r.history = append(r.history, fmt.Sprintf("%6d client %d: ", r.step, r.client)+fmt.Sprintf(format, args...))
	if len(r.history) > remembered {
		r.history = r.history[1:]
	}
}

func (r *run) fail(format string, args ...any) {
	r.t.Helper()
	r.t.Fatalf("fsx: seed %d, step %d: %s\nlast steps:\n%s", r.o.Seed, r.step, fmt.Sprintf(format, args...), strings.Join(r.history, "\n"))
}

// do fails on an error.
func (r *run) do(what string, err error) {
	r.t.Helper()
	if err != nil {
		r.fail("%s: %v", what, err)
	}
}

// has runs a call that file systems may lack; false if this one does.
func (r *run) has(what string, call func() error) bool {
	r.t.Helper()
	if r.missing[what] {
		return false
	}
	err := call()
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) {
		r.t.Logf("fsx: no %s here", what)
		if r.missing == nil {
			r.missing = map[string]bool{}
		}
		r.missing[what] = true
		return false
	}
	r.do(what, err)
	return true
}

func (r *run) path() string { return filepath.Join(r.paths[r.client], r.name) }

func (r *run) open(flags int) error {
	fd, err := unix.Open(r.path(), unix.O_RDWR|unix.O_CLOEXEC|flags, 0o644)
	if err != nil {
		return err
	}
	r.fd = fd
	if r.writeFD, err = unix.Open(r.path(), unix.O_WRONLY|unix.O_CLOEXEC, 0); err != nil {
		return err
	}
	r.appendFD, err = unix.Open(r.path(), unix.O_WRONLY|unix.O_APPEND|unix.O_CLOEXEC, 0)
	return err
}

func (r *run) close() {
	r.t.Helper()
	r.do("close", unix.Close(r.fd))
	r.do("close the writer", unix.Close(r.writeFD))
	r.do("close the appender", unix.Close(r.appendFD))
	r.fd, r.writeFD, r.appendFD = -1, -1, -1
}

func (r *run) end() {
	for _, fd := range []int{r.fd, r.writeFD, r.appendFD} {
		if fd >= 0 {
			_ = unix.Close(fd) // after a failure, which has been reported
		}
	}
	_ = unix.Unlink(r.path()) // as well
}

// change goes to the next client, by close and open.
func (r *run) change() {
	r.t.Helper()
	r.note("close")
	r.close()
	r.client = (r.client + 1) % len(r.paths)
	r.note("open, %d bytes", len(r.model))
	r.do("open", r.open(0))
	r.sizes()
}

// sizes compares the size.
func (r *run) sizes() {
	r.t.Helper()
	var st unix.Stat_t
	r.do("fstat", unix.Fstat(r.fd, &st))
	if st.Size != int64(len(r.model)) {
		r.fail("size is %d, want %d", st.Size, len(r.model))
	}
}

// verify compares the whole file.
func (r *run) verify() {
	r.t.Helper()
	r.sizes()
	r.compare("verify", 0, r.pread(0, len(r.model)+1))
}

// pread reads up to n bytes, short only at the end.
func (r *run) pread(off, n int) []byte {
	r.t.Helper()
	buf := make([]byte, n)
	got := 0
	for got < n {
		m, err := unix.Pread(r.fd, buf[got:], int64(off+got))
		r.do("read", err)
		if m == 0 {
			break
		}
		got += m
	}
	return buf[:got]
}

// compare checks bytes that were read at off.
func (r *run) compare(what string, off int, got []byte) {
	r.t.Helper()
	want := r.model[min(off, len(r.model)):min(off+len(got), len(r.model))]
	if bytes.Equal(got, want) {
		return
	}
	if len(got) != len(want) {
		r.fail("%s at %d: %d bytes, want %d", what, off, len(got), len(want))
	}
	first, last, count := -1, 0, 0
	for i := range got {
		if got[i] != want[i] {
			if first < 0 {
				first = i
			}
			last = i
			count++
		}
	}
	r.fail("%s: %d bytes differ between %d and %d of %d: first is %#x, want %#x", what, count, off+first, off+last, len(r.model), got[first], want[first])
}
