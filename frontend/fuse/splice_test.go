package fuse_test

import (
	"bytes"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/honeyant/honeyant/frontend/fuse"
	"github.com/honeyant/honeyant/volume/volumetest"
)

// lockedBuffer is a log that several goroutines write.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// TestLargeReadsLogNothing: go-fuse tried to splice each answer and logged a line for each MiB read.
func TestLargeReadsLogNothing(t *testing.T) {
	needFuse(t)
	cluster := volumetest.NewCluster(t, 1, 1<<30)
	fs := fuse.New(cluster.Open(t, nil), fuse.Options{})
	var lines lockedBuffer
	m, err := fuse.NewMount(t.Context(), fs, t.TempDir(), fuse.MountOptions{Transport: transport(), Log: slog.New(slog.NewTextHandler(&lines, nil)), ReadAheadKB: 4096})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	lines.mu.Lock()
	lines.b.Reset() // mounting may log
	lines.mu.Unlock()
	path := filepath.Join(m.Path(), "f")
	data := bytes.Repeat([]byte("honey"), 2<<20)
	// Not by package os: it would ask the kernel to poll the file, which waits for this very process without letting it go on.
	fd, err := unix.Open(path, unix.O_CREAT|unix.O_RDWR, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	for done := 0; done < len(data); {
		n, err := unix.Pwrite(fd, data[done:], int64(done))
		if err != nil {
			t.Fatal(err)
		}
		done += n
	}
	got := make([]byte, len(data))
	for done := 0; done < len(got); {
		n, err := unix.Pread(fd, got[done:], int64(done))
		if err != nil || n == 0 {
			t.Fatalf("%d bytes, %v", done, err)
		}
		done += n
	}
	if !bytes.Equal(got, data) {
		t.Fatal("other bytes")
	}
	lines.mu.Lock()
	defer lines.mu.Unlock()
	if lines.b.Len() > 0 {
		t.Errorf("reading logs: %s", lines.b.String())
	}
}
