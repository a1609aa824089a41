package fuse_test

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"

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
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(got, data) {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
	lines.mu.Lock()
	defer lines.mu.Unlock()
	if lines.b.Len() > 0 {
		t.Errorf("reading logs: %s", lines.b.String())
	}
}
