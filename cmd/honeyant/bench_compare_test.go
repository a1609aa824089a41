package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/honeyant/honeyant/bench"
	"github.com/honeyant/honeyant/bench/history"
	"github.com/honeyant/honeyant/cmd/command"
)

func TestCompareTheSample(t *testing.T) {
	alone(t)
	text, code := output(t, "bench", "compare", "--sample", "ubuntu16", "ubuntu18", "amazonlinux", "--by", "os")
	for _, want := range []string{"N=1: not proven", "(user+sys) 107.5 s (+16 %)", "waited 7.34 s", "≠ distribution", "was not idle"} {
		if code != command.Done || !strings.Contains(text, want) {
			t.Errorf("exit code %d, lacks %q:\n%s", code, want, text)
		}
	}
	if _, code := output(t, "bench", "compare", "--sample", "ubuntu16", "azure", "--by", "os"); code != command.Refused {
		t.Errorf("unlike machines: exit code %d", code)
	}
	if _, code := output(t, "bench", "compare", "--sample", "ubuntu16", "azure", "--by", "os", "--force"); code != command.Done {
		t.Errorf("forced: exit code %d", code)
	}
}

func TestCompareFilesAndHistory(t *testing.T) {
	dir := alone(t)
	file := func(name, schema string, median float64) string {
		r := bench.Run{Schema: schema, ID: name, Host: bench.Host{Name: "web"}, Results: []bench.Result{{Name: "disk.fsync", Unit: "ms", Better: bench.Lower,
			Samples: []float64{median, median * 1.01, median * 1.02, median * 0.99, median * 1.005}, Median: median}}}
		text, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, name+".json")
		if err := os.WriteFile(path, text, 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	a, b, old := file("a", bench.Schema, 2), file("b", bench.Schema, 4), file("old", "honeyant-bench/0", 2)
	if text, code := output(t, "bench", "compare", a, b); code != command.Done || !strings.Contains(text, "2.0×, worse") {
		t.Errorf("exit code %d: %s", code, text)
	}
	for _, args := range [][]string{{a, old}, {a, filepath.Join(dir, "none.json")}, {a, "nobody"}, {}, {a, b, "--by", "colour"}} {
		if text, code := output(t, append([]string{"bench", "compare"}, args...)...); code != command.Refused {
			t.Errorf("%v: exit code %d: %s", args, code, text)
		}
	}
	for i := range 4 {
		r := history.Sample()[1]
		r.ID, r.Began = string(rune('a'+i)), r.Began.Add(time.Duration(i)*24*time.Hour)
		for k := range r.Results {
			if i == 3 && r.Results[k].Name == "random.urandom" {
				r.Results[k].Median, r.Results[k].Samples = 200, []float64{200}
			}
		}
		if err := history.Append(t.Context(), filepath.Join(dir, "h"), r); err != nil {
			t.Fatal(err)
		}
	}
	if text, code := output(t, "bench", "compare", "--history", filepath.Join(dir, "h"), "ubuntu18"); code != command.Done || !strings.Contains(text, "4.0× the median of 3 earlier runs") {
		t.Errorf("exit code %d: %s", code, text)
	}
}

// Random numbers were 6 times apart, and 6 times again on a third machine: 36 times (A28).
func TestCompareSpellsOutProducts(t *testing.T) {
	row := func(better bench.Better, medians ...float64) history.Row {
		r := history.Row{Title: "random numbers", Better: better}
		for _, m := range medians {
			c := history.Cell{Median: m, N: 5}
			if m == 0 {
				c.N = 0
			}
			r.Cells = append(r.Cells, c)
		}
		return r
	}
	sides := []history.Side{{Label: "azure"}, {Label: "lightsail"}, {Label: "mac"}}
	for _, c := range []struct {
		row  history.Row
		want string
	}{
		{row(bench.Higher, 10, 60, 360), "random numbers: 6.0 × 6.0 = 36 times azure, the reference"},
		{row(bench.Lower, 36, 6, 1), "random numbers: 6.0 × 6.0 = 36 times azure, the reference"},
		{row(bench.Higher, 10, 60), ""},
		{row(bench.Higher, 10, 11, 360), ""},
		{row(bench.Higher, 10, 0, 360), ""},
	} {
		if got := productLine(c.row, sides); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}
