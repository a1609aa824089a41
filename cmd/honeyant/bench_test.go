package main

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/honeyant/honeyant/bench"
	"github.com/honeyant/honeyant/bench/history"
	"github.com/honeyant/honeyant/cmd/command"
)

// TestMain lets tests start this very program as a process of its own.
func TestMain(m *testing.M) {
	if os.Getenv("HONEYANT_TEST_PROGRAM") != "" {
		program().Main()
	}
	os.Exit(m.Run())
}

// process is honeyant with arguments, to be started.
func process(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe, args...)
	cmd.Env = append(os.Environ(), "HONEYANT_TEST_PROGRAM=yes")
	return cmd
}

// What is wrong is told in one line, with the right exit code, and nothing is printed or left.
func TestBadInputOfBenchIsOneLine(t *testing.T) {
	dir := alone(t)
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	old := write("old.json", `{"schema":"honeyant-bench/0","id":"x","host":{"name":"m"}}`)
	broken := write("broken.json", `{"schema":`)
	negative := write("negative.csv", "provider,plan,kind,monthly,currency,as_of,source\na,b,vm,-5,USD,2026-01-01,x\n")
	for _, c := range []struct {
		name string
		args []string
		code int
		says string
	}{
		{"unknown group", []string{"bench", "gpu"}, command.Refused, `no group "gpu"; the groups are cpu,`},
		{"unknown measurement", []string{"bench", "cpu", "--only", "cpu.magic"}, command.Refused, `no measurement "cpu.magic"`},
		{"unknown profile", []string{"bench", "--profile", "eternal"}, command.Refused, `no profile "eternal"`},
		{"no space", []string{"bench", "disk", "--in", "/proc"}, command.Refused, "0 MiB are free; at least 32 are needed"},
		{"no directory", []string{"bench", "disk", "--in", filepath.Join(dir, "none")}, command.Refused, "does not exist"},
		{"a size that is none", []string{"bench", "disk", "--size", "big"}, command.Refused, "big"},
		{"a negative cost", []string{"bench", "--dry-run", "--cost-gb", "-1"}, command.Refused, "a price can not be negative"},
		{"a short burst", []string{"bench", "burst", "--for", "1s"}, command.Refused, "1s is too short for burst"},
		{"never", []string{"bench", "--again", "0"}, command.Refused, "--again is between 1 and 1000"},
		{"no daemon", []string{"bench", "--all-pairs"}, command.Unreachable, "honeyant serve"},
		{"an unreachable host", []string{"bench", "ssh", "127.0.0.78", "--no-metadata"}, command.Unreachable, "127.0.0.78"},
		{"two hosts", []string{"bench", "ssh", "a", "b"}, command.Refused, "one host at a time"},
		{"old schema", []string{"bench", "compare", old, old}, command.Refused, `schema "honeyant-bench/0" is not known here (this program reads honeyant-bench/1)`},
		{"no result at all", []string{"bench", "compare", broken, broken}, command.Refused, "this is no result of honeyant bench"},
		{"a negative price", []string{"price", "--prices", negative}, command.Refused, "monthly is negative: -5"},
		{"an unknown unit", []string{"price", "--unit", "taxi"}, command.Refused, "taxi"},
		{"a negative amount of data", []string{"plan", "--gb", "-3"}, command.Refused, "can not be negative"},
		{"an unknown plan", []string{"plan", "--fleet", "3×nowhere/huge"}, command.Refused, "nowhere/huge"},
		{"no history", []string{"bench", "history", "--history", filepath.Join(dir, "none")}, command.Refused, "no history there"},
		{"a copy onto itself", []string{"cp", "-r", dir, dir}, command.Refused, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			cmd := process(t, c.args...)
			var out, said bytes.Buffer
			cmd.Stdout, cmd.Stderr = &out, &said
			cmd.Run()
			line := strings.TrimSpace(said.String())
			if c.name == "an unreachable host" { // what was about to be done is announced
				line = line[strings.LastIndex(line, "\n")+1:]
			}
			if code := cmd.ProcessState.ExitCode(); code != c.code || !strings.Contains(line, c.says) || strings.Contains(line, "\n") || out.Len() > 0 {
				t.Errorf("exit code %d, want %d; printed %q, said %q", code, c.code, out.String(), said.String())
			}
		})
	}
	left, err := filepath.Glob(filepath.Join(dir, ".honeyant*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// A run that is told to end cleans up; what one that was killed leaves goes with the next (A27).
func TestRunThatIsKilledLeavesNothing(t *testing.T) {
	alone(t)
	dir, err := os.MkdirTemp("/dev/shm", "bench") // in memory where that is possible: the disk may be busy
	if err != nil {
		dir = t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	left := func() []string {
		names, err := filepath.Glob(filepath.Join(dir, ".honeyant-bench-*"))
		if err != nil {
			t.Fatal(err)
		}
		return names
	}
	for _, c := range []struct {
		signal syscall.Signal
		left   int
	}{{syscall.SIGTERM, 0}, {syscall.SIGHUP, 0}, {syscall.SIGINT, 0}, {syscall.SIGKILL, 1}} {
		if testing.Short() && (c.signal == syscall.SIGHUP || c.signal == syscall.SIGINT) {
			continue // as TERM
		}
		cmd := process(t, "bench", "fs", "--in", dir, "--size", "8M", "--no-metadata")
		said, err := cmd.StderrPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		// The first result is told while the run is in the middle of its files.
		var text strings.Builder
		b := make([]byte, 4096)
		for !strings.Contains(text.String(), "fs.write.seq:") {
			n, err := said.Read(b)
			text.Write(b[:n])
			if err != nil {
				t.Fatalf("it ended: %s", text.String())
			}
		}
		if len(left()) == 0 {
			t.Error("there is nothing to clean up")
		}
		cmd.Process.Signal(c.signal)
		io.Copy(io.Discard, said)
		cmd.Wait()
		if got := left(); len(got) != c.left {
			t.Errorf("%s: left %v", c.signal, got)
		}
		if c.left == 0 && cmd.ProcessState.ExitCode() == command.Done {
			t.Errorf("%s: exit code 0 of a run that was stopped", c.signal)
		}
	}
	if out, code := output(t, "bench", "fs", "--in", dir, "--size", "8M", "--only", "fs.stat", "--no-history", "--no-metadata"); code != command.Done {
		t.Errorf("exit code %d: %s", code, out)
	}
	if got := left(); len(got) != 0 {
		t.Errorf("the next run left %v", got)
	}
}

// In 600 MB the test file is a quarter of what is free, whatever was asked for (A27).
func TestLittleRoomMakesTheFileSmaller(t *testing.T) {
	alone(t)
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=600m"); err != nil {
		t.Skipf("a small file system can not be made here: %v", err)
	}
	defer syscall.Unmount(dir, syscall.MNT_DETACH)
	out, code := output(t, "bench", "disk", "--in", dir, "--size", "4G", "--only", "disk.write.seq", "--json", "--no-metadata", "--no-history")
	run, err := bench.Decode(strings.NewReader(out))
	if code != command.Done || err != nil {
		t.Fatalf("exit code %d, %v: %s", code, err, out)
	}
	if r := run.Find("disk.write.seq"); r == nil || r.Params["size"] != "150 MiB" {
		t.Errorf("%+v", r)
	}
	if rest, err := os.ReadDir(dir); err != nil || len(rest) > 0 {
		t.Errorf("left behind: %v, %v", rest, err)
	}
}

func TestHistoryIsListed(t *testing.T) {
	dir := alone(t)
	if out, code := output(t, "bench", "history"); code != command.Done || !strings.Contains(out, "Nothing is kept") {
		t.Errorf("exit code %d: %s", code, out)
	}
	where := filepath.Join(dir, "h")
	for _, r := range history.Sample()[:2] {
		if err := history.Append(t.Context(), where, r); err != nil {
			t.Fatal(err)
		}
	}
	out, code := output(t, "bench", "history", "--history", where, "--json")
	var rows []historyRow
	if err := json.Unmarshal([]byte(out), &rows); err != nil || code != command.Done || len(rows) != 2 || rows[0].ID == "" || rows[0].Results == 0 {
		t.Errorf("exit code %d, %v: %+v", code, err, rows)
	}
	if out, _ := output(t, "bench", "history", "--history", where, "--machine", rows[1].Machine); !strings.Contains(out, rows[1].ID) || strings.Contains(out, rows[0].ID) {
		t.Errorf("one machine only: %s", out)
	}
}

// Before anything is done: bytes, operations, traffic and their price (A26).
func TestDryRunSaysWhatItWouldCost(t *testing.T) {
	dir := alone(t)
	args := []string{"bench", "disk", "ssh", "host.example", "--in", dir, "--dry-run", "--cost-gb", "0.5", "--cost-million-ops", "2"}
	out, code := output(t, args...)
	for _, want := range []string{"writes ≤", "disk operations ≤", "traffic out ≤", "Cost: at most ", "Nothing was measured or written."} {
		if code != command.Done || !strings.Contains(out, want) {
			t.Errorf("exit code %d, lacks %q: %s", code, want, out)
		}
	}
	out, code = output(t, append(args, "--json")...)
	var r dryRunReport
	if err := json.Unmarshal([]byte(out), &r); err != nil || code != command.Done || r.Plan == nil {
		t.Fatalf("exit code %d, %v: %s", code, err, out)
	}
	u := r.Total
	if want := float64(u.NetBytes)/1e9*0.5 + float64(u.DiskOps)/1e6*2; u.WriteBytes <= 0 || u.DiskOps <= 0 || u.NetBytes <= 0 || r.Cost < 0.99*want || r.Cost > 1.01*want {
		t.Errorf("cost %g, want %g of %+v", r.Cost, want, u)
	}
	if rest, err := os.ReadDir(dir); err != nil || len(rest) > 0 {
		t.Errorf("a dry run left %v, %v", rest, err)
	}
}

// Wall, user and system time, each with its spread, stand in one line; a way is stated beside the disk (A7, A16).
func TestTableOfARun(t *testing.T) {
	run := &bench.Run{Results: []bench.Result{
		{Name: "spawn.hello", Unit: "ms", Median: 1, MAD: 0.1, Samples: []float64{1, 1}, Also: []bench.Also{{Name: "user", Value: 0.5, Unit: "ms"}, {Name: "user_mad", Value: 0.25, Unit: "ms"}, {Name: "sys", Value: 0.3, Unit: "ms"}, {Name: "sys_mad", Value: 0.2, Unit: "ms"}}},
		{Name: "disk.write.seq", Group: "disk", Unit: "MB/s", Median: 70},
		{Name: "ssh.system.aes128gcm", Group: "ssh", Unit: "MB/s", Median: 50, Tainted: true},
	}}
	if row := strings.Join(resultRow(run, &run.Results[0]), "|"); !strings.Contains(row, "1.00|ms|10 %") || !strings.Contains(row, "user 0.50 ±0.25 ms, sys 0.30 ±0.20 ms") {
		t.Error(row)
	}
	if row := strings.Join(resultRow(run, &run.Results[2]), "|"); !strings.Contains(row, "0.71 × local disk") || !strings.HasSuffix(row, "|*") {
		t.Error(row)
	}
}

func TestCheapestStorageFirst(t *testing.T) {
	alone(t)
	out, code := output(t, "price", "--sort", "gb", "--json")
	var rows []priceRow
	if err := json.Unmarshal([]byte(out), &rows); err != nil || code != command.Done || len(rows) < 10 {
		t.Fatalf("exit code %d, %v, %d rows", code, err, len(rows))
	}
	kinds := map[string]bool{}
	last := 0.0
	for _, r := range rows {
		kinds[string(r.Offer.Kind)] = true
		if r.PerGB == nil {
			continue
		}
		if r.PerGB.Amount < last*0.999 && r.PerGB.Currency == rows[0].PerGB.Currency {
			t.Errorf("%s at %g after %g", r.Offer.Name(), r.PerGB.Amount, last)
		}
		last = r.PerGB.Amount
	}
	if !kinds["bucket"] || !kinds["vm"] {
		t.Errorf("kinds: %v", kinds)
	}
}

func TestMomentsToMeasureAgain(t *testing.T) {
	draws := []float64{0.75, 0.25, 0.5}
	got := pauses(4, 100*time.Hour, func() float64 { d := draws[0]; draws = draws[1:]; return d })
	if want := []time.Duration{0, 25 * time.Hour, 25 * time.Hour, 25 * time.Hour}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if got := pauses(1, time.Hour, nil); !slices.Equal(got, []time.Duration{0}) {
		t.Errorf("once: %v", got)
	}
}

// Of 4 GiB that were asked for all are written where there is room, and the run says so before (A25).
func TestFourGigabytesArePlannedWhereThereIsRoom(t *testing.T) {
	alone(t)
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=20g"); err != nil {
		t.Skipf("a big file system can not be made here: %v", err)
	}
	defer syscall.Unmount(dir, syscall.MNT_DETACH)
	args := []string{"bench", "disk", "--in", dir, "--size", "4G", "--dry-run"}
	if text, code := output(t, args...); code != command.Done || !strings.Contains(text, "Test file: 4.0 GiB in "+dir) {
		t.Errorf("exit code %d: %s", code, text)
	}
	text, code := output(t, append(args, "--json")...)
	var r dryRunReport
	if err := json.Unmarshal([]byte(text), &r); err != nil || code != command.Done || r.Plan == nil {
		t.Fatalf("exit code %d, %v: %s", code, err, text)
	}
	if r.FileBytes != 4<<30 || r.Total.WriteBytes < 2*r.FileBytes { // the file and at least one sample
		t.Errorf("a file of %d bytes, %d written", r.FileBytes, r.Total.WriteBytes)
	}
}

// Days may lie between two measurements: what was true of the disk before the first says nothing about the second.
func TestEachMeasurementIsPlannedAnew(t *testing.T) {
	alone(t)
	dir := filepath.Join(t.TempDir(), "in")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	b := &benchOptions{run: bench.Options{Groups: []string{"disk"}, Dir: dir}}
	plan, err := bench.MakePlan(t.Context(), b.run)
	if err != nil {
		t.Fatal(err)
	}
	measured := 0
	err = b.repeat(t.Context(), plan, []time.Duration{0, 0}, func(*bench.Plan) error {
		measured++
		return os.Remove(dir)
	})
	if program().ExitCode(err) != command.Refused || measured != 1 {
		t.Errorf("measured %d times, %v", measured, err)
	}
}

// The whole colony is measured in two parts: what could not be kept of the first is told, though the second was.
func TestRunThatWasNotKeptIsNotForgotten(t *testing.T) {
	var c colonyRuns
	for _, line := range []string{`{"kept":{"nodes":["n2"],"error":"no space"}}`, `{"kept":{"nodes":["n1","n2"]}}`} {
		if err := c.line([]byte(line)); err != nil {
			t.Fatal(err)
		}
	}
	if c.kept == nil || c.kept.Error != "no space" {
		t.Errorf("%+v", c.kept)
	}
}
