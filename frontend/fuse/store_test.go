package fuse_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Who reads a page here and there asks for each frame of 64 KiB once.
func TestSmallReadsBringTheirFrame(t *testing.T) {
	d := serve(t, 2, keepEnv+"=1")
	const size, frame, page = 64 << 20, 64 << 10, 4096
	content := make([]byte, size)
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range content {
		content[i] = byte(rng.Uint32())
	}
	w, err := os.Create(filepath.Join(d.paths[0], "f"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.Write(content)
	if err := errors.Join(err, w.Sync(), w.Close()); err != nil { // else its times may change yet
		t.Fatal(err)
	}
	f, err := os.Open(filepath.Join(d.paths[1], "f"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_RANDOM); err != nil {
		t.Fatal(err)
	}
	mapped, err := unix.Mmap(int(f.Fd()), 0, size, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(mapped)
	resident := func(off int) (n int) {
		in := make([]byte, frame/page)
		if _, _, errno := unix.Syscall(unix.SYS_MINCORE, uintptr(unsafe.Pointer(&mapped[off])), frame, uintptr(unsafe.Pointer(&in[0]))); errno != 0 {
			t.Fatal(errno)
		}
		for _, b := range in {
			n += int(b & 1)
		}
		return n
	}
	read := func(off int) {
		t.Helper()
		buf := make([]byte, page)
		if _, err := f.ReadAt(buf, int64(off)); err != nil || !bytes.Equal(buf, content[off:off+page]) {
			t.Fatalf("at %d: wrong bytes, %v", off, err)
		}
	}
	frames := rng.Perm(size/(4<<20) - 1) // far from each other: nobody reads on
	for _, n := range frames {           // asks for the lease on the file, and where its chunks are
		read(n*(4<<20) + 2<<20)
	}
	all := d.requests(func() {
		for _, n := range frames {
			at := (n + 1) * (4 << 20)
			for k := 0; resident(at) < frame/page; k++ {
				if k == frame/page {
					t.Fatalf("%d of %d pages are there", resident(at), frame/page)
				}
				read(at + k*page) // nothing comes along while a lease is renewed
				for end := time.Now().Add(time.Second); resident(at) < frame/page && time.Now().Before(end); {
					time.Sleep(time.Millisecond)
				}
			}
		}
		for _, n := range frames {
			for k := range frame / page {
				read((n+1)*(4<<20) + k*page)
			}
		}
	})
	if all["READ"] > 2*len(frames) {
		t.Errorf("%v for %d frames", all, len(frames))
	}
}
