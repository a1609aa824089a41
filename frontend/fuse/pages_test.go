package fuse_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A file that is opened again unchanged is read from the kernel's pages; what was closed anywhere is seen by the next open.
func TestPagesAreKept(t *testing.T) {
	for _, mode := range []struct {
		name string
		env  []string
	}{{"leases", []string{keepEnv + "=1", noKernelEnv + "=1"}}, {"none", nil}, {"one volume", []string{keepEnv + "=1", oneEnv + "=1"}}} {
		t.Run(mode.name, func(t *testing.T) {
			d := serve(t, 2, mode.env...)
			at := func(n int) string { return filepath.Join(d.paths[n], "f") }
			seed := rand.Uint64()
			t.Logf("seed %d", seed)
			rng := rand.New(rand.NewPCG(seed, 1))
			content := make([]byte, 100_000)
			f, err := os.Create(at(1))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := f.Write(content); err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(f.Sync(), f.Close()); err != nil {
				t.Fatal(err)
			}
			check := func(n, step int) {
				t.Helper()
				got, err := os.ReadFile(at(n))
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(got, content) {
					t.Fatalf("step %d: mount %d reads old bytes", step, n)
				}
			}
			check(0, -1)
			if all := d.requests(func() { check(0, -1) }); all["READ"] != 0 {
				t.Errorf("read again: %v", all)
			}
			for step := range 150 {
				by := rng.IntN(2)
				switch rng.IntN(4) {
				case 0: // as long as before
					for i := range content {
						content[i] = byte(step + i)
					}
					if err := os.WriteFile(at(by), content, 0o644); err != nil {
						t.Fatal(err)
					}
				case 1:
					f, err := os.OpenFile(at(by), os.O_RDWR, 0)
					if err != nil {
						t.Fatal(err)
					}
					off := rng.IntN(len(content) - 10)
					copy(content[off:], "0123456789")
					if _, err := f.WriteAt(content[off:off+10], int64(off)); err != nil {
						t.Fatal(err)
					}
					if err := f.Close(); err != nil {
						t.Fatal(err)
					}
				}
				check(rng.IntN(2), step)
			}
		})
	}
}

// Many read single pages of a file, through all mounts, while it is rewritten, cut and lengthened through one or the other: whoever opens
// it sees what was closed before.
func TestPagesAreNeverOld(t *testing.T) {
	for _, mode := range []struct {
		name string
		env  []string
	}{{"two nodes", []string{keepEnv + "=1", calmEnv + "=-1ns"}}, {"one node", []string{keepEnv + "=1", oneEnv + "=1", calmEnv + "=-1ns"}}} {
		t.Run(mode.name, func(t *testing.T) {
			d := serve(t, 2, mode.env...)
			at := func(n int) string { return filepath.Join(d.paths[n], "f") }
			seed := uint64(time.Now().UnixNano())
			t.Logf("seed %d", seed)
			const page, pages = 4096, 96
			var lock sync.RWMutex // writers change the file and version, checkers look
			var version uint64
			write := func(r *rand.Rand, by int) error {
				lock.Lock()
				defer lock.Unlock()
				version++
				b := bytes.Repeat(binary.LittleEndian.AppendUint64(nil, version), page*pages/8)
				flags := os.O_WRONLY | os.O_CREATE
				switch r.IntN(3) {
				case 0:
					flags |= os.O_TRUNC
				case 1:
					if err := os.Truncate(at(by), int64(r.IntN(page*pages))); err != nil && version > 1 {
						return err
					}
				}
				f, err := os.OpenFile(at(by), flags, 0o644)
				if err != nil {
					return err
				}
				_, err = f.Write(b)
				return errors.Join(err, f.Close())
			}
			check := func(r *rand.Rand, by int) error {
				lock.RLock()
				defer lock.RUnlock()
				f, err := os.Open(at(by))
				if err != nil {
					return err
				}
				defer f.Close()
				unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_RANDOM)
				b := make([]byte, page)
				for range 20 {
					n := r.IntN(pages)
					if _, err := f.ReadAt(b, int64(n*page)); err != nil {
						return fmt.Errorf("page %d: %w", n, err)
					}
					for i := 0; i < page; i += 8 {
						if got := binary.LittleEndian.Uint64(b[i:]); got != version {
							return fmt.Errorf("mount %d, page %d, byte %d: version %d, want %d", by, n, i, got, version)
						}
					}
				}
				return nil
			}
			if err := write(rand.New(rand.NewPCG(seed, 0)), 0); err != nil {
				t.Fatal(err)
			}
			var all sync.WaitGroup
			var checks atomic.Int64
			end := time.Now().Add(keptTime())
			run := func(n uint64, fn func(r *rand.Rand)) {
				r := rand.New(rand.NewPCG(seed, n))
				all.Go(func() {
					for time.Now().Before(end) && !t.Failed() {
						fn(r)
					}
				})
			}
			run(1, func(r *rand.Rand) {
				if err := write(r, r.IntN(2)); err != nil {
					t.Error(err)
				}
				time.Sleep(time.Duration(r.IntN(20)) * time.Millisecond)
			})
			for n := range 3 {
				run(uint64(2+n), func(r *rand.Rand) {
					if err := check(r, r.IntN(2)); err != nil {
						t.Error(err)
					}
					checks.Add(1)
				})
			}
			for by := range 2 { // reads that nobody looks at, so that answers are on their way at any moment
				f, err := os.Open(at(by))
				if err != nil {
					t.Fatal(err)
				}
				defer f.Close()
				unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_RANDOM)
				run(uint64(10+by), func(r *rand.Rand) {
					_, _ = f.ReadAt(make([]byte, page), int64(r.IntN(pages)*page)) // may be short
				})
			}
			all.Wait()
			t.Logf("%d versions, %d checks", version, checks.Load())
		})
	}
}

// TestWritesPastThePages writes a file through descriptors that only write, or append, while others read it through theirs,
// on the same machine, at all times: what a write has answered is what the next read sees.
func TestWritesPastThePages(t *testing.T) {
	for _, mode := range []struct {
		name  string
		flags int
	}{{"write", os.O_WRONLY}, {"append", os.O_WRONLY | os.O_APPEND}} {
		t.Run(mode.name, func(t *testing.T) {
			d := serve(t, 1, keepEnv+"=1")
			path := filepath.Join(d.paths[0], "f")
			seed := uint64(time.Now().UnixNano())
			t.Logf("seed %d", seed)
			const size = 8 << 12
			if err := os.WriteFile(path, make([]byte, size), 0o644); err != nil {
				t.Fatal(err)
			}
			var all sync.WaitGroup
			end := time.Now().Add(keptTime())
			for n := range 3 {
				r := rand.New(rand.NewPCG(seed, uint64(n)))
				f, err := os.Open(path)
				if err != nil {
					t.Fatal(err)
				}
				defer f.Close()
				all.Go(func() {
					for time.Now().Before(end) && !t.Failed() {
						_, _ = f.ReadAt(make([]byte, 100), r.Int64N(size)) // nobody looks at it
					}
				})
			}
			w, err := os.OpenFile(path, mode.flags, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer w.Close()
			f, err := os.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			r := rand.New(rand.NewPCG(seed, 100))
			var writes int
			var length int64 = size
			for ; time.Now().Before(end); writes++ {
				b := bytes.Repeat([]byte{byte(writes%255 + 1)}, 1+r.IntN(3<<12))
				off := r.Int64N(size - 3<<12)
				if mode.flags&os.O_APPEND != 0 {
					if length > size {
						if err := os.Truncate(path, size/2+off); err != nil {
							t.Fatal(err)
						}
						length = size/2 + off
					}
					off = length
					_, err = w.Write(b)
				} else {
					_, err = w.WriteAt(b, off)
				}
				if err != nil {
					t.Fatal(err)
				}
				length = max(length, off+int64(len(b)))
				got := make([]byte, len(b))
				if _, err := f.ReadAt(got, off); err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(got, b) {
					at := slices.IndexFunc(got, func(c byte) bool { return c != b[0] })
					t.Fatalf("write %d: %d bytes at %d: byte %d is %d, want %d", writes, len(b), off, at, got[at], b[0])
				}
			}
			all.Wait()
			t.Logf("%d writes", writes)
		})
	}
}
