package bench_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/honeyant/honeyant/bench"
)

// within is how far apart two tools may be.
const within = 0.15

// A comparison is made in rounds, because others use the machine, or its host, too: in each
// round both tools measure in turns. After leastRounds it ends as soon as it is decided, at
// the latest after mostRounds. The interval of the median ratio is that of the sign test,
// which assumes nothing about the noise.
const (
	leastRounds = 6
	mostRounds  = 15
)

// check is a figure of ours and the same figure of a tool that people trust.
type check struct {
	name  string // of the catalogue
	tool  string
	other func(ctx context.Context, dir string) (float64, error) // in the unit of the catalogue
	// fio is set for disks: both measure in the very same file.
	fio func(ctx context.Context, file string) (float64, error)
	// apart says why the two may differ by more; the comparison is then only printed.
	apart string
}

func checks() []check {
	return []check{
		{name: "cpu.primes.1", tool: "sysbench", other: sysbench(1), apart: "sysbench divides 64-bit numbers by a loop that gcc compiled, ours was compiled by Go: the same work, another compiler"},
		{name: "codec.aes128gcm", tool: "openssl", other: openssl("aes-128-gcm", 16384, 1e6), apart: "another implementation in assembler: how far apart depends on the processor"},
		{name: "codec.aes256gcm", tool: "openssl", other: openssl("aes-256-gcm", 16384, 1e6), apart: "as for aes128gcm"},
		{name: "codec.chacha20poly1305", tool: "openssl", other: openssl("chacha20-poly1305", 16384, 1e6), apart: "as for aes128gcm"},
		{name: "codec.sha256", tool: "openssl", other: openssl("sha256", 65536, 1e3)},
		{name: "disk.read.4k.q1", tool: "fio", fio: fioLatency},
		{name: "disk.read.4k.q32", tool: "fio", fio: fio("read", "iops", 1, "--rw=randread", "--bs=4k", "--ioengine=libaio", "--iodepth=32")},
		{name: "disk.write.4k.q32", tool: "fio", fio: fio("write", "iops", 1, "--rw=randwrite", "--bs=4k", "--ioengine=libaio", "--iodepth=32")},
		{name: "disk.read.seq", tool: "fio", fio: fio("read", "bw_bytes", 1e-6, "--rw=read", "--bs=1M", "--ioengine=psync")},
		// Ours ends each pass over the file with an fsync, so fio has to as well.
		{name: "disk.write.seq", tool: "fio", fio: fio("write", "bw_bytes", 1e-6, "--rw=write", "--bs=1M", "--ioengine=psync", "--fsync="+strconv.Itoa(fileMiB))},
		{name: "net.loopback.tcp", tool: "iperf3", other: iperf3, apart: "iperf3's sender is a single thread that asks select(2) before each write and is at its limit (95 % of a CPU), ours writes at once: " +
			"it is a tenth to a third faster, and both depend on which CPUs the two ends are given"},
		{name: "random.urandom", tool: "dd", other: dd},
	}
}

// fileMiB is the size of the test file.
const fileMiB = 256

// ratios are ours ÷ theirs, a value for each round, and how far theirs was from itself.
type ratios struct {
	values, self []float64
	ours, theirs []float64
	busy         int // rounds in which other programs or the host took part: invariant B6 of package bench
}

func (r *ratios) add(ours float64, theirs ...float64) {
	mean := 0.0
	for _, v := range theirs {
		mean += v / float64(len(theirs))
	}
	if len(theirs) > 1 {
		r.self = append(r.self, math.Abs(theirs[1]/theirs[0]-1))
	}
	r.values, r.ours, r.theirs = append(r.values, ours/mean), append(r.ours, ours), append(r.theirs, mean)
}

// interval is the 95 % interval of the median: between the k-th value from below and from
// above, k as the sign test has it; from 6 values on.
func (r *ratios) interval() (low, high float64) {
	sorted := slices.Sorted(slices.Values(r.values))
	n := len(sorted)
	k, tail, choose := 0, 0.0, math.Pow(0.5, float64(n)) // choose = C(n,i)/2^n
	for i := 0; i <= n/2; i++ {
		tail += choose
		if tail > 0.025 {
			break
		}
		k = i + 1
		choose *= float64(n-i) / float64(i+1)
	}
	if k == 0 {
		return math.Inf(-1), math.Inf(1)
	}
	return sorted[k-1], sorted[n-k]
}

// verdict of a comparison.
type verdict int

const (
	undecided verdict = iota // so much noise that both answers are possible
	agree                    // the median is within the bound, and the interval no wider than twice that
	differ                   // the whole interval lies beyond the bound, on a machine that was idle most of the time
)

func (r *ratios) verdict() verdict {
	if len(r.values) < leastRounds {
		return undecided
	}
	low, high := r.interval()
	middle := bench.Median(r.values)
	switch {
	case (low > 1+within || high < 1-within) && r.busy <= len(r.values)/2:
		return differ
	case math.Abs(middle-1) <= within && low >= 1-2*within && high <= 1+2*within:
		return agree
	}
	return undecided
}

func (r *ratios) line(c check) string {
	low, high := r.interval()
	return fmt.Sprintf("%-24s ours %10.4g  %s %10.4g  %+.0f %% (95 %%: %+.0f to %+.0f %%, %d rounds, %d of them not idle; %s differs from itself by %.0f %%)", c.name, bench.Median(r.ours), c.tool, bench.Median(r.theirs),
		100*(bench.Median(r.values)-1), 100*(low-1), 100*(high-1), len(r.values), r.busy, c.tool, 100*bench.Median(r.self))
}

func TestAgainstOtherTools(t *testing.T) {
	if os.Getenv("HONEYANT_BENCH_CHECK") == "" {
		t.Skip("make bench-check")
	}
	dir := t.TempDir()
	if named := os.Getenv("HONEYANT_BENCH_DIR"); named != "" {
		dir = named
	}
	open := 0
	for _, c := range checks() {
		t.Run(c.name, func(t *testing.T) {
			if _, err := exec.LookPath(c.tool); err != nil {
				t.Skipf("%s is not installed: honeyant doctor --pkg %s", c.tool, c.tool)
			}
			var r ratios
			for len(r.values) < mostRounds && r.verdict() == undecided && (c.apart == "" || len(r.values) < leastRounds) {
				round(t, c, dir, &r)
			}
			t.Log(r.line(c))
			switch {
			case c.apart != "":
				t.Log("may differ: " + c.apart)
			case r.verdict() == differ:
				t.Errorf("further apart than %.0f %%", 100*within)
			case r.verdict() == undecided:
				open++
				t.Logf("UNDECIDED: this machine is too noisy for an answer within %.0f %%", 100*within)
			}
		})
	}
	if open > 2 {
		t.Errorf("%d comparisons are undecided: run it again on a quiet machine", open)
	}
}

// round lets both tools measure once, the other one before and after ours.
func round(t *testing.T, c check, dir string, r *ratios) {
	t.Helper()
	var theirs []float64
	other := func() {
		rest(t.Context())
		v, err := c.run(t.Context(), dir)
		rest(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		theirs = append(theirs, v)
	}
	if c.fio == nil {
		other()
	}
	ours, busy := measure(t, c.name, dir, func(e bench.Event) {
		// The file is there while its measurement begins and ends; at the beginning of the
		// sequential writing it is empty.
		if c.fio != nil && e.Name == c.name && e.Skip == nil && (e.Result != nil || c.name != "disk.write.seq") {
			other()
		}
	})
	if c.fio == nil {
		other()
	}
	r.add(ours, theirs...)
	if busy {
		r.busy++
	}
}

// between is the pause between two turns: a disk that has credits, or a cache to empty, gives whoever comes first
// more than whoever comes at once after that.
const between = time.Second

func rest(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(between):
	}
}

func (c check) run(ctx context.Context, dir string) (float64, error) {
	if c.fio == nil {
		return c.other(ctx, dir)
	}
	file, err := testFile()
	if err != nil {
		return 0, err
	}
	return c.fio(ctx, file)
}

// testFile is the nameless file that a run in this very process measures a disk in.
func testFile() (string, error) {
	all, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		return "", err
	}
	for _, fd := range all {
		to, err := os.Readlink(fd)
		if err != nil || !strings.HasSuffix(to, " (deleted)") {
			continue
		}
		if info, err := os.Stat(fd); err == nil && info.Mode().IsRegular() && info.Size() == fileMiB<<20 {
			return fmt.Sprintf("/proc/%d/fd/%s", os.Getpid(), filepath.Base(fd)), nil
		}
	}
	return "", errors.New("the test file was not found among the open files")
}

func measure(t *testing.T, name, dir string, progress func(bench.Event)) (median float64, busy bool) {
	t.Helper()
	spec, ok := bench.Lookup(name)
	if !ok {
		t.Fatalf("no measurement %s", name)
	}
	p, err := bench.MakePlan(t.Context(), bench.Options{Groups: []string{spec.Group}, Only: []string{name}, Dir: dir, SizeBytes: fileMiB << 20, Progress: progress})
	if err != nil {
		t.Fatal(err)
	}
	run, err := bench.Execute(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	r := run.Find(name)
	if r == nil {
		t.Fatalf("not measured: %v", run.Skipped)
	}
	return r.Median, r.Tainted
}

// The rule of the check itself: noise does not make two tools equal, nor a real difference vanish.
func TestVerdicts(t *testing.T) {
	for _, c := range []struct {
		name   string
		values []float64
		want   verdict
	}{
		{"equal", []float64{1, 1.02, 0.99, 1.01, 0.97, 1}, agree},
		{"a tenth apart", []float64{1.1, 1.12, 1.09, 1.11, 1.08, 1.1}, agree},
		{"a fifth apart", []float64{1.2, 1.22, 1.19, 1.21, 1.18, 1.2}, differ},
		{"a fifth apart and noisy", []float64{1.2, 1.62, 0.99, 1.21, 0.78, 1.2}, undecided},
		{"too few", []float64{1, 1, 1}, undecided},
		{"wild", []float64{0.5, 2, 1, 0.7, 1.6, 1}, undecided},
		{"slower", []float64{0.7, 0.71, 0.69, 0.7, 0.72, 0.8}, differ},
	} {
		r := ratios{values: c.values}
		if got := r.verdict(); got != c.want {
			low, high := r.interval()
			t.Errorf("%s: %d, want %d (%g to %g)", c.name, got, c.want, low, high)
		}
	}
	if r := (ratios{values: []float64{1.5, 1.5, 1.5, 1.5, 1.5, 1.5}, busy: 4}); r.verdict() != undecided {
		t.Error("two tools were told apart on a machine that was busy")
	}
	// The ranks of the sign test: Conover, Practical Nonparametric Statistics, 1999.
	for n, want := range map[int][2]int{5: {0, 0}, 6: {1, 6}, 9: {2, 8}, 12: {3, 10}, 15: {4, 12}} {
		r := ratios{}
		for i := range n {
			r.values = append(r.values, float64(i+1))
		}
		low, high := r.interval()
		if want[0] == 0 != math.IsInf(low, -1) || want[0] > 0 && (low != float64(want[0]) || high != float64(want[1])) {
			t.Errorf("%d values: %g to %g, want %v", n, low, high, want)
		}
	}
}

func output(ctx context.Context, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", name, err, out)
	}
	return string(out), nil
}

// number is the first group of a pattern as a number.
func number(text, pattern string) (float64, error) {
	m := regexp.MustCompile(pattern).FindStringSubmatch(text)
	if m == nil {
		return 0, fmt.Errorf("no figure in %q", text)
	}
	return strconv.ParseFloat(m[1], 64)
}

func sysbench(threads int) func(context.Context, string) (float64, error) {
	return func(ctx context.Context, _ string) (float64, error) {
		out, err := output(ctx, "sysbench", "cpu", "--cpu-max-prime=10000", "--threads="+strconv.Itoa(threads), "--time=1", "run")
		if err != nil {
			return 0, err
		}
		return number(out, `events per second:\s*([0-9.]+)`)
	}
}

// openssl speed prints thousands of bytes per second.
func openssl(algorithm string, size int, per float64) func(context.Context, string) (float64, error) {
	return func(ctx context.Context, _ string) (float64, error) {
		out, err := output(ctx, "openssl", "speed", "-elapsed", "-mr", "-seconds", "1", "-bytes", strconv.Itoa(size), "-evp", algorithm)
		if err != nil {
			return 0, err
		}
		bytes, err := number(out, `\+F:[^\n]*:([0-9.]+)\s*$`)
		return bytes / 1e3 / per, err
	}
}

func fioJSON(ctx context.Context, file string, args ...string) (map[string]any, error) {
	out, err := output(ctx, "fio", append([]string{"--name=check", "--filename=" + file, "--size=" + strconv.Itoa(fileMiB) + "M", "--allow_file_create=0", "--direct=1", "--randrepeat=0", "--output-format=json", "--runtime=1500ms", "--time_based=1"}, args...)...)
	if err != nil {
		return nil, err
	}
	var v struct{ Jobs []map[string]any }
	if err := json.Unmarshal([]byte(out[strings.Index(out, "{"):]), &v); err != nil || len(v.Jobs) == 0 {
		return nil, errors.Join(errors.New("fio's answer can not be read"), err)
	}
	return v.Jobs[0], nil
}

func fio(way, field string, scale float64, args ...string) func(context.Context, string) (float64, error) {
	return func(ctx context.Context, file string) (float64, error) {
		job, err := fioJSON(ctx, file, args...)
		if err != nil {
			return 0, err
		}
		part, ok := job[way].(map[string]any)
		if !ok {
			return 0, errors.New("fio tells nothing of " + way)
		}
		v, ok := part[field].(float64)
		if !ok {
			return 0, errors.New("fio tells nothing of " + field)
		}
		return v * scale, nil
	}
}

// fioLatency is the median latency of single reads in µs.
func fioLatency(ctx context.Context, file string) (float64, error) {
	job, err := fioJSON(ctx, file, "--rw=randread", "--bs=4k", "--ioengine=psync")
	if err != nil {
		return 0, err
	}
	read, _ := job["read"].(map[string]any)
	lat, _ := read["clat_ns"].(map[string]any)
	percentile, _ := lat["percentile"].(map[string]any)
	v, ok := percentile["50.000000"].(float64)
	if !ok {
		return 0, errors.New("fio tells no median")
	}
	return v / 1e3, nil
}

func iperf3(ctx context.Context, _ string) (float64, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	port := strconv.Itoa(ln.Addr().(*net.TCPAddr).Port)
	ln.Close()
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	server := exec.CommandContext(ctx, "iperf3", "-s", "-1", "-B", "127.0.0.1", "-p", port)
	if err := server.Start(); err != nil {
		return 0, err
	}
	defer server.Wait()
	defer cancel()
	var out string
	for try := range 50 {
		out, err = output(ctx, "iperf3", "-c", "127.0.0.1", "-p", port, "-t", "1", "-O", "1", "-J")
		if err == nil || try == 49 {
			break
		}
		select {
		case <-ctx.Done():
		case <-time.After(50 * time.Millisecond): // until the server listens
		}
	}
	if err != nil {
		return 0, err
	}
	var v struct {
		End struct {
			SumReceived struct {
				BitsPerSecond float64 `json:"bits_per_second"`
			} `json:"sum_received"`
		}
	}
	if err := json.Unmarshal([]byte(out), &v); err != nil {
		return 0, err
	}
	return v.End.SumReceived.BitsPerSecond / 8e6, nil
}

func dd(ctx context.Context, _ string) (float64, error) {
	const mb = 256
	at := time.Now()
	_, err := output(ctx, "dd", "if=/dev/urandom", "of=/dev/null", "bs=64k", "count="+strconv.Itoa(mb<<20/(64<<10)))
	return mb * 1.048576 / time.Since(at).Seconds(), err
}
