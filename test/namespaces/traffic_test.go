package namespaces_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// pattern is size bytes that follow from seed and do not compress.
func pattern(seed uint64, size int) []byte {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	data := make([]byte, size)
	rand.NewChaCha8(key).Read(data)
	return data
}

// traffic is a program that writes files, fsyncs and closes them and reads older ones, on one
// machine, and keeps account of what was acknowledged and of how long its calls took.
type traffic struct {
	dir  string // below the mount
	on   *machine
	root string // its mount
	stop chan struct{}
	done chan struct{}

	mu     sync.Mutex // guards the fields below
	sums   map[string][sha256.Size]byte
	bytes  int64
	stall  time.Duration // the longest call
	slow   string        // which it was
	faults []string
}

// startTraffic begins to write below dir on the machine's mount. Sizes are up to most bytes.
func startTraffic(m *machine, dir string, most int) *traffic {
	w := &traffic{dir: dir, on: m, root: m.mount, stop: make(chan struct{}), done: make(chan struct{}), sums: map[string][sha256.Size]byte{}}
	m.c.must(os.MkdirAll(filepath.Join(m.mount, dir), 0o755))
	go w.run(most)
	return w
}

func (w *traffic) run(most int) {
	defer close(w.done)
	sizes := rand.New(rand.NewPCG(1, uint64(most)))
	pace := time.NewTicker(25 * time.Millisecond) // or the disks would be full before the scenario ends
	defer pace.Stop()
	for i := 0; ; i++ {
		select {
		case <-w.stop:
			return
		case <-pace.C:
		}
		name := filepath.Join(w.dir, fmt.Sprintf("f%05d", i))
		data := pattern(uint64(i), 1+sizes.IntN(most))
		if i%3 == 0 { // many files are small
			data = data[:min(len(data), 6000)]
		}
		if !w.write(name, data) {
			continue
		}
		w.mu.Lock()
		w.sums[name] = sha256.Sum256(data)
		w.bytes += int64(len(data))
		w.mu.Unlock()
		if i > 0 {
			w.read(filepath.Join(w.dir, fmt.Sprintf("f%05d", sizes.IntN(i))))
		}
	}
}

// timed does one call and notes how long it took and whether it failed.
func (w *traffic) timed(what string, call func() error) bool {
	began := time.Now()
	err := call()
	took := time.Since(began)
	w.mu.Lock()
	defer w.mu.Unlock()
	if took > w.stall {
		w.stall, w.slow = took, what
	}
	if err != nil {
		w.faults = append(w.faults, fmt.Sprintf("%s: %s: %v", began.Format("15:04:05.000"), what, err))
	}
	return err == nil
}

// write tells whether the file was acknowledged.
func (w *traffic) write(name string, data []byte) bool {
	var f *os.File
	if !w.timed("create "+name, func() (err error) {
		f, err = os.Create(filepath.Join(w.root, name))
		return err
	}) {
		return false
	}
	ok := true
	for rest := data; len(rest) > 0 && ok; {
		piece := rest[:min(len(rest), 128<<10)]
		rest = rest[len(piece):]
		ok = w.timed("write "+name, func() error { _, err := f.Write(piece); return err })
	}
	ok = ok && w.timed("fsync "+name, f.Sync)
	return w.timed("close "+name, f.Close) && ok
}

func (w *traffic) read(name string) {
	w.mu.Lock()
	want, known := w.sums[name]
	w.mu.Unlock()
	if !known {
		return
	}
	w.timed("read "+name, func() error {
		got, err := sum(filepath.Join(w.root, name))
		if err == nil && got != want {
			err = fmt.Errorf("read other bytes than were written")
		}
		return err
	})
}

func sha(data []byte) [sha256.Size]byte { return sha256.Sum256(data) }

func sum(path string) (s [sha256.Size]byte, err error) {
	f, err := os.Open(path)
	if err != nil {
		return s, err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return s, err
	}
	return [sha256.Size]byte(h.Sum(nil)), nil
}

// progress waits until the program has written some files since now.
func (w *traffic) progress(c *colony, limit time.Duration) {
	c.t.Helper()
	count := func() int { w.mu.Lock(); defer w.mu.Unlock(); return len(w.sums) + len(w.faults) }
	want := count() + 5
	c.until(limit, "files to be written in "+w.dir, func() bool { return count() >= want })
}

// end stops the program and answers when it has stopped; a call that hangs fails the test.
func (w *traffic) end(t *testing.T) {
	t.Helper()
	close(w.stop)
	select {
	case <-w.done:
	case <-time.After(60 * time.Second):
		t.Fatalf("a call of the program in %s hangs", w.dir)
	}
}

// stallLimit is the promise to those who keep a quorum.
const stallLimit = 5 * time.Second

// unharmed ends the program and demands that it has seen no error and no long stall.
func (w *traffic) unharmed(t *testing.T) {
	t.Helper()
	w.unharmedWithin(t, stallLimit)
}

func (w *traffic) unharmedWithin(t *testing.T, limit time.Duration) {
	t.Helper()
	w.end(t)
	if len(w.faults) > 0 {
		t.Errorf("%d errors at the program in %s, first %q", len(w.faults), w.dir, w.faults[0])
	}
	if w.stall > limit {
		t.Errorf("%s stalled for %s", w.slow, w.stall.Round(time.Millisecond))
	}
	t.Logf("%s: %d files, %.1f MB, %d errors, longest call %s (%s)", w.dir, len(w.sums), float64(w.bytes)/1e6, len(w.faults), w.stall.Round(time.Millisecond), w.slow)
}

// whole reads everything acknowledged through another machine.
func (w *traffic) whole(t *testing.T, through *machine) {
	t.Helper()
	lost := 0
	for name, want := range w.sums {
		got, err := sum(filepath.Join(through.mount, name))
		if err != nil || got != want {
			if lost++; lost <= 3 {
				t.Errorf("%s reads %s wrongly: %v", through.name, name, err)
			}
		}
	}
	if lost > 0 {
		t.Errorf("%d of %d acknowledged files are lost or wrong", lost, len(w.sums))
	}
	entries, err := os.ReadDir(filepath.Join(through.mount, w.dir))
	if err != nil || len(entries) < len(w.sums) {
		t.Errorf("%s lists %d of %d files, %v", through.name, len(entries), len(w.sums), err)
	}
}

// tree writes files of known content on m, all of them closed, and answers their account.
func tree(m *machine, dir string, count, size int) *traffic {
	w := &traffic{dir: dir, on: m, root: m.mount, sums: map[string][sha256.Size]byte{}}
	m.c.must(os.MkdirAll(filepath.Join(m.mount, dir), 0o755))
	for i := range count {
		name := filepath.Join(dir, fmt.Sprintf("f%05d", i))
		data := pattern(uint64(size+i), size)
		m.c.must(os.WriteFile(filepath.Join(m.mount, name), data, 0o644))
		w.sums[name] = sha256.Sum256(data)
		w.bytes += int64(size)
	}
	return w
}

// says demands a text in the words of status.
func (m *machine) says(text string) {
	m.c.t.Helper()
	r, err := m.call(callLimit, "status")
	if err != nil || !bytes.Contains([]byte(r.out), []byte(text)) {
		m.c.t.Errorf("status on %s does not say %q but (%v): %s", m.name, text, err, r.out)
	}
}
