package volumetest

import (
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"
)

// randomIO is like fsx: random writes, reads, truncations and reopens on two ways in, one at a time,
// compared with a byte slice. The two synchronise by close and open.
func randomIO(t *testing.T, a, b FS) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	RandomIO(t, a, b, seed, 1500, 1<<20)
}

// RandomIO does steps random steps on one file of at most size bytes; the same seed does the same.
func RandomIO(t *testing.T, a, b FS, seed uint64, steps, size int) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 2))
	x := &fsx{t: t, r: r, size: size, ways: [2]FS{a, b}}
	x.f = openFile(t, a, "fsx", os.O_RDWR|os.O_CREATE)
	for step := range steps {
		x.step()
		if t.Failed() {
			t.Fatalf("seed %d step %d: %v", seed, step, x.done)
		}
	}
	ok(t, x.f.Close())
	for _, fs := range x.ways {
		same(t, ReadFile(t, fs, "fsx"), x.model)
	}
}

type fsx struct {
	t     *testing.T
	r     *rand.Rand
	size  int
	ways  [2]FS
	f     File
	model []byte
	done  []string // the last steps
}

func (x *fsx) note(format string, args ...any) {
	x.done = append(x.done, fmt.Sprintf(format, args...))
	if len(x.done) > 30 {
		x.done = x.done[1:]
	}
}

// extent is a random range; most are short, many begin at round numbers.
func (x *fsx) extent(limit int) (off, n int) {
	if limit == 0 {
		return 0, 0
	}
	off = x.r.IntN(limit)
	if x.r.IntN(3) == 0 {
		off &^= 4095
	}
	switch x.r.IntN(4) {
	case 0:
		n = x.r.IntN(limit)
	case 1:
		n = x.r.IntN(70_000)
	default:
		n = x.r.IntN(5000)
	}
	return off, min(n+1, limit-off)
}

func (x *fsx) step() {
	switch k := x.r.IntN(20); {
	case k < 8:
		off, n := x.extent(x.size)
		x.note("write %d+%d", off, n)
		p := Bytes(n, x.r.Uint64())
		put(x.t, x.f, p, int64(off))
		x.grow(off + n)
		copy(x.model[off:], p)
	case k < 15:
		off, n := x.extent(x.size)
		x.note("read %d+%d", off, n)
		want := x.model[min(off, len(x.model)):min(off+n, len(x.model))]
		got := get(x.t, x.f, int64(off), n)
		if string(got) != string(want) {
			x.t.Errorf("read %d+%d: got %d bytes, want %d: %s", off, n, len(got), len(want), differ(got, want))
		}
	case k < 17:
		size := x.r.IntN(x.size)
		x.note("truncate %d", size)
		ok(x.t, x.f.Truncate(int64(size)))
		x.grow(size)
		x.model = x.model[:size]
	case k < 18:
		x.note("sync")
		ok(x.t, x.f.Sync())
	case k < 19:
		x.note("size")
		if n, err := x.f.Size(); err != nil || int(n) != len(x.model) {
			x.t.Errorf("size %d, want %d, %v", n, len(x.model), err)
		}
	default:
		way := x.r.IntN(2)
		x.note("reopen %d", way)
		ok(x.t, x.f.Close())
		x.f = openFile(x.t, x.ways[way], "fsx", os.O_RDWR)
	}
}

// grow extends the model with zeros; bytes beyond its end are zero already.
func (x *fsx) grow(size int) {
	if size > len(x.model) {
		x.model = append(x.model, make([]byte, size-len(x.model))...)
	}
}

func differ(got, want []byte) string {
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			return fmt.Sprintf("first difference at +%d", i)
		}
	}
	return "one is a prefix"
}
