package bench_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/honeyant/honeyant/bench"
)

// within is how far apart two tools may be.
const within = 0.15

// attempts is how often a comparison is made before it counts: others use the machine too.
const attempts = 5

// check is a figure of ours and the same figure of a tool that people trust.
type check struct {
	name  string // of the catalogue
	tool  string
	other func(ctx context.Context, dir string) (float64, error) // in the unit of the catalogue
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
		{name: "disk.read.4k.q1", tool: "fio", other: fioLatency},
		{name: "disk.read.4k.q32", tool: "fio", other: fio("read", "iops", 1, "--rw=randread", "--bs=4k", "--ioengine=libaio", "--iodepth=32")},
		{name: "disk.write.4k.q32", tool: "fio", other: fio("write", "iops", 1, "--rw=randwrite", "--bs=4k", "--ioengine=libaio", "--iodepth=32")},
		{name: "disk.read.seq", tool: "fio", other: fio("read", "bw_bytes", 1e-6, "--rw=read", "--bs=1M", "--ioengine=psync")},
		{name: "disk.write.seq", tool: "fio", other: fio("write", "bw_bytes", 1e-6, "--rw=write", "--bs=1M", "--ioengine=psync", "--end_fsync=1", "--refill_buffers=0", "--buffer_compress_percentage=0")},
		{name: "net.loopback.tcp", tool: "iperf3", other: iperf3},
		{name: "random.urandom", tool: "dd", other: dd},
	}
}

func TestAgainstOtherTools(t *testing.T) {
	if os.Getenv("HONEYANT_BENCH_CHECK") == "" {
		t.Skip("make bench-check")
	}
	dir := t.TempDir()
	for _, c := range checks() {
		t.Run(c.name, func(t *testing.T) {
			if _, err := exec.LookPath(c.tool); err != nil {
				t.Skipf("%s is not installed: honeyant doctor --pkg %s", c.tool, c.tool)
			}
			best, line := 10.0, ""
			for range attempts {
				before, err := c.other(t.Context(), dir)
				if err != nil {
					t.Fatal(err)
				}
				ours := measure(t, c.name, dir)
				after, err := c.other(t.Context(), dir)
				if err != nil {
					t.Fatal(err)
				}
				theirs := (before + after) / 2
				if off := ours/theirs - 1; max(off, -off) < max(best, -best) {
					best = off
					line = fmt.Sprintf("%-24s ours %10.4g  %s %10.4g  %+.0f %%", c.name, ours, c.tool, theirs, 100*off)
				}
				if max(best, -best) <= within {
					break
				}
			}
			t.Log(line)
			if max(best, -best) > within && c.apart == "" {
				t.Errorf("further apart than %.0f %%: %s", 100*within, line)
			}
		})
	}
}

func measure(t *testing.T, name, dir string) float64 {
	t.Helper()
	spec, ok := bench.Lookup(name)
	if !ok {
		t.Fatalf("no measurement %s", name)
	}
	p, err := bench.MakePlan(t.Context(), bench.Options{Groups: []string{spec.Group}, Only: []string{name}, Dir: dir})
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
	return r.Median
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

func fioJSON(ctx context.Context, dir string, args ...string) (map[string]any, error) {
	path := filepath.Join(dir, "fio.data")
	out, err := output(ctx, "fio", append([]string{"--name=check", "--filename=" + path, "--size=256M", "--direct=1", "--randrepeat=0", "--output-format=json", "--runtime=1", "--time_based=1"}, args...)...)
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
	return func(ctx context.Context, dir string) (float64, error) {
		job, err := fioJSON(ctx, dir, args...)
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
func fioLatency(ctx context.Context, dir string) (float64, error) {
	job, err := fioJSON(ctx, dir, "--rw=randread", "--bs=4k", "--ioengine=psync")
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
		out, err = output(ctx, "iperf3", "-c", "127.0.0.1", "-p", port, "-t", "1", "-O", "0", "-J")
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
