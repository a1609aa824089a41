package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// fs measures a file system as programs use it, through the kernel's cache: the same on a
// local disk, NFS, or a colony's mount.
func (s *session) fs(ctx context.Context) error {
	w, err := s.workspace()
	if err != nil {
		return err
	}
	if err := s.fsBig(ctx, w); err != nil {
		return err
	}
	if err := s.fsync(ctx, "fs.fsync", w, unix.Fsync); err != nil {
		return err
	}
	return s.fsSmall(ctx, w)
}

// fsBig measures one big file that is written, forgotten and read.
func (s *session) fsBig(ctx context.Context, w *Workspace) error {
	path := filepath.Join(w.path, "big")
	data := noise(16<<20, 10)
	params := map[string]string{"size": strconv.FormatInt(s.plan.FileBytes>>20, 10) + " MiB"}
	limit := s.plan.writeLimit()
	size := int64(0)
	defer os.Remove(path)
	write := func(ctx context.Context, d time.Duration) (float64, error) {
		began := time.Now()
		f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
		if err != nil {
			return 0, err
		}
		size = 0
		for size+stride <= s.plan.FileBytes && time.Since(began) < d && ctx.Err() == nil && err == nil {
			_, err = f.Write(data[size%int64(len(data)):][:stride])
			size += stride
		}
		if err == nil {
			err = f.Sync()
		}
		err = errors.Join(err, f.Close())
		return float64(size) / 1e6 / time.Since(began).Seconds(), err
	}
	if _, err := s.measure(ctx, "fs.write.seq", probe{length: limit, warm: limit / 2, params: params, crowded: true, sample: write}); err != nil {
		return err
	}
	if !s.wanted("fs.read.seq") && !s.wanted("fs.read.4k") {
		return nil
	}
	if size == 0 { // writing was not asked for
		if _, err := write(ctx, limit); err != nil {
			return err
		}
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	cached := func(r *Result) {
		r.Notes = append(r.Notes, "the kernel was asked to forget the file; caches beyond it (a server's, the colony's) may still have it")
	}
	buf := make([]byte, stride)
	if _, err := s.measure(ctx, "fs.read.seq", probe{length: s.pace.disk, params: params, crowded: true, finish: cached, sample: func(ctx context.Context, d time.Duration) (float64, error) {
		if err := unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED); err != nil {
			return 0, fmt.Errorf("the kernel does not forget the file: %w", err)
		}
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return 0, err
		}
		began, n := time.Now(), int64(0)
		for ctx.Err() == nil && time.Since(began) < d {
			k, err := f.Read(buf)
			n += int64(k)
			if err == io.EOF { // a whole file is a sample too: no second, cached, pass
				break
			}
			if err != nil {
				return 0, err
			}
		}
		return float64(n) / 1e6 / time.Since(began).Seconds(), nil
	}}); err != nil {
		return err
	}
	t := &testFile{f: f, filled: size, random: seeded()}
	h := &histogram{}
	_, err = s.measure(ctx, "fs.read.4k", probe{length: s.pace.disk, params: params, crowded: true, lat: h, unit: "µs", finish: cached, sample: func(ctx context.Context, d time.Duration) (float64, error) {
		if err := unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED); err != nil {
			return 0, err
		}
		return latencies(ctx, d, h, 1e3, func() error {
			_, err := f.ReadAt(buf[:sector], t.random.Int64N(max(t.filled/sector, 1))*sector)
			return err
		})
	}})
	return err
}

// many is how many threads write small files at once.
const many = 16

// smallFiles is a sample's set of small files.
type smallFiles struct {
	root  string
	count int
	data  []byte
}

func (m *smallFiles) path(i int) string { return filepath.Join(m.root, "f"+strconv.Itoa(i)) }

// each runs step on every file and returns steps per second.
func (m *smallFiles) each(ctx context.Context, step func(i int) error) (float64, error) {
	began := time.Now()
	for i := range m.count {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		if err := step(i); err != nil {
			return 0, err
		}
	}
	return float64(m.count) / time.Since(began).Seconds(), nil
}

func (m *smallFiles) create(path string) error { return os.WriteFile(path, m.data, 0o600) }

// fsSmall measures small files. What one measurement needs made or removed for the next
// sample is not timed.
func (s *session) fsSmall(ctx context.Context, w *Workspace) error {
	m := &smallFiles{root: filepath.Join(w.path, "small"), count: s.pace.files, data: noise(4096, 11)}
	params := map[string]string{"files": strconv.Itoa(m.count), "bytes": "4096"}
	fresh := func() error { return errors.Join(os.RemoveAll(m.root), os.MkdirAll(m.root, 0o700)) }
	kept := func() error { // by the measurement before, unless that was not asked for
		if _, err := os.Lstat(m.path(0)); err == nil {
			return nil
		}
		return m.fill(fresh)
	}
	buf := make([]byte, len(m.data))
	for _, step := range []struct {
		name    string
		prepare func() error
		run     func(ctx context.Context) (float64, error)
	}{
		{"fs.create", fresh, func(ctx context.Context) (float64, error) {
			return m.each(ctx, func(i int) error { return m.create(m.path(i)) })
		}},
		{"fs.stat", kept, func(ctx context.Context) (float64, error) {
			return m.each(ctx, func(i int) error { _, err := os.Lstat(m.path(i)); return err })
		}},
		{"fs.list", kept, func(ctx context.Context) (float64, error) { return m.list() }},
		{"fs.read.small", kept, func(ctx context.Context) (float64, error) {
			return m.each(ctx, func(i int) error {
				f, err := os.Open(m.path(i))
				if err != nil {
					return err
				}
				_, err = io.ReadFull(f, buf)
				return errors.Join(err, f.Close())
			})
		}},
		{"fs.unlink", func() error { return m.fill(fresh) }, func(ctx context.Context) (float64, error) {
			return m.each(ctx, func(i int) error { return os.Remove(m.path(i)) })
		}},
		{"fs.create.16", fresh, m.together},
	} {
		if _, err := s.measure(ctx, step.name, probe{params: params, crowded: true, sample: func(ctx context.Context, _ time.Duration) (float64, error) {
			if err := step.prepare(); err != nil {
				return 0, err
			}
			return step.run(ctx)
		}}); err != nil {
			return err
		}
	}
	return nil
}

func (m *smallFiles) fill(fresh func() error) error {
	if err := fresh(); err != nil {
		return err
	}
	for i := range m.count {
		if err := m.create(m.path(i)); err != nil {
			return err
		}
	}
	return nil
}

func (m *smallFiles) list() (float64, error) {
	began := time.Now()
	entries, err := os.ReadDir(m.root)
	if err != nil {
		return 0, err
	}
	for _, e := range entries {
		if _, err := e.Info(); err != nil {
			return 0, err
		}
	}
	return float64(len(entries)) / time.Since(began).Seconds(), nil
}

// together lets 16 threads write the files, each in a directory of its own.
func (m *smallFiles) together(ctx context.Context) (float64, error) {
	dirs := make([]string, many)
	for i := range dirs {
		dirs[i] = filepath.Join(m.root, "d"+strconv.Itoa(i))
		if err := os.MkdirAll(dirs[i], 0o700); err != nil {
			return 0, err
		}
	}
	per := max(m.count/many, 1)
	faults := make([]error, many)
	var wg sync.WaitGroup
	began := time.Now()
	for i, dir := range dirs {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for n := 0; n < per && ctx.Err() == nil && faults[i] == nil; n++ {
				faults[i] = m.create(filepath.Join(dir, "f"+strconv.Itoa(n)))
			}
		}()
	}
	wg.Wait()
	return float64(many*per) / time.Since(began).Seconds(), errors.Join(faults...)
}
