package fuse_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/honeyant/honeyant/frontend/fuse"
)

// steps are what programs do, on a directory prepared by prepare.
func steps(dir string) []struct {
	name string
	most int // requests, RELEASE and FORGET left out: nobody waits for them
	run  func() error
} {
	at := func(name string) string { return filepath.Join(dir, name) }
	readAll := func(name string) error { _, err := os.ReadFile(at(name)); return err }
	return []struct {
		name string
		most int
		run  func() error
	}{
		{"stat", 7, func() error { var st unix.Stat_t; return unix.Stat(at("a/b/small"), &st) }},
		{"stat of what is not there", 6, func() error {
			var st unix.Stat_t
			if err := unix.Stat(at("a/b/none"), &st); err != unix.ENOENT {
				return fmt.Errorf("stat: %v", err)
			}
			return nil
		}},
		{"create, write 4 KiB, close", 8, func() error {
			fd, err := unix.Open(at("new"), unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY, 0o644)
			if err != nil {
				return err
			}
			if _, err := unix.Write(fd, make([]byte, 4096)); err != nil {
				return err
			}
			return unix.Close(fd)
		}},
		{"open, read 4 KiB, close", 12, func() error { return readAll("a/b/small") }},
		{"overwrite with O_TRUNC", 8, func() error { return os.WriteFile(at("new"), []byte("x"), 0o644) }},
		{"append", 6, func() error {
			fd, err := unix.Open(at("new"), unix.O_WRONLY|unix.O_APPEND, 0)
			if err != nil {
				return err
			}
			if _, err := unix.Write(fd, []byte("line\n")); err != nil {
				return err
			}
			return unix.Close(fd)
		}},
		{"rename", 7, func() error { return unix.Rename(at("new"), at("newer")) }},
		{"chmod", 3, func() error { return unix.Chmod(at("newer"), 0o600) }},
		{"unlink", 4, func() error { return unix.Unlink(at("newer")) }},
		{"mkdir", 4, func() error { return unix.Mkdir(at("d"), 0o755) }},
		{"rmdir", 4, func() error { return unix.Rmdir(at("d")) }},
		{"list 100 names", 7, func() error { _, err := os.ReadDir(at("many")); return err }},
		{"list 100 names with attributes", 507, func() error {
			all, err := os.ReadDir(at("many"))
			for _, e := range all {
				if _, err := e.Info(); err != nil {
					return err
				}
			}
			return err
		}},
		{"read 8 MiB", 8 + 8<<20/largest(), func() error { return readAll("large") }},
		{"write 8 MiB", 7 + 8<<20/largest(), func() error { return os.WriteFile(at("large2"), make([]byte, 8<<20), 0o644) }},
		{"pwrite of 4 KiB", 1, nil},
		{"fsync of a clean file", 1, nil},
	}
}

// largest is what one READ or WRITE carries at most, in bytes: over io_uring the memory for requests is shared out among the CPUs.
func largest() int {
	if transport() == fuse.TransportURing {
		return 64 << 10
	}
	return 1 << 20
}

func prepare(t testing.TB, dir string) {
	t.Helper()
	for _, d := range []string{"a/b", "many"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write := func(name string, n int) {
		if err := os.WriteFile(filepath.Join(dir, name), make([]byte, n), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("a/b/small", 4096)
	write("large", 8<<20)
	for i := range 100 {
		write(fmt.Sprintf("many/f%d", i), 10)
	}
}

// settled counts what somebody waits for.
func settled(all map[string]int) (total int, text string) {
	var parts []string
	for _, op := range slices.Sorted(maps.Keys(all)) {
		if op != "RELEASE" && op != "RELEASEDIR" {
			total += all[op]
		}
		parts = append(parts, fmt.Sprintf("%s %d", op, all[op]))
	}
	return total, strings.Join(parts, ", ")
}

// TestRequestsPerOperation counts what the kernel asks for, all of which reaches the volume, and fails if it
// becomes more.
func TestRequestsPerOperation(t *testing.T) {
	d := serve(t, 1)
	dir := d.paths[0]
	prepare(t, dir)
	fd, err := unix.Open(filepath.Join(dir, "open"), unix.O_CREAT|unix.O_RDWR, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if _, err := unix.Pwrite(fd, make([]byte, 8192), 0); err != nil {
		t.Fatal(err)
	}
	for _, s := range steps(dir) {
		switch s.name {
		case "pwrite of 4 KiB":
			s.run = func() error { _, err := unix.Pwrite(fd, make([]byte, 4096), 4096); return err }
		case "fsync of a clean file":
			if err := unix.Fsync(fd); err != nil {
				t.Fatal(err)
			}
			s.run = func() error { return unix.Fsync(fd) }
		}
		all := d.requests(func() {
			if err := s.run(); err != nil {
				t.Fatalf("%s: %v", s.name, err)
			}
		})
		total, text := settled(all)
		t.Logf("%-32s %3d: %s", s.name, total, text)
		if total > s.most {
			t.Errorf("%s takes %d requests, more than %d", s.name, total, s.most)
		}
	}
}

// BenchmarkMount measures operations a second over an in-memory cluster: what FUSE and the
// kernel cost, without networks and disks.
func BenchmarkMount(b *testing.B) {
	d := serve(b, 1)
	dir := d.paths[0]
	prepare(b, dir)
	data := make([]byte, 4096)
	buf := make([]byte, 1<<20)
	b.Run("create4K", func(b *testing.B) {
		for i := range b.N {
			fd, err := unix.Open(filepath.Join(dir, fmt.Sprintf("c%d-%d", b.N, i)), unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY, 0o644)
			if err != nil {
				b.Fatal(err)
			}
			if _, err := unix.Write(fd, data); err != nil {
				b.Fatal(err)
			}
			if err := unix.Close(fd); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "op/s")
	})
	b.Run("create4K-8threads", func(b *testing.B) {
		var next atomic.Int64
		b.SetParallelism(max(1, 8/runtime.GOMAXPROCS(0)))
		b.RunParallel(func(pb *testing.PB) {
			own := filepath.Join(dir, fmt.Sprintf("t%d-%d", b.N, next.Add(1)))
			if err := os.Mkdir(own, 0o755); err != nil {
				b.Error(err)
				return
			}
			for i := 0; pb.Next(); i++ {
				if err := os.WriteFile(fmt.Sprintf("%s/%d", own, i), data, 0o644); err != nil {
					b.Error(err)
					return
				}
			}
		})
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "op/s")
	})
	b.Run("stat", func(b *testing.B) {
		var st unix.Stat_t
		for b.Loop() {
			if err := unix.Stat(filepath.Join(dir, "a/b/small"), &st); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "op/s")
	})
	b.Run("read4K", func(b *testing.B) {
		for b.Loop() {
			if _, err := os.ReadFile(filepath.Join(dir, "a/b/small")); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "op/s")
	})
	b.Run("list", func(b *testing.B) {
		for b.Loop() {
			all, err := os.ReadDir(filepath.Join(dir, "many"))
			if err != nil {
				b.Fatal(err)
			}
			for _, e := range all {
				if _, err := e.Info(); err != nil {
					b.Fatal(err)
				}
			}
		}
		b.ReportMetric(100*float64(b.N)/b.Elapsed().Seconds(), "entries/s")
	})
	b.Run("names", func(b *testing.B) {
		for b.Loop() {
			if _, err := os.ReadDir(filepath.Join(dir, "many")); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(100*float64(b.N)/b.Elapsed().Seconds(), "entries/s")
	})
	b.Run("write1M", func(b *testing.B) {
		fd, err := unix.Open(filepath.Join(dir, "seq"), unix.O_CREAT|unix.O_TRUNC|unix.O_WRONLY, 0o644)
		if err != nil {
			b.Fatal(err)
		}
		defer unix.Close(fd)
		b.SetBytes(1 << 20)
		for i := range b.N {
			if _, err := unix.Pwrite(fd, buf, int64(i%256)<<20); err != nil {
				b.Fatal(err)
			}
		}
		if err := unix.Fsync(fd); err != nil {
			b.Fatal(err)
		}
	})
	b.Run("read1M", func(b *testing.B) {
		fd, err := unix.Open(filepath.Join(dir, "seq"), unix.O_RDONLY, 0)
		if err != nil {
			b.Fatal(err)
		}
		defer unix.Close(fd)
		b.SetBytes(1 << 20)
		for i := range b.N {
			n, err := unix.Pread(fd, buf, int64(i%256)<<20)
			if err != nil {
				b.Fatal(err)
			}
			if n == 0 {
				break
			}
		}
	})
	b.Run("unlink", func(b *testing.B) {
		for i := range b.N {
			name := filepath.Join(dir, fmt.Sprintf("u%d-%d", b.N, i))
			if err := unix.Mknod(name, unix.S_IFREG|0o644, 0); err != nil {
				b.Fatal(err)
			}
		}
		b.ResetTimer()
		start := time.Now()
		for i := range b.N {
			if err := unix.Unlink(filepath.Join(dir, fmt.Sprintf("u%d-%d", b.N, i))); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.N)/time.Since(start).Seconds(), "op/s")
	})
}
