package dirty_test

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/honeyant/honeyant/volume/buffers"
	"github.com/honeyant/honeyant/volume/dirty"
)

// TestRunsAreTheBytesWritten writes and cuts at random, as a volume does, and compares with one array.
func TestRunsAreTheBytesWritten(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	const size = 400
	for range 300 {
		var runs dirty.Runs
		want, there := make([]byte, size), make([]bool, size)
		made, put := 0, 0
		for range 60 {
			if r.IntN(8) == 0 {
				end := r.IntN(size)
				bytesBefore := 0
				for i := end; i < size; i++ {
					if there[i] {
						bytesBefore++
					}
				}
				clear(there[end:])
				var gone int64
				runs, gone = runs.Cut(int64(end), func(*buffers.Buffer) { put++ })
				if gone != int64(bytesBefore) {
					t.Fatalf("cut at %d drops %d bytes, want %d", end, gone, bytesBefore)
				}
			}
			off := r.IntN(size - 1)
			p := make([]byte, 1+r.IntN(min(50, size-off)))
			for i := range p {
				p[i] = byte(1 + r.IntN(255))
			}
			copy(want[off:], p)
			for i := range p {
				there[off+i] = true
			}
			for at := int64(off); len(p) > 0; {
				n, grown := runs.Write(p, at)
				if grown > n {
					t.Fatalf("%d new bytes of %d", grown, n)
				}
				if n == 0 {
					runs = runs.Insert(&dirty.Run{Off: at, Buf: &buffers.Buffer{B: make([]byte, min(16, runs.GapAt(at, int64(len(p)))))}})
					made++
				}
				p, at = p[n:], at+int64(n)
			}
			check(t, runs, want, there)
		}
		if made != put+len(runs) {
			t.Fatalf("%d buffers made, %d given back, %d in use", made, put, len(runs))
		}
	}
}

func check(t *testing.T, runs dirty.Runs, want []byte, there []bool) {
	t.Helper()
	last, covered := int64(0), 0
	for i, run := range runs {
		if run.N == 0 || run.Off < last {
			t.Fatalf("run %d: %d bytes at %d, the one before ends at %d", i, run.N, run.Off, last)
		}
		last = run.End()
		covered += run.N
		if !bytes.Equal(run.Bytes(), want[run.Off:last]) {
			t.Fatalf("run %d: %v, want %v", i, run.Bytes(), want[run.Off:last])
		}
		if ending := runs.EndingAt(last); ending != run {
			t.Fatalf("the run that ends at %d is not found", last)
		}
	}
	if runs.End() != last {
		t.Fatalf("end %d, want %d", runs.End(), last)
	}
	for _, is := range there {
		if is {
			covered--
		}
	}
	if covered != 0 {
		t.Fatalf("%d bytes too many", covered)
	}
}
