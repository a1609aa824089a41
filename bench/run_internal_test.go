package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/honeyant/honeyant"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv("HONEYANT_TEST_WORKSPACE"); dir != "" { // see TestSweepAfterAKill
		w, err := OpenWorkspace(dir)
		if err == nil {
			err = os.WriteFile(filepath.Join(w.Path(), "data"), make([]byte, 1<<20), 0o600)
		}
		if err != nil {
			os.Exit(1)
		}
		os.Stdout.WriteString("ready\n")
		select {}
	}
	goleak.VerifyTestMain(m)
}

func left(t *testing.T, dir string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, ".honeyant-bench-*"))
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestSweepAfterAKill(t *testing.T) {
	dir := t.TempDir()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), "HONEYANT_TEST_WORKSPACE="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 6)); err != nil {
		t.Fatal(err)
	}
	if err := Sweep(dir); err != nil || len(left(t, dir)) != 1 {
		t.Errorf("the workspace of a living run was removed: %v", err)
	}
	cmd.Process.Kill()
	cmd.Wait()
	w, err := OpenWorkspace(dir)
	if err != nil {
		t.Fatal(err)
	}
	if names := left(t, dir); len(names) != 1 || names[0] != w.Path() {
		t.Errorf("beside the new workspace there is %v", names)
	}
	if err := errors.Join(w.Close(), w.Close()); err != nil || len(left(t, dir)) != 0 {
		t.Errorf("after Close there is %v, %v", left(t, dir), err)
	}
}

func TestPlanRefuses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		o    Options
		kind honeyant.Kind
		says string
	}{
		{"unknown group", Options{Groups: []string{"cpu", "gpu"}}, honeyant.Invalid, `no group "gpu"`},
		{"unknown profile", Options{Profile: "long"}, honeyant.Invalid, `no profile "long"`},
		{"unknown measurement", Options{Groups: []string{"cpu"}, Only: []string{"disk.fsync"}}, honeyant.Invalid, `no measurement "disk.fsync"`},
		{"tiny file", Options{SizeBytes: 5}, honeyant.Invalid, "too small"},
		{"short burst", Options{Groups: []string{"burst"}, BurstFor: time.Second}, honeyant.Invalid, "too short"},
		{"an option for a host", Options{Groups: []string{"ssh"}, SSH: "-oProxyCommand=x"}, honeyant.Invalid, "no host"},
		{"no directory", Options{Groups: []string{"disk"}, Dir: file + "/none"}, honeyant.NotDir, ""},
		{"missing directory", Options{Groups: []string{"disk"}, Dir: t.TempDir() + "/none"}, honeyant.NotExist, ""},
		{"a file", Options{Groups: []string{"disk"}, Dir: file}, honeyant.NotDir, "--in"},
		{"no space", Options{Groups: []string{"disk"}, Dir: "/proc"}, honeyant.NoSpace, "0 MiB are free"},
		{"two at once", Options{Groups: []string{"gpu"}, Profile: "long"}, honeyant.Invalid, "; "},
	} {
		_, err := MakePlan(t.Context(), c.o)
		if !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	t.Setenv("PATH", t.TempDir())
	if _, err := MakePlan(t.Context(), Options{Groups: []string{"compile", "ssh"}, SSH: "host"}); !errors.Is(err, honeyant.NotExist) ||
		!strings.Contains(err.Error(), "go (") || !strings.Contains(err.Error(), "cc (") || !strings.Contains(err.Error(), "ssh (") {
		t.Errorf("missing programs: %v", err)
	}
	p, err := MakePlan(t.Context(), Options{Dir: t.TempDir()})
	if err != nil || len(p.Missing) != 2 {
		t.Errorf("without a name nothing is refused: %v %+v", err, p)
	}
}

// fastDir is a directory in memory where there is one: fsync on a busy disk takes seconds.
func fastDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "bench")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func TestRunIsWholeAndLeavesNothing(t *testing.T) {
	dir := fastDir(t)
	p, err := MakePlan(t.Context(), Options{Groups: []string{"random", "disk", "spawn"}, Only: []string{"random.urandom", "disk.write.seq", "disk.read.4k.q32", "disk.fsync", "spawn.hello"}, Dir: dir, SizeBytes: minFile, hurry: true})
	if err != nil {
		t.Fatal(err)
	}
	run, err := Execute(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	if names := left(t, dir); len(names) != 0 {
		t.Errorf("left: %v", names)
	}
	if len(run.Results)+len(run.Skipped) != 5 {
		t.Errorf("%d results, skipped %+v", len(run.Results), run.Skipped)
	}
	for _, r := range run.Results {
		if len(r.Samples) < 5 || r.Median <= 0 || r.Min > r.Median || r.Max < r.Median {
			t.Errorf("%s: %+v", r.Name, r)
		}
	}
	if run.Spent == nil || run.Spent.WriteBytes < 0 || run.Spent.NetSentBytes < 0 {
		t.Errorf("spent: %+v", run.Spent)
	}
	text, err := json.Marshal(run)
	if err != nil {
		t.Fatal(err)
	}
	back, err := Decode(bytes.NewReader(text))
	if err != nil || back.ID != run.ID || len(back.Results) != len(run.Results) {
		t.Errorf("%v: %+v", err, back)
	}
}

// Every group runs, and what it leaves out it says.
func TestEveryGroup(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles and starts sshd")
	}
	dir := fastDir(t)
	p, err := MakePlan(t.Context(), Options{Groups: []string{"cpu", "mem", "random", "codec", "tls", "disk", "spawn", "net", "fs"}, Dir: dir, SizeBytes: minFile, hurry: true})
	if err != nil {
		t.Fatal(err)
	}
	run, err := Execute(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range Catalogue() {
		pair := s.ofPair()
		skipped := slices.ContainsFunc(run.Skipped, func(k Skip) bool { return k.Name == s.Name })
		if slices.Contains(p.Groups, s.Group) && !pair && run.Find(s.Name) == nil && !skipped {
			t.Errorf("%s is neither measured nor left out", s.Name)
		}
	}
	if len(run.Skipped) > 3 {
		t.Errorf("left out: %+v", run.Skipped)
	}
	if err := run.Validate(); err != nil || len(left(t, dir)) != 0 {
		t.Errorf("%v, left: %v", err, left(t, dir))
	}
}

// A measurement that reads makes what it reads, if the one that writes was not asked for.
func TestOneMeasurementAlone(t *testing.T) {
	dir := fastDir(t)
	for _, name := range []string{"fs.read.4k", "fs.stat", "fs.unlink", "disk.read.4k.q1"} {
		group, _, _ := strings.Cut(name, ".")
		p, err := MakePlan(t.Context(), Options{Groups: []string{group}, Only: []string{name}, Dir: dir, SizeBytes: minFile, hurry: true})
		if err != nil {
			t.Fatal(err)
		}
		run, err := Execute(t.Context(), p)
		if err != nil || run.Find(name) == nil || len(run.Results) != 1 || len(run.Skipped) != 0 {
			t.Errorf("%s: %v, results %+v, left out %+v", name, err, run.Results, run.Skipped)
		}
	}
	if names := left(t, dir); len(names) != 0 {
		t.Errorf("left: %v", names)
	}
}

func TestStoppedRunLeavesNothing(t *testing.T) {
	dir := fastDir(t)
	ctx, cancel := context.WithCancel(t.Context())
	o := Options{Groups: []string{"random", "disk", "fs", "spawn"}, Dir: dir, SizeBytes: minFile, hurry: true, Progress: func(e Event) {
		if e.Name == "disk.fsync" { // in the middle of a group that writes
			cancel()
		}
	}, Only: []string{"random.urandom", "disk.fsync", "fs.create", "spawn.hello"}}
	p, err := MakePlan(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	run, err := Execute(ctx, p)
	if err != nil || run.Stopped == "" || run.Find("random.urandom") == nil || run.Find("fs.create") != nil {
		t.Errorf("%v %+v", err, run)
	}
	if names := left(t, dir); len(names) != 0 {
		t.Errorf("left: %v", names)
	}
}

func TestStreamArrivesWhole(t *testing.T) {
	a, b, err := loopback(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	defer b.Close()
	sent := make(chan error, 1)
	go func() { sent <- NewSource().Send(t.Context(), a, 20*time.Millisecond) }()
	n, took, err := Receive(t.Context(), b)
	if err := errors.Join(err, <-sent); err != nil || n == 0 || n%pieceSize != 0 || took <= 0 {
		t.Errorf("%d bytes in %s, %v", n, took, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := Receive(ctx, b); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled receiver: %v", err)
	}
}

func TestPlanOfTheCloud(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answers := map[string]string{
			"/latest/api/token": "tok", "/latest/meta-data/instance-type": "t3.nano", "/latest/meta-data/placement/region": "ap-northeast-1",
			"/computeMetadata/v1/instance/machine-type": "projects/1/machineTypes/e2-micro", "/computeMetadata/v1/instance/zone": "projects/1/zones/asia-northeast1-b",
			"/metadata/instance/compute":  `{"vmSize":"Standard_B1s","location":"japaneast"}`,
			"/hetzner/v1/metadata/region": "eu-central\n",
		}
		if strings.HasPrefix(r.URL.Path, "/latest/meta-data") && r.Header.Get("X-aws-ec2-metadata-token") != "tok" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		if a, ok := answers[r.URL.Path]; ok {
			w.Write([]byte(a))
			return
		}
		w.WriteHeader(http.StatusNotFound)
	}))
	defer server.Close()
	for _, c := range []struct{ cloud, plan, region string }{
		{"aws", "t3.nano", "ap-northeast-1"}, {"gcp", "e2-micro", "asia-northeast1-b"}, {"azure", "Standard_B1s", "japaneast"},
		{"hetzner", "", "eu-central"}, {"digitalocean", "", ""}, {"", "", ""},
	} {
		h := Host{Cloud: c.cloud}
		h.askPlan(t.Context(), server.URL)
		if h.Plan != c.plan || h.Region != c.region {
			t.Errorf("%s: plan %q, region %q", c.cloud, h.Plan, h.Region)
		}
	}
}

func TestDisturbanceIsTold(t *testing.T) {
	a := ticks{total: 1000, idle: 500, own: 100}
	d := ticks{total: 2000, idle: 800, iowait: 100, steal: 100, own: 300}.since(a)
	if d != (During{OthersPct: 30, OwnPct: 20, StealPct: 10, IOWaitPct: 10}) {
		t.Errorf("%+v", d)
	}
	if why := d.taint(); len(why) != 2 {
		t.Errorf("%q", why)
	}
	if why := (During{OthersPct: 5, StealPct: 1}).taint(); why != nil {
		t.Errorf("a quiet machine: %q", why)
	}
	if (ticks{}).since(ticks{}) != (During{}) {
		t.Error("no time, yet something happened")
	}
}

// A figure that was taken while others worked is marked, and so is its run (A17).
func TestBusyMachineTaintsTheRun(t *testing.T) {
	for _, c := range []struct {
		name    string
		before  State
		tainted bool // the result
		want    bool
	}{
		{"idle", State{BusyPct: 3}, false, false},
		{"in service", State{BusyPct: 60, TopProcess: "mysqld (41 %)"}, false, true},
		{"disturbed later", State{}, true, true},
		{"a stolen processor", State{StealPct: 8}, false, true},
		{"a busy disk", State{DiskBusy: 90}, false, true},
	} {
		s := &session{run: &Run{Before: c.before, Results: []Result{{Tainted: c.tainted}}}, host: &Host{}}
		s.finish(t.Context())
		if s.run.Tainted != c.want || (len(s.run.Why) > 0) != c.want {
			t.Errorf("%s: %v %q", c.name, s.run.Tainted, s.run.Why)
		}
	}
	if why := (State{BusyPct: 60, TopProcess: "mysqld (41 %)"}).busy(); len(why) != 1 || !strings.Contains(why[0], "mysqld (41 %)") {
		t.Errorf("%q", why)
	}
}

// Twenty connections, thirty starts, five samples at least (A5, A16).
func TestEnoughSamples(t *testing.T) {
	for _, o := range []Options{{Profile: Quick}, {Profile: Full}} {
		if p := o.pace(); p.repeats < 5 || p.tries() < 20 || p.spawns*p.repeats < 30 || p.warm <= 0 {
			t.Errorf("%s: %+v", o.Profile, p)
		}
	}
	r := Result{Median: 1e9}
	SourceSpeed(&r, noise(1<<20, 1))
	slow := Result{Median: 1}
	SourceSpeed(&slow, noise(1<<20, 1))
	if len(r.Notes) != 1 || !strings.HasPrefix(r.Notes[0], "generator-bound") || len(slow.Notes) != 0 {
		t.Errorf("data that are slower than what they measure: %q; that are not: %q", r.Notes, slow.Notes)
	}
	if gen, ok := slow.Value("gen"); !ok || gen <= 0 {
		t.Errorf("%+v", slow.Also)
	}
}

func TestCatalogue(t *testing.T) {
	seen := map[string]bool{}
	text, err := os.ReadFile("../doc/measuring.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range Catalogue() {
		if seen[s.Name] || !slices.Contains(Groups(), s.Group) || !strings.HasPrefix(s.Name, s.Group+".") || s.Title == "" || s.Method == "" {
			t.Errorf("%+v", s)
		}
		seen[s.Name] = true
	}
	for _, g := range Groups() {
		if !strings.Contains(string(text), g) {
			t.Errorf("doc/measuring.md says nothing of %s", g)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"schema":"honeyant-bench/1","results":[{"name":"a","unit":"s","better":"lower","median":1}]}`))
	f.Add([]byte(`{"schema":"honeyant-bench/2"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		run, err := Decode(bytes.NewReader(text))
		if err != nil {
			if !errors.Is(err, honeyant.Corrupt) && !errors.Is(err, honeyant.Unsupported) {
				t.Errorf("%v", err)
			}
			return
		}
		for i := range run.Results {
			if run.Results[i].Key() == "" {
				t.Error("a result without a key")
			}
		}
	})
}
