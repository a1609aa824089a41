package bench

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

const (
	sector = 4096
	stride = 1 << 20
	depth  = 32
	// poolSize is small enough to stay in a processor's cache: a virtual disk of gigabytes a second is copied by the host, and
	// reading the data from memory would be part of the figure.
	poolSize = 2 * stride
)

// testFile is the file in which a disk is measured.
type testFile struct {
	f      *os.File
	size   int64  // wanted
	filled int64  // written at least once: only this is read
	direct bool   // O_DIRECT
	data   []byte // poolSize bytes that can not be made smaller, page-aligned
	at     int64  // where sequential writing goes on
	stamp  uint64
	spans  []time.Duration // that each MiB took, fsync included
	random *rand.Rand
}

// openTest makes the test file, with O_DIRECT where the file system takes it.
func openTest(w *Workspace, size int64) (*testFile, error) {
	t := &testFile{size: size, direct: true, random: seeded()}
	var err error
	if t.f, err = w.file(unix.O_DIRECT); err != nil {
		t.direct = false
		if t.f, err = w.file(0); err != nil {
			return nil, err
		}
	}
	if t.data, err = unix.Mmap(-1, 0, poolSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE); err != nil {
		return nil, errors.Join(fmt.Errorf("memory for the test data: %w", err), t.f.Close())
	}
	copy(t.data, noise(len(t.data), 7))
	// A file system may take O_DIRECT at open and refuse it at the first write.
	if _, err := t.f.WriteAt(t.data[:sector], 0); errors.Is(err, unix.EINVAL) && t.direct {
		t.direct = false
		if flags, err := unix.FcntlInt(t.f.Fd(), unix.F_GETFL, 0); err == nil {
			unix.FcntlInt(t.f.Fd(), unix.F_SETFL, flags&^unix.O_DIRECT)
		}
	}
	return t, nil
}

func (t *testFile) close() error {
	return errors.Join(unix.Munmap(t.data), t.f.Close())
}

// piece is the next MiB of data. Each 4 KiB carry a number of their own, so that nothing
// below can store equal blocks once.
func (t *testFile) piece() []byte {
	at := int(t.stamp*7919*sector) % (len(t.data) - stride) &^ (sector - 1)
	p := t.data[at : at+stride]
	for i := 0; i < len(p); i += sector {
		t.stamp++
		binary.LittleEndian.PutUint64(p[i:], t.stamp)
	}
	return p
}

// write writes sequentially until the whole file and least, or the limit, are through, then
// fsync, and returns MB/s over all of it.
func (t *testFile) write(ctx context.Context, least, limit time.Duration) (float64, error) {
	began, n := time.Now(), int64(0)
	for (n+stride <= t.size || time.Since(began) < least) && time.Since(began) < limit && ctx.Err() == nil {
		at := time.Now()
		if t.at+stride > t.size {
			t.at = 0
		}
		if _, err := t.f.WriteAt(t.piece(), t.at); err != nil {
			return 0, err
		}
		t.at += stride
		t.filled = max(t.filled, t.at)
		n += stride
		t.spans = append(t.spans, time.Since(at))
	}
	at := time.Now()
	if err := t.f.Sync(); err != nil {
		return 0, err
	}
	if len(t.spans) > 0 {
		t.spans[len(t.spans)-1] += time.Since(at)
	}
	return float64(n) / 1e6 / time.Since(began).Seconds(), nil
}

// worst is the slowest window of at least w, in MB/s; false if all spans together are shorter.
func worst(spans []time.Duration, w time.Duration) (float64, bool) {
	slowest, found := 0.0, false
	sum, from := time.Duration(0), 0
	for to, span := range spans {
		sum += span
		for sum-spans[from] >= w {
			sum -= spans[from]
			from++
		}
		if sum >= w {
			v := float64(to-from+1) * stride / 1e6 / sum.Seconds()
			if !found || v < slowest {
				slowest, found = v, true
			}
		}
	}
	return slowest, found
}

// forget drops the file from the kernel's cache; only needed without O_DIRECT.
func (t *testFile) forget() error {
	if t.direct {
		return nil
	}
	if err := t.f.Sync(); err != nil {
		return err
	}
	return unix.Fadvise(int(t.f.Fd()), 0, 0, unix.FADV_DONTNEED)
}

func (t *testFile) params() map[string]string {
	return map[string]string{"size": strconv.FormatInt(t.size>>20, 10) + " MiB", "direct": strconv.FormatBool(t.direct)}
}

func (t *testFile) note(r *Result) {
	if !t.direct {
		r.Notes = append(r.Notes, "this file system takes no O_DIRECT: the kernel's cache is part of the figure")
	}
	if t.filled < t.size && r.Name != "disk.write.seq" {
		r.Notes = append(r.Notes, fmt.Sprintf("within the %d MiB that could be written in time", t.filled>>20))
	}
}

// disk measures the disk below Dir.
func (s *session) disk(ctx context.Context) error {
	w, err := s.workspace()
	if err != nil {
		return err
	}
	t, err := openTest(w, s.plan.FileBytes)
	if err != nil {
		return err
	}
	defer t.close()
	least, limit := s.plan.writeLeast(), s.plan.writeLimit()
	if _, err := s.measure(ctx, "disk.write.seq", probe{length: limit, warm: 2 * limit, params: t.params(),
		sample: func(ctx context.Context, d time.Duration) (float64, error) {
			return t.write(ctx, least, d)
		},
		warmed: func() { t.spans = nil },
		finish: func(r *Result) {
			if v, ok := worst(t.spans, 5*time.Second); ok {
				r.Also = append(r.Also, Also{"min5s", v, "MB/s"})
			} else {
				r.Notes = append(r.Notes, "less than 5 seconds were written, so there is no worst 5 seconds; --profile full or a larger --size has them")
			}
			r.Series = seriesOf(t.spans)
			t.note(r)
		}}); err != nil {
		return err
	}
	if t.filled == 0 { // writing was not asked for
		if _, err := t.write(ctx, 0, 2*limit); err != nil {
			return err
		}
	}
	if t.filled < minFile/2 {
		return errors.New("too little could be written in time")
	}
	if err := s.diskReads(ctx, t); err != nil {
		return err
	}
	if err := s.fsync(ctx, "disk.fsync", w, unix.Fdatasync); err != nil {
		return err
	}
	return s.metadata(ctx, w)
}

// seriesOf is the course of writing in about 100 points.
func seriesOf(spans []time.Duration) []Point {
	total := time.Duration(0)
	for _, d := range spans {
		total += d
	}
	every := max(total/100, 50*time.Millisecond)
	var points []Point
	at, span, n := time.Duration(0), time.Duration(0), 0
	for _, d := range spans {
		span += d
		n++
		if span >= every {
			at += span
			points = append(points, Point{Seconds: at.Seconds(), Value: float64(n) * stride / 1e6 / span.Seconds()})
			span, n = 0, 0
		}
	}
	return points
}

func (s *session) diskReads(ctx context.Context, t *testFile) error {
	whole := t.filled &^ (stride - 1)
	at := int64(0)
	if _, err := s.measure(ctx, "disk.read.seq", probe{length: s.pace.disk, params: t.params(), finish: t.note,
		sample: func(ctx context.Context, d time.Duration) (float64, error) {
			if err := t.forget(); err != nil {
				return 0, err
			}
			var fault error
			v := rate(ctx, d, 1, func(int) float64 {
				if at+stride > whole {
					at = 0
				}
				n, err := t.f.ReadAt(t.data[:stride], at)
				at += stride
				if err != nil && err != io.EOF {
					fault = err
				}
				return float64(n)
			})
			return v / 1e6, fault
		}}); err != nil {
		return err
	}
	anywhere := func() int64 { return t.random.Int64N(whole/sector) * sector }
	h := &histogram{}
	if _, err := s.measure(ctx, "disk.read.4k.q1", probe{length: s.pace.disk, params: t.params(), lat: h, unit: "µs", finish: t.note,
		sample: func(ctx context.Context, d time.Duration) (float64, error) {
			if err := t.forget(); err != nil {
				return 0, err
			}
			return latencies(ctx, d, h, 1e3, func() error {
				_, err := t.f.ReadAt(t.data[:sector], anywhere())
				return err
			})
		}}); err != nil {
		return err
	}
	a, err := newAIO(t.f, depth, sector)
	if err != nil {
		s.skip(Skip{Name: "disk.read.4k.q32", Reason: err.Error()})
		s.skip(Skip{Name: "disk.write.4k.q32", Reason: err.Error()})
		return nil
	}
	defer a.close()
	for _, how := range []struct {
		name   string
		opcode uint16
	}{{"disk.read.4k.q32", opRead}, {"disk.write.4k.q32", opWrite}} {
		h := &histogram{}
		params := t.params()
		params["depth"] = strconv.Itoa(depth)
		if _, err := s.measure(ctx, how.name, probe{length: s.pace.disk, params: params, lat: h, unit: "µs", finish: t.note,
			sample: func(ctx context.Context, d time.Duration) (float64, error) {
				if err := t.forget(); err != nil {
					return 0, err
				}
				return a.run(ctx, d, how.opcode, anywhere, h)
			}}); err != nil {
			return err
		}
	}
	return t.f.Sync()
}

// latencies repeats op for d, adds each duration to h and returns the median in units of
// per nanoseconds.
func latencies(ctx context.Context, d time.Duration, h *histogram, per float64, op func() error) (float64, error) {
	one := &histogram{}
	for began := time.Now(); time.Since(began) < d || one.count == 0; {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		at := time.Now()
		if err := op(); err != nil {
			return 0, err
		}
		one.add(time.Since(at))
	}
	h.merge(one)
	return one.quantile(.5) / per, nil
}

// fsync measures small durable appends, up to 1000 per sample.
func (s *session) fsync(ctx context.Context, name string, w *Workspace, sync func(fd int) error) error {
	f, err := w.file(0)
	if err != nil {
		return err
	}
	defer f.Close()
	data := noise(sector, 8)
	h := &histogram{}
	_, err = s.measure(ctx, name, probe{length: s.pace.disk, lat: h, unit: "ms",
		sample: func(ctx context.Context, d time.Duration) (float64, error) {
			if err := f.Truncate(0); err != nil {
				return 0, err
			}
			at := int64(0)
			return latencies(ctx, d, h, 1e6, func() error {
				_, err := f.WriteAt(data, at)
				at += sector
				if err == nil {
					err = sync(int(f.Fd()))
				}
				return err
			})
		},
		finish: func(r *Result) {
			if r.Median > 0 {
				r.Also = append(r.Also, Also{"per_second", 1000 / r.Median, "/s"})
			}
		}})
	return err
}

// metadata measures empty files: create, stat, unlink.
func (s *session) metadata(ctx context.Context, w *Workspace) error {
	dir := filepath.Join(w.path, "names")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	var parts [3]float64
	_, err := s.measure(ctx, "disk.metadata", probe{params: map[string]string{"files": strconv.Itoa(s.pace.files)},
		sample: func(ctx context.Context, _ time.Duration) (float64, error) {
			parts = [3]float64{}
			steps := []func(path string) error{
				func(path string) error {
					f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
					if err != nil {
						return err
					}
					return f.Close()
				},
				func(path string) error { _, err := os.Lstat(path); return err },
				os.Remove,
			}
			began := time.Now()
			for i, step := range steps {
				at := time.Now()
				for n := range s.pace.files {
					if err := ctx.Err(); err != nil {
						return 0, err
					}
					if err := step(filepath.Join(dir, strconv.Itoa(n))); err != nil {
						return 0, err
					}
				}
				parts[i] = float64(s.pace.files) / time.Since(at).Seconds()
			}
			return float64(3*s.pace.files) / time.Since(began).Seconds(), nil
		},
		finish: func(r *Result) {
			for i, name := range []string{"create", "stat", "unlink"} {
				r.Also = append(r.Also, Also{name, parts[i], "/s"})
			}
		}})
	return err
}

// seeded draws the offsets of random access: the same in every run.
func seeded() *rand.Rand { return rand.New(rand.NewPCG(5, 6)) }
