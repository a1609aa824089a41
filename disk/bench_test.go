package disk_test

import (
	"slices"
	"testing"
	"time"

	"github.com/honeyant/honeyant/disk"
)

// BenchmarkSyncBehindNetwork writes 4 MiB in pieces of 256 KiB as they come over a network of 320 MB/s, then syncs: what counts is how
// long the Sync takes, for which the sender waits.
func BenchmarkSyncBehindNetwork(b *testing.B) {
	fs, err := disk.OpenDir(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	f, err := fs.Create("f")
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	const piece, pieces, room = 256 << 10, 16, 256 << 20
	if err := f.Reserve(0, room); err != nil {
		b.Fatal(err)
	}
	p := make([]byte, piece)
	pace := time.NewTicker(800 * time.Microsecond)
	defer pace.Stop()
	var syncs []time.Duration
	off := int64(0)
	for b.Loop() {
		for range pieces {
			<-pace.C
			if _, err := f.WriteAt(p, off); err != nil {
				b.Fatal(err)
			}
			off = (off + piece) % room
		}
		began := time.Now()
		if err := f.Sync(); err != nil {
			b.Fatal(err)
		}
		syncs = append(syncs, time.Since(began))
	}
	slices.Sort(syncs)
	b.ReportMetric(float64(syncs[len(syncs)/2].Microseconds())/1000, "sync-ms")
}
