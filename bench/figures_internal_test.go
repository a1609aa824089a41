package bench

import (
	"crypto/sha256"
	"encoding/hex"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

func TestMedianAndMAD(t *testing.T) {
	for _, c := range []struct {
		values      []float64
		median, mad float64
	}{
		{nil, 0, 0},
		{[]float64{3}, 3, 0},
		{[]float64{1, 2, 3, 4, 100}, 3, 1},
		{[]float64{4, 1, 3, 2}, 2.5, 1},
	} {
		if m, d := Median(c.values), MAD(c.values); m != c.median || d != c.mad {
			t.Errorf("%v: median %g, MAD %g; want %g, %g", c.values, m, d, c.median, c.mad)
		}
	}
}

func TestHistogramIsWithinABucketOfTheTruth(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for _, scale := range []float64{20, 1e3, 1e6, 1e10} {
		h := &histogram{}
		var all []float64
		for range 5000 {
			d := time.Duration(scale * math.Exp(r.NormFloat64()))
			h.add(d)
			all = append(all, float64(d))
		}
		slices.Sort(all)
		for _, q := range []float64{0, .5, .9, .99, .999, 1} {
			want, got := all[int(q*float64(len(all)-1))], h.quantile(q)
			if math.Abs(got-want) > want/16+1 {
				t.Errorf("scale %g, quantile %g: %g, want about %g", scale, q, got, want)
			}
		}
		l := h.latency("ms")
		if !slices.IsSortedFunc(l.Quantiles, func(a, b Quantile) int { return int(math.Copysign(1, a.Value-b.Value)) }) || l.Count != 5000 || l.Max != all[4999]/1e6 {
			t.Errorf("scale %g: %+v", scale, l)
		}
	}
	if (&histogram{}).latency("ms") != nil {
		t.Error("an empty histogram has a latency")
	}
}

func TestFitDecay(t *testing.T) {
	repeat := func(v float64, n int) []float64 { return slices.Repeat([]float64{v}, n) }
	for _, c := range []struct {
		name          string
		rates         []float64
		peak, plateau float64
		from          int
		dropped       bool
	}{
		{"credits spent after 6 samples", append(repeat(100, 6), repeat(10, 20)...), 100, 10, 6, true},
		{"steady", []float64{100, 101, 99, 100, 102, 98, 100, 100}, 100, 100, 0, false},
		{"one bad sample", []float64{100, 100, 100, 50, 100, 100, 100, 100, 100}, 100, 100, 0, false},
		{"grows", append(repeat(50, 5), repeat(100, 9)...), 100, 100, 0, false},
		{"a small drop", append(repeat(100, 8), repeat(95, 9)...), 95, 95, 0, false},
	} {
		got, err := fitDecay(c.rates)
		if err != nil || got != (curve{c.peak, c.plateau, c.from, c.dropped}) {
			t.Errorf("%s: %+v, %v", c.name, got, err)
		}
	}
	for _, few := range [][]float64{nil, {1, 2, 3}, repeat(0, 20)} {
		if _, err := fitDecay(few); err == nil {
			t.Errorf("%v: no error", few)
		}
	}
}

func TestWorstWindow(t *testing.T) {
	var spans []time.Duration
	for i := range 100 { // 10 s at 10 MiB/s with a second at a tenth of that in between
		d := 100 * time.Millisecond
		if i == 50 {
			d = 5 * time.Second
		}
		spans = append(spans, d)
	}
	v, ok := worst(spans, 5*time.Second)
	if want := 1 * stride / 1e6 / 5.0; !ok || math.Abs(v-want) > 1e-9 {
		t.Errorf("worst 5 s: %g %v, want %g", v, ok, want)
	}
	if _, ok := worst(spans[:10], 5*time.Second); ok {
		t.Error("a second of writing has a worst 5 s")
	}
}

func TestFileFitsIntoAQuarter(t *testing.T) {
	for _, c := range []struct{ wanted, free, want int64 }{
		{4 << 30, 600 << 20, 150 << 20},
		{256 << 20, 100 << 30, 256 << 20},
		{1 << 30, 33<<20 + 5, 8 << 20},
		{1 << 30, 31 << 20, 0},
		{1 << 30, 0, 0},
	} {
		got, err := fitFile(c.wanted, c.free)
		if got != c.want || (err == nil) != (c.want > 0) {
			t.Errorf("%d of %d: %d, %v; want %d", c.wanted, c.free, got, err, c.want)
		}
	}
}

// What is measured must be the same on every machine and in every version that calls it so.
func TestBundledDataNeverChange(t *testing.T) {
	sum := func(b []byte) string {
		s := sha256.Sum256(b)
		return hex.EncodeToString(s[:6])
	}
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"corpus": {corpus(1 << 20), "5d01db848106"}, "noise": {noise(1<<20, 1), "27e055c9faa3"}, "Go source": {goSource(), "ffb272edf72d"}, "C source": {cSource(), "ffcee013d9db"},
	} {
		if got := sum(c.data); got != c.want {
			t.Errorf("%s: hash %s, want %s: figures would no longer compare with older ones", name, got, c.want)
		}
	}
}

func TestHelloProgramRuns(t *testing.T) {
	program, err := helloProgram()
	if err != nil {
		t.Skip(err)
	}
	path := filepath.Join(t.TempDir(), "hello")
	if err := os.WriteFile(path, program, 0o700); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(path).CombinedOutput()
	if err != nil || string(out) != "hello\n" {
		t.Errorf("%q, %v", out, err)
	}
	if _, _, err := start(path); err != nil {
		t.Error(err)
	}
}
