package volume_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/volume"
	"github.com/honeyant/honeyant/volume/volumetest"
)

// A sequential reader keeps the line to the stores busy, however long an answer takes to begin and whether the reader or the line is
// quicker, and nothing is fetched twice. Time is not the machine's here: a line of 800 MB/s, shared by all requests, and a kernel
// that asks for 1 MiB in eight requests and for the next one as soon as the reader enters that.
func TestReadAheadKeepsTheLineBusy(t *testing.T) {
	for _, c := range []struct {
		latency, reader time.Duration // of an answer; for which the reader works on 1 MiB
		busy            float64       // part of the time, at least
	}{
		{500 * time.Microsecond, 0, 0.85},
		{2 * time.Millisecond, 0, 0.8},
		{4 * time.Millisecond, 0, 0.6},
		{4 * time.Millisecond, 800 * time.Microsecond, 0.6},
	} {
		synctest.Test(t, func(t *testing.T) {
			const size = 64 << 20
			busy, fetched := readOverLine(t, size, c.latency, c.reader)
			// The kernel's requests come in any order, by which one reading in ten is taken for a sequential one late.
			for try := 0; try < 3 && busy < c.busy; try++ {
				busy, fetched = readOverLine(t, size, c.latency, c.reader)
			}
			if busy < c.busy {
				t.Errorf("latency %v, reader %v: the line was busy for %.0f %% of the time", c.latency, c.reader, 100*busy)
			}
			if fetched > size*110/100 {
				t.Errorf("latency %v, reader %v: %d bytes fetched for %d", c.latency, c.reader, fetched, size)
			}
		})
	}
}

// readOverLine reads a file of so many bytes and tells for which part of the time its bytes kept the line busy, and how many came over it.
func readOverLine(t *testing.T, size int64, latency, reader time.Duration) (busy float64, fetched int64) {
	const frameTime = 82 * time.Microsecond
	c := volumetest.NewCluster(t, 1, 1<<40)
	v := c.Open(t, nil)
	f := create(t, v, "f")
	p := pattern(1<<20, 1)
	for off := int64(0); off < size; off += int64(len(p)) {
		write(t, f, p, off)
	}
	closeFile(t, f)
	line := make(chan struct{}, 1)
	var frames atomic.Int64
	before := func(_ context.Context, _ honeyant.ChunkRef, n int, _ uint32) error {
		time.Sleep(latency)
		for ; n > 0; n -= honeyant.FrameSize {
			line <- struct{}{}
			time.Sleep(frameTime)
			<-line
			frames.Add(1)
		}
		return nil
	}
	c.Chunks.BeforeRead.Store(&before)
	f = open(t, v, "f", volume.OpenFlags{Read: true})
	began := time.Now()
	kernel := kernelReader{f: f, size: size, asked: map[int64]chan struct{}{}}
	for off := int64(0); off < size; off += kernelWindow {
		kernel.ask(t, off)
		kernel.ask(t, off+kernelWindow)
		kernel.wait(off)
		time.Sleep(reader)
	}
	took := time.Since(began)
	closeFile(t, f)
	return float64(time.Duration(size/honeyant.FrameSize)*frameTime) / float64(took), frames.Load() * honeyant.FrameSize
}

const (
	kernelWindow  = 1 << 20
	kernelRequest = 128 << 10
)

// kernelReader asks as the kernel does for a reader of one file. Used by one goroutine.
type kernelReader struct {
	f     *volume.File
	size  int64
	asked map[int64]chan struct{} // by offset; closed when it is answered
}

// ask asks for the window at off, once.
func (k *kernelReader) ask(t *testing.T, off int64) {
	for at := off; at < min(off+kernelWindow, k.size); at += kernelRequest {
		if k.asked[at] != nil {
			continue
		}
		answered := make(chan struct{})
		k.asked[at] = answered
		go func() {
			defer close(answered)
			p := make([]byte, kernelRequest)
			if n, err := k.f.ReadAt(bg, p, at); err != nil || n != len(p) {
				t.Errorf("at %d: %d %v", at, n, err)
			}
		}()
	}
}

func (k *kernelReader) wait(off int64) {
	for at := off; at < min(off+kernelWindow, k.size); at += kernelRequest {
		<-k.asked[at]
	}
}
