package fuse_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
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
