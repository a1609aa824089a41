package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

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

// terminal is a terminal, and the end at which what is written to it arrives.
func terminal(t *testing.T) (screen, keyboard *os.File) {
	t.Helper()
	open := func(path string) *os.File {
		f, err := os.OpenFile(path, os.O_RDWR|unix.O_NOCTTY, 0)
		if err != nil {
			t.Skipf("no terminal can be made here: %v", err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	screen = open("/dev/ptmx")
	if err := unix.IoctlSetPointerInt(int(screen.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(screen.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	return screen, open("/dev/pts/" + strconv.Itoa(n))
}

// What differs between unlike machines stands in red above a comparison that was forced, and
// without colour where no terminal is; that a machine was not idle stands below (A19).
func TestForcedComparisonMarksWhatDiffers(t *testing.T) {
	alone(t)
	args := []string{"bench", "compare", "--sample", "ubuntu16", "ubuntu18", "--by", "plan"}
	if _, code := output(t, args...); code != command.Refused {
		t.Errorf("two systems, by plan: exit code %d", code)
	}
	args = append(args, "--force")
	text, code := output(t, args...)
	for _, want := range []string{"≠ distribution", "by force, though unlike", "was not idle"} {
		if code != command.Done || !strings.Contains(text, want) || strings.Contains(text, "\x1b") {
			t.Errorf("exit code %d, lacks %q, or has colours: %q", code, want, text)
		}
	}
	screen, keyboard := terminal(t)
	was := os.Stdout
	os.Stdout = keyboard
	done := make(chan string)
	go func() {
		var seen strings.Builder
		b := make([]byte, 4096)
		for {
			n, err := screen.Read(b)
			seen.Write(b[:n])
			if err != nil { // EIO: nobody has the other end any more
				done <- seen.String()
				return
			}
		}
	}()
	code = program().Run(t.Context(), args)
	os.Stdout = was
	keyboard.Close()
	seen := <-done
	if code != command.Done || !strings.Contains(seen, "\x1b[31m≠ distribution\x1b[0m") || strings.Contains(seen, "\x1b[31m≠ processors") {
		t.Errorf("exit code %d on a terminal: %q", code, seen)
	}
}

// Each figure says how many times the reference's it is (A28).
func TestComparisonHasRatiosToTheReference(t *testing.T) {
	alone(t)
	text, code := output(t, "bench", "compare", "--sample", "ubuntu16", "azure", "--force", "--json")
	var a struct {
		Rows []struct {
			Key   string
			Cells []struct {
				Median  float64
				RatioTo *float64 `json:"ratio_to"`
			}
		}
	}
	if err := json.Unmarshal([]byte(text), &a); err != nil || code != command.Done || len(a.Rows) == 0 {
		t.Fatalf("exit code %d, %v: %s", code, err, text)
	}
	for _, r := range a.Rows {
		for i, c := range r.Cells {
			if c.RatioTo == nil || *c.RatioTo != c.Median/r.Cells[0].Median {
				t.Errorf("%s, side %d: %+v", r.Key, i, c)
			}
		}
	}
}
