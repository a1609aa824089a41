package report_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"image/png"
	"io"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/honeyant/honeyant/advice"
	"github.com/honeyant/honeyant/advice/report"
	"github.com/honeyant/honeyant/bench"
	"github.com/honeyant/honeyant/bench/history"
)

// invented is a colony of five machines with everything measured; the figures are made up.
func invented() []*bench.Run {
	plans := []string{"lightsail/nano", "lightsail/micro", "lightsail/small", "vultr/vhp-1gb", "hetzner/cx23"}
	names := []string{"web1", "web2", "storage-tokyo-1a", "build", "nürnberg"}
	var runs []*bench.Run
	for i, name := range names {
		speed := 0.6 + 0.25*float64(i)
		r := &bench.Run{Schema: bench.Schema, ID: "run-" + name, Profile: "full", Began: time.Date(2026, 11, 20+i%3, 8, 0, 0, 0, time.UTC),
			Host: bench.Host{Name: name, CPU: "Intel Xeon E5-2676 v3 @ 2.40GHz", Cores: 2, OS: "Debian GNU/Linux 12 (bookworm)", Kernel: "6.1.0-18-cloud-amd64", MemoryBytes: 512 << 20 << (i % 3),
				Virtualisation: "kvm", Plan: plans[i], Disk: bench.Disk{Type: "ssd", TotalBytes: 20e9 * int64(i+1)}}}
		add := func(name string, v float64) *bench.Result {
			s, _ := bench.Lookup(name)
			one := bench.Result{Name: name, Group: s.Group, Unit: s.Unit, Better: s.Better}
			for k := range 5 {
				one.Samples = append(one.Samples, v*(1+0.02*float64(k-2)))
			}
			one.Median, one.MAD = bench.Median(one.Samples), bench.MAD(one.Samples)
			r.Results = append(r.Results, one)
			return &r.Results[len(r.Results)-1]
		}
		for name, v := range map[string]float64{"cpu.score.1": 800 * speed, "cpu.score.all": 1500 * speed, "mem.copy.1": 6 * speed, "disk.write.seq": 70 * speed, "disk.read.seq": 110 * speed,
			"disk.read.4k.q32": 3000 * speed, "random.crypto.1": 350 * speed, "tls.full.p256": 900 * speed, "tls.resumed": 2500 * speed, "codec.aes128gcm": 2.2 * speed, "compile.types": 400 / speed, "spawn.hello": 1.1 / speed} {
			add(name, v)
		}
		for _, name := range []string{"disk.fsync", "disk.read.4k.q1"} {
			one := add(name, 2/speed)
			l := &bench.Latency{Unit: one.Unit, Count: 1000}
			for q := 0.01; q < 0.9995; q += (1 - q) / 12 {
				l.Quantiles = append(l.Quantiles, bench.Quantile{Q: q, Value: 2 / speed * math.Pow(1-q, -0.6)})
			}
			l.P50, l.P90, l.P99, l.P999, l.Max = 3/speed, 8/speed, 32/speed, 120/speed, 300/speed
			one.Latency = l
		}
		burst := add("burst.cpu", 20)
		for t := 0.0; t < 1800; t += 10 {
			v := 100 * speed
			if t > 300+200*float64(i) {
				v *= 0.2 + 0.1*float64(i)
			}
			burst.Series = append(burst.Series, bench.Point{Seconds: t, Value: v * (1 + 0.03*math.Sin(t/17))})
		}
		for k, to := range names {
			if k == i {
				continue
			}
			for name, v := range map[string]float64{"net.tcp.8": 110 - 12*math.Abs(float64(i-k)), "net.rtt": 0.3 + 0.4*math.Abs(float64(i-k))} {
				add(name, v).Peer = &bench.Peer{From: r.Host.Name, To: to}
			}
		}
		if i == 1 {
			r.Tainted, r.Why = true, []string{"mysqld used 41 % of the processors"}
		}
		runs = append(runs, r)
	}
	history.SortByTime(runs)
	return runs
}

func build(t *testing.T, runs []*bench.Run) *report.Report {
	t.Helper()
	table, err := advice.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	r, err := report.Build(report.Options{Runs: runs, Table: table, Unit: advice.Unit{Rates: table.Rates}, Now: time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func page(t *testing.T, r *report.Report) string {
	t.Helper()
	var b bytes.Buffer
	if err := r.WriteHTML(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// Pages to look at are kept in $HONEYANT_REPORT_DIR.
func keep(t *testing.T, name, text string) {
	if dir := os.Getenv("HONEYANT_REPORT_DIR"); dir != "" {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestPageAsksNothingOfTheNetwork(t *testing.T) {
	for name, runs := range map[string][]*bench.Run{"sample": history.Sample(), "invented": invented(), "empty": nil} {
		text := page(t, build(t, runs))
		keep(t, name+".html", text)
		plain := strings.ReplaceAll(strings.ReplaceAll(text, `xmlns="http://www.w3.org/2000/svg"`, ""), `xmlns:xlink="http://www.w3.org/1999/xlink"`, "")
		for _, bad := range []string{"http:", "https:", "src=\"", "@import", "url(", "<link", "ZgotmplZ", "NaN", "%!"} {
			if i := strings.Index(plain, bad); i >= 0 {
				t.Errorf("%s: the page contains %q: %s", name, bad, plain[max(0, i-80):min(len(plain), i+80)])
			}
		}
	}
}

func TestEveryPictureHasItsFiguresAndAllLooks(t *testing.T) {
	r := build(t, invented())
	text := page(t, r)
	kinds := map[string]int{}
	for _, c := range r.Charts {
		kind, _, _ := strings.Cut(c.ID, "-")
		kinds[kind]++
		if len(c.Table.Rows) == 0 || c.Alt == "" {
			t.Errorf("%s: no figures, or no words", c.ID)
		}
		for _, l := range []report.Look{{Width: 760}, {Width: 330, Dark: true}, {Width: 760, PNG: true, Title: true}} {
			picture, err := c.Draw(l)
			if err != nil {
				t.Fatalf("%s: %v", c.ID, err)
			}
			if again, _ := c.Draw(l); !bytes.Equal(picture, again) {
				t.Errorf("%s: drawn twice it differs", c.ID)
			}
			if l.PNG {
				if _, err := png.Decode(bytes.NewReader(picture)); err != nil {
					t.Errorf("%s: %v", c.ID, err)
				}
				keep(t, c.ID+".png", string(picture))
				continue
			}
			wellFormed(t, c.ID, picture)
		}
	}
	if want := (map[string]int{"rank": 3, "value": 3, "pairs": 2, "latency": 2, "burst": 1, "machines": 1}); fmt.Sprint(kinds) != fmt.Sprint(want) {
		t.Errorf("charts: %v, want %v", kinds, want)
	}
	if n := strings.Count(text, "<svg"); n != 4*(len(r.Charts)-1) {
		t.Errorf("%d pictures for %d charts", n, len(r.Charts)-1)
	}
	if len(r.Missing) != 0 {
		t.Errorf("missing: %v", r.Missing)
	}
	if page(t, build(t, invented())) != text {
		t.Error("the same runs give another page")
	}
}

func wellFormed(t *testing.T, id string, svg []byte) {
	t.Helper()
	d := xml.NewDecoder(bytes.NewReader(svg))
	for {
		_, err := d.Token()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Errorf("%s is no XML: %v", id, err)
			return
		}
	}
}

func TestVerdictsGiveReasons(t *testing.T) {
	alone := build(t, invented()[:1])
	if len(alone.Verdicts) != 0 || !strings.Contains(strings.Join(alone.Missing, "\n"), "a second machine") {
		t.Errorf("a machine alone: %v, missing %v", alone.Verdicts, alone.Missing)
	}
	all := strings.Join(build(t, history.Sample()).Verdicts, "\n")
	for _, want := range []string{"Storing files: amazonlinux, ubuntu16 and ubuntu18 are alike for the money (within 5 %); next is azure (score 21.4, ¥10,000 a month) with 1.07 % of it.",
		"azure gives 93.3 times less for the money than amazonlinux: out.", "Building software: ubuntu16 and amazonlinux are alike for the money"} {
		if !strings.Contains(all, want) {
			t.Errorf("lacks %q:\n%s", want, all)
		}
	}
}

// An exception stands out whatever the size of the machine.
func TestOverTime(t *testing.T) {
	var runs []*bench.Run
	for day := range 12 {
		for i, r := range invented() {
			r.ID, r.Began = fmt.Sprintf("%s-%d", r.ID, day), r.Began.AddDate(0, 0, day)
			for k := range r.Results {
				if one := &r.Results[k]; one.Name == "disk.write.seq" && day == 7 && i == 2 {
					one.Median /= 4
				} else {
					one.Median *= 1 + 0.04*math.Sin(float64(day*(i+1)))
				}
			}
			runs = append(runs, r)
		}
	}
	history.SortByTime(runs)
	r := build(t, runs)
	text := page(t, r)
	keep(t, "overtime.html", text)
	found := 0
	for _, c := range r.Charts {
		if c.ID != "machines" && !strings.Contains(text, `<figure id="`+c.ID+`"`) {
			t.Errorf("%s is not on the page", c.ID)
		}
		if strings.HasPrefix(c.ID, "time-") {
			found++
			if len(c.Table.Rows) != 5 || c.Table.Rows[0][1] != "12" {
				t.Errorf("%s: %v", c.ID, c.Table.Rows)
			}
		}
	}
	if found != 3 {
		t.Errorf("%d charts over time", found)
	}
}

// What runs say may come from other people's files.
func TestTextNeverBecomesMarkup(t *testing.T) {
	const evil = `<script>alert(1)</script>"'&|*x*`
	runs := invented()
	for _, r := range runs {
		r.Host.Name += evil
		r.Host.OS, r.Host.CPU, r.Why = evil, evil, []string{evil}
		for i := range r.Results {
			if p := r.Results[i].Peer; p != nil {
				p.From, p.To = evil, p.To+evil
			}
		}
	}
	r := build(t, runs)
	text := page(t, r)
	if strings.Contains(text, "<script>alert") || strings.Count(text, "<script") != 1 {
		t.Error("a host name became a script")
	}
	for _, c := range r.Charts {
		svg, err := c.Draw(report.Look{})
		if err != nil {
			t.Fatal(err)
		}
		wellFormed(t, c.ID, svg)
	}
	var md bytes.Buffer
	if err := r.WriteMarkdown(&md); err != nil || strings.Contains(md.String(), "<script>") {
		t.Errorf("Markdown: %v", err)
	}
}

func TestMarkdownTablesAreWhole(t *testing.T) {
	var md bytes.Buffer
	if err := build(t, invented()).WriteMarkdown(&md); err != nil {
		t.Fatal(err)
	}
	keep(t, "invented.md", md.String())
	bar := regexp.MustCompile(`(?:^|[^\\])\|`)
	width := 0
	for _, line := range strings.Split(md.String(), "\n") {
		if !strings.HasPrefix(line, "|") {
			width = 0
			continue
		}
		n := len(bar.FindAllString(line, -1))
		if width != 0 && n != width {
			t.Errorf("%d bars after %d: %s", n, width, line)
		}
		width = n
	}
}

func TestOddFigures(t *testing.T) {
	runs := invented()[:1]
	runs[0].Results = append(runs[0].Results,
		bench.Result{Name: "net.rtt", Unit: "ms", Better: bench.Lower, Peer: &bench.Peer{From: "a", To: "b"}, Median: 0},
		bench.Result{Name: "burst.disk", Unit: "%", Better: bench.Higher, Series: []bench.Point{{Seconds: 0, Value: 0}, {Seconds: 0, Value: 0}}},
		bench.Result{Name: "cpu.jitter", Unit: "µs", Better: bench.Lower, Median: 1, Latency: &bench.Latency{Unit: "µs", Count: 1, P50: 1, P90: 1, P99: 1, P999: 1, Max: 1}},
		bench.Result{Name: "net.connect", Unit: "ms", Better: bench.Lower, Median: 1, Latency: &bench.Latency{Unit: "ms", Count: 1, P50: 1e-7, P90: 1e9, P99: 1e9, P999: 1e9, Max: 1e9}})
	text := page(t, build(t, runs))
	if strings.Contains(text, "NaN") || strings.Contains(text, "Inf") {
		t.Error("a figure is no number")
	}
}

func TestDerivedTables(t *testing.T) {
	find := func(r *report.Report, title string) report.Table {
		for _, one := range r.Tables {
			if strings.HasPrefix(one.Title, title) {
				return one
			}
		}
		t.Errorf("no table %q", title)
		return report.Table{Rows: [][]string{make([]string, 9)}}
	}
	sample, rich := build(t, history.Sample()), build(t, invented())
	ways := find(sample, "Ways between")
	if got := fmt.Sprint(ways.Rows); got != "[[ubuntu16 ubuntu18  0.714  50 1,000] [ubuntu18 amazonlinux  1.43  100 ]]" {
		t.Errorf("links beside disks of 70 MB/s: %s", got)
	}
	// A way within the machine, to a neighbour, and by ssh stand in one table.
	own := invented()[:2]
	for _, one := range []bench.Result{{Name: "net.loopback.tcp", Unit: "MB/s", Median: 4200}, {Name: "net.loopback.rtt", Unit: "µs", Median: 20},
		{Name: "ssh.own.aes128gcm", Unit: "MB/s", Median: 420, Peer: &bench.Peer{From: own[0].Host.Name, To: "loopback"}}} {
		one.Better, one.Samples = bench.Higher, []float64{one.Median}
		own[0].Results = append(own[0].Results, one)
	}
	together := ""
	for _, row := range find(build(t, own), "Ways between").Rows {
		together += strings.Join(row, "|") + "\n"
	}
	if !strings.Contains(together, own[0].Host.Name+"|loopback|4,200|") || !strings.Contains(together, "|0.02|420|") || strings.Count(together, "\n") < 3 {
		t.Errorf("loopback, raw and ssh: %s", together)
	}
	matrix := find(sample, "System by plan: C compiler")
	if got := fmt.Sprint(matrix.Rows); got != "[[amazon linux 2 103] [ubuntu 16.04 100] [ubuntu 18.04 109]]" {
		t.Errorf("%s", got)
	}
	web1 := find(rich, "Per processor").Rows[3] // nano: 900 points on 2 processors for 5 dollars, 42 MB/s, 20 GB less a quarter
	if got := fmt.Sprint(web1); got != "[web1 450 1,676 180 8.4 3]" {
		t.Errorf("%s", got)
	}
}
